"""What a log adds up to: the counts of packet.json.

Fed the receipts of one pass, so that a packet says what the evidence says and not what the run believed.

Rule 1: bounded: a list that outgrows its bound is given up as a whole (None), never cut silently.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from trio_egress.evidence.dials import Dials
from trio_egress.evidence.receipt_form import VERDICTS
from trio_egress.evidence.scan_form import FINDINGS, FOUND, count_actions
from trio_egress.evidence.session import COMMAND_TRANSPORT

HOSTS = 10_000
"""Distinct hosts, layers or policies kept. More names than this are a flood, and the list is given up."""

ALIKE = 16
"""Kinds of receipts that are counted before they are added up; each may be as long as a line."""

NAME_CHARS = 4 << 20
"""As many characters all of them may have: ten thousand of the longest names that DNS knows are 2.5 million."""


class Names:
    """Distinct names, and how often each came."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._chars = 0

    def add(self, name: str, times: int) -> None:
        if name in self._counts:
            self._counts[name] += times
        elif not self.is_flood:
            self._counts[name] = times
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
        self._totals: Counter[str] = Counter()
        self._transports: Counter[str] = Counter()
        self._layers = Names()
        self._hosts = Names()
        self._policies = Names()
        self._alike: dict[tuple[object, ...], int] = {}
        self._blocked_finds = 0
        self.found: Counter[str] = Counter()
        """What was done about what was found, of every attempt that has ended."""

        self.dials = Dials()

    def feed(self, record: Mapping[str, object], facts: Mapping[str, object]) -> None:
        """One receipt that fits its table."""
        self.receipt_count += 1
        # Most receipts are like others in all that is counted, so it is counted once for many.
        host, layer = facts.get("host"), record.get("layer")
        kind = (record["verdict"], record["transport"], record["policy_hash"], host, layer)
        if kind in self._alike:
            self._alike[kind] += 1
        else:
            if len(self._alike) == ALIKE:
                self._settle()
            self._alike[kind] = 1
        if FINDINGS in facts or FOUND in facts:
            self._feed_finds(record, facts)
        if "dialled" in facts:
            self.dials.feed(record, facts)

    def _feed_finds(self, record: Mapping[str, object], facts: Mapping[str, object]) -> None:
        if "parent_action_id" in record:  # its attempt's outcome tells the sums
            self._blocked_finds += record["verdict"] == "block"
        elif isinstance(sums := facts.get(FOUND), dict):
            self.found.update(sums)
        elif record.get("decision_phase") is None:
            self.found.update(count_actions(facts.get(FINDINGS)))

    @property
    def denied(self) -> int:
        """Receipts of denials."""
        return self.totals["block"] - self._blocked_finds

    def _settle(self) -> None:
        alike, self._alike = self._alike, {}
        for (verdict, transport, policy, host, layer), times in alike.items():
            self._totals[str(verdict) if verdict in VERDICTS else "other"] += times
            self._transports[str(transport)] += times
            self._policies.add(str(policy), times)
            if host is not None:
                self._hosts.add(str(host), times)
            if verdict == "block" and layer is not None:
                self._layers.add(str(layer), times)

    @property
    def totals(self) -> Counter[str]:
        """Receipts by verdict."""
        self._settle()
        return self._totals

    @property
    def transports(self) -> Counter[str]:
        self._settle()
        return self._transports

    @property
    def commands(self) -> int:
        """Receipts of commands of a session."""
        return self.transports[COMMAND_TRANSPORT]

    @property
    def layers(self) -> dict[str, int] | None:
        """Blocked receipts by layer."""
        self._settle()
        return None if self._layers.is_flood else self._layers.counts

    @property
    def domains_touched(self) -> list[str] | None:
        """Every host that a receipt names, allowed or not."""
        self._settle()
        return None if self._hosts.is_flood else list(self._hosts.counts)

    @property
    def policy_hashes(self) -> list[str]:
        self._settle()
        return list(self._policies.counts)
