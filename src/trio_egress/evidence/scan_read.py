"""Findings as stored receipts tell them, for whoever shows, counts or compares them.

Checks nothing: `verify` does.

Rule 1: whatever a line holds, every text that is told is printable ASCII and bounded; what is no finding is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.scan_form import BLOCK, FINDING, FINDINGS, FINDINGS_MAX, STRIP, SUPPRESSED, WARN
from trio_egress.values import frozen

TEXT_CHARS = 160

_DONE = {BLOCK: "blocked", STRIP: "stripped", WARN: "let through", SUPPRESSED: "suppressed"}


@frozen
class ReadFinding:
    """One finding, or `count` equal ones."""

    detector: str
    kind: str
    place: str
    via: tuple[str, ...]
    action: str
    severity: str
    commitment: str
    count: int

    @property
    def done(self) -> str:
        """What was done, in words."""
        return _DONE.get(self.action, self.action)

    @property
    def identity(self) -> tuple[object, ...]:
        """What equal ones of any run share: all but the commitment, which is of one run alone."""
        return self.detector, self.kind, self.place, self.via, self.action, self.severity

    def is_said(self, text: str) -> bool:
        """Whether a text names it already."""
        return self.detector in text and self.place in text

    def describe(self) -> str:
        """`acme-token in header x-api-key (base64)`."""
        spelt = f" ({' in '.join(reversed(self.via))})" if self.via else ""
        return f"{self.detector} in {self.place}{spelt}"


def read_findings(facts: Mapping[str, object]) -> tuple[ReadFinding, ...]:
    """Those of one receipt."""
    told = facts.get(FINDINGS)
    return tuple(_read(told[:FINDINGS_MAX])) if isinstance(told, list) else ()


def merge_read(findings: Iterable[ReadFinding]) -> tuple[ReadFinding, ...]:
    """Equal ones, by all but their commitments, as one; in the order in which they were met."""
    merged: dict[tuple[object, ...], ReadFinding] = {}
    for each in findings:
        known = merged.get(each.identity)
        merged[each.identity] = each if known is None else attrs.evolve(known, count=known.count + each.count)
    return tuple(merged.values())


def _read(told: Iterable[object]) -> Iterator[ReadFinding]:
    for each in told:
        if isinstance(each, dict) and not FINDING.find_misfits(each):
            yield ReadFinding(
                detector=_show(each["detector"]),
                kind=each["kind"],
                place=_show(each["place"]),
                via=tuple(_show(word) for word in each.get("via", ())[:FINDINGS_MAX]),
                action=each["action"],
                severity=each["severity"],
                commitment=_show(each["commitment"]),
                count=each["count"],
            )


def _show(text: str) -> str:
    return escape_text(text[:TEXT_CHARS])
