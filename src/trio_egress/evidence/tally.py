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


class Tally:
    """Counts over one log. Session receipts count in the totals, as they are receipts too."""

    def __init__(self) -> None:
        self.receipt_count = 0
        self.totals: Counter[str] = Counter()
        self.transports: Counter[str] = Counter()
        self._layers: Counter[str] = Counter()
        self._hosts: set[str] = set()
        self._policies: set[str] = set()
        self.dials = Dials()

    def feed(self, record: Mapping[str, object], facts: Mapping[str, object]) -> None:
        """One receipt that fits its table."""
        verdict, policy, host = str(record["verdict"]), record["policy_hash"], facts.get("host")
        self.receipt_count += 1
        self.totals[verdict if verdict in VERDICTS else "other"] += 1
        self.transports[str(record["transport"])] += 1
        if policy not in self._policies:
            _add(self._policies, str(policy))
        if host is not None and host not in self._hosts:
            _add(self._hosts, str(host))
        if verdict == "block" and "layer" in record and len(self._layers) <= HOSTS:
            self._layers[str(record["layer"])] += 1
        if "dialled" in facts:
            self.dials.feed(record, facts)

    @property
    def layers(self) -> dict[str, int] | None:
        """Blocked receipts by layer."""
        return dict(sorted(self._layers.items())) if len(self._layers) <= HOSTS else None

    @property
    def domains_touched(self) -> list[str] | None:
        """Every host that a receipt names, allowed or not."""
        return sorted(self._hosts) if len(self._hosts) <= HOSTS else None

    @property
    def policy_hashes(self) -> list[str]:
        return sorted(self._policies)


def _add(kept: set[str], item: str) -> None:
    if len(kept) <= HOSTS:
        kept.add(item)
