"""What a log adds up to: the counts of packet.json, and the lines of a summary for people.

Fed the receipts of one pass, so that a packet says what the evidence says and not what the run believed.

Rule 1: bounded: a list that outgrows its bound is given up as a whole (None), never cut silently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import attrs

from trio_egress.evidence.receipt_form import VERDICTS

HOSTS = 10_000
"""Distinct hosts, layers or policies kept. More names than this are a flood, and the list is given up."""

ROWS = 1_000
"""Distinct rows kept for the tables of a summary, which shows a screen of them."""


@attrs.define
class Contact:
    """What went to and came from one host: the sums of its outcome receipts."""

    attempts: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


class Tally:
    """Counts over one log. Session receipts count in the totals, as they are receipts too."""

    def __init__(self) -> None:
        self.receipt_count = 0
        self.totals: Counter[str] = Counter()
        self.transports: Counter[str] = Counter()
        self._layers: Counter[str] = Counter()
        self._hosts: set[str] = set()
        self._policies: set[str] = set()
        self.contacts: dict[str, Contact] = {}
        self.denials: dict[tuple[str, str], int] = {}
        self.denied = 0
        self.allowed = 0

    def feed(self, record: Mapping[str, object], facts: Mapping[str, object]) -> None:
        """One receipt that fits its table."""
        verdict = str(record["verdict"])
        self.receipt_count += 1
        self.totals[verdict if verdict in VERDICTS else "other"] += 1
        self.transports[str(record["transport"])] += 1
        _add(self._policies, str(record["policy_hash"]))
        if "host" in facts:
            _add(self._hosts, str(facts["host"]))
        if verdict == "block":
            if "layer" in record and len(self._layers) <= HOSTS:
                self._layers[str(record["layer"])] += 1
            self._deny(record, facts)
        if "session_control" not in record:
            self._contact(record, facts)

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

    def _deny(self, record: Mapping[str, object], facts: Mapping[str, object]) -> None:
        count = facts.get("count", 1)
        self.denied += 1
        row = str(record["target"]), str(facts.get("reason", record.get("layer", "")))
        if row in self.denials or len(self.denials) < ROWS:
            self.denials[row] = self.denials.get(row, 0) + (count if isinstance(count, int) else 1)

    def _contact(self, record: Mapping[str, object], facts: Mapping[str, object]) -> None:
        phase = record.get("decision_phase")
        if phase == "intent":
            self.allowed += 1
        host = str(facts.get("host", record["target"]))
        if phase != "outcome" or record["verdict"] == "block":
            return
        if host in self.contacts or len(self.contacts) < ROWS:
            contact = self.contacts.setdefault(host, Contact())
            contact.attempts += 1
            contact.bytes_up += _count(facts.get("bytes_up"))
            contact.bytes_down += _count(facts.get("bytes_down"))


def _add(kept: set[str], item: str) -> None:
    if len(kept) <= HOSTS:
        kept.add(item)


def _count(value: object) -> int:
    return value if type(value) is int else 0
