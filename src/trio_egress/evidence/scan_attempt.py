"""What was found in one attempt so far: what is told of it, and what is only counted.

Rule 1: what was told once, in that place and with that action, is counted from then on; so a stream that says the same
        thing a thousand times leaves one receipt and a number.
Rule 2: bounded: RECEIPTS_MAX times FINDINGS_MAX are told; beyond that, only what blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from trio_egress.evidence.scan_facts import Found, ToldFinding, merge_findings
from trio_egress.evidence.scan_form import BLOCK, FINDINGS_MAX, FOUND, LEFT_OUT, RECEIPTS_MAX


class Finds:
    """Of one attempt; `first` is what was found before its intent, if anything."""

    def __init__(self, first: object = None) -> None:
        self._counts: Counter[str] = Counter()
        self._told = 0
        self._receipts = 0
        self._seen: set[int] = set()
        self._gravest: ToldFinding | None = None
        if isinstance(first, Found):
            self.add(first.findings)
            self._receipts = 0

    def add(self, findings: Iterable[ToldFinding]) -> Found | None:
        """Those that a receipt is to tell of now."""
        merged = merge_findings(findings)
        for each in merged:
            self._counts[each.action] += each.count
        full = self._receipts >= RECEIPTS_MAX
        new = [each for each in merged if not full or each.action == BLOCK]
        told = tuple(each for each in new if hash(each.key) not in self._seen)[:FINDINGS_MAX]
        if not told:
            return None
        self._receipts += 1
        self._seen.update(hash(each.key) for each in told)
        self._told += sum(each.count for each in told)
        self._gravest = min((*told, *filter(None, [self._gravest])), key=lambda each: each.rank)
        return Found(told)

    @property
    def gravest(self) -> tuple[str, str]:
        """The detector and severity that an attempt was ended for."""
        return ("", "") if self._gravest is None else (self._gravest.pattern, self._gravest.severity)

    def render_sums(self) -> Mapping[str, object]:
        """The facts of the outcome: how much was found in all, and how much of it no receipt tells."""
        total = sum(self._counts.values())
        if not total:
            return {}
        left = total - self._told
        return {FOUND: dict(sorted(self._counts.items())), LEFT_OUT: left or None}
