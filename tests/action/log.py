"""What GitHub's runner makes of the lines of a step: commands of both kinds, masks, annotations, problem matchers.

Source: GitHub's documentation, "Workflow commands", and what actions/runner does: between `stop-commands` and its word
nothing is a command, matchers read every other line, and a mask holds for all that comes after it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

NEW = re.compile(
    r"^\s*::(?P<name>[^\s:]+)(?: (?P<properties>[^:]*(?:(?!::):[^:]*)*))?::(?P<message>.*)$", re.DOTALL
)
OLD = re.compile(r"##\[(?P<name>[^\s\]]+)(?: (?P<properties>[^\]]*))?\](?P<message>.*)$", re.DOTALL)
ANNOTATIONS = ("error", "warning", "notice")
ESCAPES = (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%"))


@attrs.frozen
class Annotation:
    kind: str
    message: str
    file: str = ""
    line: int = 0
    title: str = ""


@attrs.define
class Log:
    """One step's output. `shown` is what a reader sees of it, masked."""

    masks: list[str] = attrs.field(factory=list)
    shown: list[str] = attrs.field(factory=list)
    annotations: list[Annotation] = attrs.field(factory=list)
    commands: list[str] = attrs.field(factory=list)
    """The names of those that were obeyed."""

    _stopped_by: str = ""
    _matchers: dict[str, list[Mapping[str, Any]]] = attrs.field(factory=dict)

    def read(self, line: str) -> None:
        if (match := NEW.match(line) or OLD.search(line)) and self._obey(match):
            return
        for patterns in self._matchers.values():
            self._match(patterns[0], line)
        for mask in self.masks:
            line = line.replace(mask, "***")
        self.shown.append(line)

    @property
    def text(self) -> str:
        return "\n".join(self.shown)

    def count(self, kind: str) -> int:
        return sum(annotation.kind == kind for annotation in self.annotations)

    def _obey(self, match: re.Match[str]) -> bool:
        name, message = match["name"], _unescape(match["message"])
        if self._stopped_by:
            if name == self._stopped_by:
                self._stopped_by = ""
                return True
            return False
        pairs = (pair.partition("=") for pair in (match["properties"] or "").split(",") if pair)
        properties = {key.strip(): _unescape(value) for key, _, value in pairs}
        self.commands.append(name)
        if name == "stop-commands":
            self._stopped_by = message
        elif name == "add-mask":
            self.masks += [line for line in message.splitlines() if line]
        elif name in ANNOTATIONS:
            line = int(properties.get("line") or 0)
            title, file = properties.get("title", ""), properties.get("file", "")
            self.annotations.append(Annotation(name, message, file, line, title))
        elif name == "add-matcher":
            for matcher in json.loads(Path(message).read_text())["problemMatcher"]:
                self._matchers[matcher["owner"]] = matcher["pattern"]
        elif name == "remove-matcher":
            del self._matchers[properties["owner"]]
        return True

    def _match(self, pattern: Mapping[str, Any], line: str) -> None:
        if found := re.search(pattern["regexp"], line):
            kind, message = found[pattern["severity"]], found[pattern["message"]]
            file, number = found[pattern["file"]], int(found[pattern["line"]])
            self.annotations.append(Annotation(kind, message, file, number))


def _unescape(text: str) -> str:
    for written, meant in ESCAPES:
        text = text.replace(written, meant)
    return text
