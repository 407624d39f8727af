"""What a log adds up to: the counts of packet.json.

Fed the receipts of one pass, so that a packet says what the evidence says and not what the run believed.

Rule 1: bounded: a list that outgrows its bound is given up as a whole (None), never cut silently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from trio_egress.evidence.dials import Dials
from trio_egress.evidence.receipt_form import VERDICTS

HOSTS = 10_000
"""Distinct hosts, layers or policies kept. More names than this are a flood, and the list is given up."""

NAME_CHARS = 4 << 20
"""As many characters all of them may have: ten thousand of the longest names that DNS knows are 2.5 million."""


class Names:
    """Distinct names, and how often each came."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._chars = 0

    def add(self, name: str) -> None:
        if name in self._counts:
            self._counts[name] += 1
        elif not self.is_flood:
            self._counts[name] = 1
            self._chars += len(name)

    @property
    def is_flood(self) -> bool:
        return len(self._counts) > HOSTS or self._chars > NAME_CHARS

    @property
    def counts(self) -> dict[str, int]:
        """In the order of the names."""
        return dict(sorted(self._counts.items()))


class Tally:
    """Counts over one log. Session receipts count in the totals, as they are receipts too."""

    def __init__(self) -> None:
        self.receipt_count = 0
        self.totals: Counter[str] = Counter()
        self.transports: Counter[str] = Counter()
        self._layers = Names()
        self._hosts = Names()
        self._policies = Names()
        self.dials = Dials()

    def feed(self, record: Mapping[str, object], facts: Mapping[str, object]) -> None:
        """One receipt that fits its table."""
        verdict, host = str(record["verdict"]), facts.get("host")
        self.receipt_count += 1
        self.totals[verdict if verdict in VERDICTS else "other"] += 1
        self.transports[str(record["transport"])] += 1
        self._policies.add(str(record["policy_hash"]))
        if host is not None:
            self._hosts.add(str(host))
        if verdict == "block" and "layer" in record:
            self._layers.add(str(record["layer"]))
        if "dialled" in facts:
            self.dials.feed(record, facts)

    @property
    def layers(self) -> dict[str, int] | None:
        """Blocked receipts by layer."""
        return None if self._layers.is_flood else self._layers.counts

    @property
    def domains_touched(self) -> list[str] | None:
        """Every host that a receipt names, allowed or not."""
        return None if self._hosts.is_flood else list(self._hosts.counts)

    @property
    def policy_hashes(self) -> list[str]:
        return list(self._policies.counts)
