"""What the kernel counted, held against what the receipts tell: for each counter of the close receipt one row.

Fed each receipt of one pass. The kernel, and of refused calls PID 1, counts by rules of its own and knows nothing of
receipts, so an event that left no receipt, or a receipt that was left out before it was signed, shows as a difference.

Rule 1: a row balances when nothing in it is unexplained; the books do when every row does and none is missing.
Rule 2: connections are told apart by their numbers, so that several receipts of one are one connection.
Rule 3: bounded, however long the log is: one bit a connection.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from trio_egress.values import frozen

CONNECTIONS = 1 << 25
"""Highest number of a connection: 4 MiB of bits. A run that opens a thousand a second gets there in 9 hours."""

REDIRECTED, PROXY, DNS_TCP, DNS_UDP = "redirected", "proxy", "dns_tcp", "dns_udp"
SYSCALL = "syscall"
DROPPED = ("udp", "icmp", "icmpv6", "tcp", "other", "membership")
LOST = {"log": "log_lost", "queue": "dns_lost", "way": "way_lost"}
"""Where something was lost, as its receipt says, and the counter of that place."""

WAY_LOST = "way_lost"
"""More than datagrams is lost there, and only they are not sent again: it bounds what may be explained by it."""

COUNTERS: Mapping[str, str] = {
    REDIRECTED: "TCP connections to the outside",
    PROXY: "connections to the HTTP proxy",
    DNS_TCP: "DNS connections",
    DNS_UDP: "DNS datagrams",
    "udp": "UDP datagrams refused",
    "icmp": "ICMP packets refused",
    "icmpv6": "ICMPv6 packets refused",
    "tcp": "TCP packets refused",
    "other": "other packets refused",
    "membership": "reports of multicast groups dropped",
    SYSCALL: "system calls refused",
    "log_lost": "refused packets told only in sums",
    "dns_lost": "DNS datagrams that found no room",
    WAY_LOST: "packets lost inside the sandbox, at most",
}
"""Every counter that the close receipt must have, in words."""

_DOORS = {
    "transparent": REDIRECTED,
    "forward": PROXY,
    "connect": PROXY,
    "websocket": PROXY,
    "dns": DNS_TCP,
}


@frozen
class Row:
    """One counter. `unexplained` is what was counted and not recorded; negative where it is the other way round."""

    counter: str
    counted: int
    recorded: int

    @property
    def unexplained(self) -> int:
        difference = self.counted - self.recorded
        return min(difference, 0) if self.counter == WAY_LOST else difference


@frozen
class Balance:
    """The books of a closed run. `rows` is empty where the close receipt has no counters."""

    rows: tuple[Row, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def unexplained(self) -> int:
        """How many events in all are on one side only."""
        return sum(abs(row.unexplained) for row in self.rows)

    @property
    def is_even(self) -> bool:
        return bool(self.rows) and not self.missing and not self.unexplained

    @property
    def events(self) -> int:
        """Connections, datagrams, packets and calls that were counted where they entered."""
        return sum(row.counted for row in self.rows if row.counter not in LOST.values())


class Books:
    """Fed each receipt of an attempt; asked when the chain is closed."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._seen: dict[str, bytearray] = {name: bytearray() for name in (REDIRECTED, PROXY, DNS_TCP)}
        self.is_empty = True

    def feed(self, record: Mapping[str, object], facts: Mapping[str, object]) -> None:
        """One well-formed receipt that is not a session's own."""
        self.is_empty = False
        transport = record["transport"]
        if transport in _DOORS:
            self._feed_connection(_DOORS[str(transport)], facts)
        if transport == "dns" and facts.get("over") == "udp":
            self._counts[DNS_UDP] += _count(facts, "count")
        if transport == "packet" and facts.get("counter") in DROPPED:
            self._counts[str(facts["counter"])] += _count(facts, "count")
        if transport == SYSCALL:
            self._counts[SYSCALL] += _count(facts, "count")
        if "lost" in facts and facts["lost"] in LOST:
            self._counts[LOST[str(facts["lost"])]] += _count(facts, "count")

    def balance(self, counters: object) -> Balance:
        """Hold `counters`, of the close receipt, against what was fed: name → [packets, bytes]."""
        if not isinstance(counters, dict) or not counters:
            return Balance(missing=tuple(COUNTERS))
        known = {name: counters[name][0] for name in COUNTERS if _is_pair(counters.get(name))}
        rows = tuple(Row(name, counted, self._counts[name]) for name, counted in known.items())
        return Balance(rows, tuple(name for name in COUNTERS if name not in known))

    def _feed_connection(self, counter: str, facts: Mapping[str, object]) -> None:
        if "connections" in facts:
            self._counts[counter] += _count(facts, "connections")
        number = _count(facts, "connection")
        if not 0 < number <= CONNECTIONS:
            return
        seen, (place, bit) = self._seen[counter], divmod(number, 8)
        if place >= len(seen):
            seen.extend(bytes(place + 1 - len(seen)))
        if not seen[place] & 1 << bit:
            seen[place] |= 1 << bit
            self._counts[counter] += 1


def _count(facts: Mapping[str, object], name: str) -> int:
    value = facts.get(name)
    return value if type(value) is int else 0


def _is_pair(value: object) -> bool:
    return (
        type(value) is list and len(value) == 2 and all(type(count) is int and count >= 0 for count in value)
    )
