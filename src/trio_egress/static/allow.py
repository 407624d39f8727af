"""A comment that allows a finding in its line: `trio-egress:allow DETECTOR REASON`, or gitleaks' `gitleaks:allow`.

Rule 1: it names one detector and a reason, else it allows nothing; gitleaks' own has neither, and allows secrets by
        their form alone.
Rule 2: it allows what is in its own line; of a finding in several lines, in any of them.
"""

from __future__ import annotations

import re

from trio_egress.content.detector import Finding
from trio_egress.model import Kind
from trio_egress.static.excerpt import MASK, escape
from trio_egress.values import frozen

REASON_CHARS = 200

_OURS = re.compile(rb"trio-egress:allow[ \t]+([A-Za-z0-9._-]+)[ \t]+([^\r\n]*[A-Za-z0-9][^\r\n]*)")
_THEIRS = b"gitleaks:allow"
_ENDS = re.compile(rb"[ \t]*(?:-->|\*/|--%>|#\}|%\}|\*\)|\]\]|\"\"\"|''')?[ \t]*$")
"""Of comments."""


@frozen
class Permission:
    """By which comment, and why."""

    mark: str
    reason: str


def find_permission(raw: bytes, finding: Finding) -> Permission | None:
    """In the lines of a finding."""
    detector = finding.detector
    for found in _OURS.finditer(raw):
        if found[1].decode("ascii") == detector.name:
            reason = _ENDS.sub(b"", found[2]).replace(finding.value, MASK.encode())
            return Permission("trio-egress:allow", escape(reason)[:REASON_CHARS])
    if detector.kind in (Kind.SECRET, Kind.ENTROPY) and _THEIRS in raw:
        return Permission("gitleaks:allow", "")
    return None
