"""The tools of an MCP server as it first told of them in this run: a change of one is a finding.

A model reads descriptions as instructions, and a person who has allowed a tool has seen the first ones.

Rule 1: a tool is all that its list says of it, in whatever order; one that is new is none that was changed.
Rule 2: what is told first stays what later ones are held against.
Rule 3: bounded: of more than TOOLS each is taken for changed.
Rule 4: what is committed to is a tool's hash: its text may be long, and is in nobody's receipt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

from trio_egress.evidence.scan_facts import ToldFinding, in_message
from trio_egress.model import Action, Kind, ScanTerms
from trio_egress.policy.scan import TOOL_CHANGED, resolve_action

TOOLS = 4096

LIST_TOOLS = "tools/list"
"""The method whose answers tell of tools."""


class ToolPins:
    """Of one server, in one run."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def look_at(self, result: object, terms: ScanTerms | None) -> list[ToldFinding]:
        """What has changed in an answer to LIST_TOOLS; `terms` say what becomes of it."""
        changed = list(self._find_changed(result))
        action = Action.WARN
        if terms is not None:
            action = resolve_action(terms, Kind.INSTRUCTION, TOOL_CHANGED, Action.WARN, outward=False)
            if not terms.answers or action is Action.OFF:
                return []
        if action is Action.STRIP:  # a list without a tool is another list
            action = Action.BLOCK
        return [
            ToldFinding(
                kind=Kind.INSTRUCTION.value,
                detector=TOOL_CHANGED,
                place=in_message(answer=True),
                action=action.value,
                severity="high",
                value=digest.encode("ascii"),
            )
            for digest in changed
        ]

    def _find_changed(self, result: object) -> Iterator[str]:
        tools = result.get("tools") if isinstance(result, Mapping) else None
        for tool in tools if isinstance(tools, list) else ():
            name = tool.get("name") if isinstance(tool, Mapping) else None
            if not isinstance(name, str):
                continue
            digest = hash_tool(tool)
            is_one_too_many = len(self._first) >= TOOLS and name not in self._first
            if is_one_too_many or self._first.setdefault(name, digest) != digest:
                yield digest


def hash_tool(tool: Mapping[str, object]) -> str:
    """SHA-256 of what a list says of a tool, as JSON with sorted members."""
    return hashlib.sha256(json.dumps(tool, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()
