"""Where in which policy file the reason of a decision stands: what an editor or a code review can open.

Rule 1: a policy is named by its path in the repository where that is known, else by its copy in the packet.
Rule 2: a rule's line is what the receipt says; where no rule decided, it is that of `default_deny`.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

from trio_egress.errors import EvidenceError
from trio_egress.evidence.attempts import Told
from trio_egress.evidence.audit_packet import PACKET_NAME
from trio_egress.evidence.canonical import parse_document
from trio_egress.evidence.container import Packet, hash_file, read_file
from trio_egress.evidence.packet import (
    COMPILED_NAME,
    FIRST_CHANGE,
    INCLUDES_NAME,
    POLICY_NAME,
    YAML_POLICY_NAME,
    change_names,
)
from trio_egress.values import frozen

POLICY_BYTES = 16 << 20
"""Longest text of a policy that there is."""

POLICIES_MAX = 1000
"""Policies of one run that are looked at; a run reads its policy again when somebody asks for it."""

_RULE = re.compile(r".*\((?:(?P<file>.+) )?line (?P<line>[0-9]{1,9})\)", re.DOTALL)
_DEFAULT_DENY = re.compile(rb"""^[ \t]*["']?default_deny["']?[ \t]*[=:]""", re.MULTILINE)


@frozen
class Place:
    """A file and a line in it (from 1)."""

    path: str
    line: int


@frozen
class _Text:
    """One policy of the run: what its text and its included files are called here, and where nothing is allowed."""

    name: str
    includes: str
    default_line: int


class Sources:
    """The policies of one packet. `path` is where the operator's policy is in the repository, if it is there."""

    def __init__(self, packet: Packet, root: Path | None) -> None:
        self._texts = dict(_read_texts(packet))
        self._path = _find_in_repository(_read_config_path(packet), root)

    def locate(self, told: Told) -> tuple[Place, bool]:
        """Where the reason of this receipt stands, and whether that is a file of the packet, not of the repository."""
        text = self._texts.get(told.word("policy_hash"), _Text(POLICY_NAME, INCLUDES_NAME, 1))
        match = _RULE.fullmatch(told.rule)
        if match is None:
            return self._place_own(text, text.default_line)
        line = max(int(match["line"]), 1)
        return (
            self._place_own(text, line)
            if not match["file"]
            else self._place_included(text, match["file"], line)
        )

    def _place_own(self, text: _Text, line: int) -> tuple[Place, bool]:
        return Place(text.name if self._path is None else self._path, line), self._path is None

    def _place_included(self, text: _Text, file: str, line: int) -> tuple[Place, bool]:
        if self._path is not None and not set(file) & set(":\\"):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(self._path), file))
            if not path.startswith(("../", "/")):
                return Place(path, line), False
        return Place(text.includes, 1), True


def read_claims(packet: Packet) -> Mapping[str, object]:
    """What packet.json says, unproven; nothing where it can't be read."""
    return read_object(packet, PACKET_NAME)


def read_object(packet: Packet, name: str) -> Mapping[str, object]:
    """The JSON object in a file of the packet; empty where there is none."""
    try:
        value, _ = parse_document(read_file(packet, name))
    except (EvidenceError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def read_claim(claims: Mapping[str, object], *names: str) -> object:
    """One member of one of its objects, by the way there; None where there is none."""
    value: object = claims
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _read_config_path(packet: Packet) -> str:
    path = read_claim(read_claims(packet), "policy", "config_path")
    return path if isinstance(path, str) else ""


def _find_in_repository(config_path: str, root: Path | None) -> str | None:
    """The path relative to `root`; a relative one is taken for one from there already."""
    if root is None or not config_path or not config_path.isprintable():
        return None
    path = posixpath.normpath(config_path)
    if posixpath.isabs(path):
        path = os.path.relpath(path, os.path.abspath(root))
    return None if path.startswith("../") or path == ".." else path


def _read_texts(packet: Packet) -> Mapping[str, _Text]:
    """By the hashes of their compiled forms, as receipts name them."""
    texts: dict[str, _Text] = {}
    names = (COMPILED_NAME, POLICY_NAME, YAML_POLICY_NAME, INCLUDES_NAME)
    for number in range(FIRST_CHANGE, FIRST_CHANGE + POLICIES_MAX):
        try:
            name = names[2] if names[2] in packet and names[1] not in packet else names[1]
            compiled, raw = hash_file(packet, names[0]), read_file(packet, name, POLICY_BYTES)
        except EvidenceError:
            return texts
        found = _DEFAULT_DENY.search(raw)
        line = 1 if found is None else raw.count(b"\n", 0, found.start()) + 1
        texts[f"sha256:{compiled}"] = _Text(name, names[3], line)
        names = change_names(number)
    return texts
