"""What a receipt says of what was found: words, shapes and sums, for whoever writes or reads one.

Knows no scanner, no value, and no receipt around it.

Rule 1: a finding is told by its detector, place, action and a commitment; there is no room for its text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from trio_egress.evidence.members import TEXT, TEXTS, UINT64, Shape, Table, filled, matching, one_of, optional
from trio_egress.evidence.receipt_form import COMMITMENT

FINDINGS, LEFT_OUT, FOUND = "findings", "findings_left_out", "found"
"""Facts: what was found, how much more was, and on an outcome how much in all, by action."""

UNSCANNED = "unscanned"
"""The fact that says what could not be looked into, and why."""

SCAN = "scan"
"""The layer of what was decided by a finding."""

FINDINGS_MAX = 16
"""Told in one receipt: with all else that may stand there it stays within the budget of `ext`."""

RECEIPTS_MAX = 64
"""Receipts of one attempt that tell of nothing but findings; what ends the attempt is always told."""

NAME_CHARS = 128
"""Longest name of a field in a place, and of a detector."""

PLACE_CHARS = 2 * NAME_CHARS
"""… with what stands in it for a secret."""

BLOCK, STRIP, WARN, SUPPRESSED = "block", "strip", "warn", "suppressed"
ACTIONS = (BLOCK, STRIP, WARN, SUPPRESSED)
"""What was done about a finding, the gravest first; `suppressed`: nothing, as the policy says by name."""

KINDS = ("canary", "exact", "secret", "hidden", "instruction", "entropy")
SEVERITIES = ("critical", "high", "medium", "low")

HOST, TARGET, BODY, MESSAGE = "host", "target", "body", "message"
HEADER, TRAILER = "header", "trailer"
ANSWER = "answer "

_PLACE = re.compile(
    rf"(?:{HOST}|{TARGET}|(?:{ANSWER})?(?:{BODY}|{MESSAGE}|(?:{HEADER}|{TRAILER}) [!-~]{{1,{PLACE_CHARS}}}))"
)

FINDING = Table(
    (
        *filled(TEXT, "detector"),
        *filled(one_of(KINDS), "kind"),
        *filled(matching(_PLACE, "a place in a message"), "place"),
        *optional(TEXTS, "via"),
        *filled(one_of(ACTIONS), "action"),
        *filled(one_of(SEVERITIES), "severity"),
        *filled(matching(COMMITMENT, "a commitment"), "commitment"),
        *filled(UINT64, "count"),
    )
)
"""One finding, in `findings`."""


def _fit_findings(value: object) -> bool:
    return (
        type(value) is list
        and 0 < len(value) <= FINDINGS_MAX
        and not any(FINDING.find_misfits(each) for each in value)
    )


def _fit_found(value: object) -> bool:
    return (
        type(value) is dict
        and list(value) == sorted(value)
        and all(name in ACTIONS and UINT64.fits(count) and count for name, count in value.items())
    )


FINDINGS_SHAPE = Shape(f"a list of 1 to {FINDINGS_MAX} findings", _fit_findings)
FOUND_SHAPE = Shape("an object of counts by action, sorted", _fit_found)


def is_place(text: str) -> bool:
    return _PLACE.fullmatch(text) is not None


def find_verdict(actions: Iterable[object]) -> str:
    """The verdict of a receipt that tells of nothing but findings: the gravest of what was done."""
    done = set(actions)
    return next((action for action in (BLOCK, STRIP, WARN) if action in done), "allow")


def count_actions(findings: object) -> Counter[str]:
    """How often what was done, of the fact as a receipt has it."""
    counts: Counter[str] = Counter()
    for each in findings if isinstance(findings, list) else ():
        if isinstance(each, dict) and each.get("action") in ACTIONS and type(each.get("count")) is int:
            counts[each["action"]] += each["count"]
    return counts
