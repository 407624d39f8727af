"""What a run did at each place: how often it was allowed and denied there and why, and the bytes that went each way.

Rule 1: bounded: PLACES places have a row of their own and REASONS reasons are kept for each; what goes beyond that is
summed in one row, never dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs

from trio_egress.evidence.attempts import Attempt
from trio_egress.evidence.scan_form import SUPPRESSED
from trio_egress.evidence.scan_read import ReadFinding
from trio_egress.values import define

PLACES = 10_000
REASONS = 20
PLACE_CHARS = 200
REASON_CHARS = 500

ELSEWHERE = "all other places"
"""The row of what goes beyond PLACES."""


@define
class Visits:
    """All attempts at one place. `reasons`: of denials and of what was only observed, with how often. `found`: what was
    found in what passed and what was done about it, with how often; without what is suppressed."""

    allowed: int = 0
    denied: int = 0
    observed: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    duration_us: int = 0
    reasons: Counter[str] = attrs.field(factory=Counter)
    found: Counter[str] = attrs.field(factory=Counter)

    def add(self, attempt: Attempt) -> None:
        last = attempt.last
        self.bytes_up += attempt.bytes("bytes_up")
        self.bytes_down += attempt.bytes("bytes_down")
        self.duration_us += last.number("duration_us") or 0
        for finding in list_unsuppressed(attempt):
            words = cut(f"{finding.describe()}, {finding.done}", REASON_CHARS)
            if words in self.found or len(self.found) < REASONS:
                self.found[words] += finding.count
        if attempt.denied:
            self.denied += last.count
        elif last.observed:
            self.observed += last.count
        else:
            self.allowed += last.count
            return
        reason = cut(f"{last.method} {last.target}: {last.reason}".strip(), REASON_CHARS)
        if reason in self.reasons or len(self.reasons) < REASONS:
            self.reasons[reason] += last.count


def list_unsuppressed(attempt: Attempt) -> list[ReadFinding]:
    """What was found in an attempt and the policy doesn't know to be none."""
    return [finding for finding in attempt.findings if finding.action != SUPPRESSED]


def take_census(attempts: Iterable[Attempt]) -> dict[str, Visits]:
    """The visits by place, sorted; ELSEWHERE, if there is any, comes last."""
    census: dict[str, Visits] = {}
    elsewhere = Visits()
    for attempt in attempts:
        place = cut(attempt.place, PLACE_CHARS)
        if place in census or len(census) < PLACES:
            census.setdefault(place, Visits()).add(attempt)
        else:
            elsewhere.add(attempt)
    ordered = dict(sorted(census.items()))
    return {**ordered, ELSEWHERE: elsewhere} if elsewhere != Visits() else ordered


def cut(text: str, most: int) -> str:
    """`text`, and dots for what is beyond `most` characters."""
    return text if len(text) <= most else f"{text[:most]}..."
