"""The books of one run: what came in by each door, to be held against what the kernel counted.

Each connection has a number, which all of its receipts carry. At the end, when nothing moves any more, `settle` records
what was counted and never got here, by what is known to have become of it; the rest stays unexplained for all to see.

Rule 1: every connection leaves at least one receipt, whatever ends it, cancellation too.
Rule 2: what was lost in a queue is recorded as the queue's own count, never as the difference that it should explain.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterable, Mapping

from trio_egress.kernel.counters import DNS_LOST, WAY_LOST
from trio_egress.kernel.nft import DNS_TCP, DNS_UDP, MEMBERSHIP, PROXY, REDIRECTED
from trio_egress.model import Attempt, Decision, Transport
from trio_egress.recorder import Flow, Recorder

Facts = Mapping[str, object]

_DOORS = (
    (REDIRECTED, Transport.TRANSPARENT),
    (PROXY, Transport.FORWARD),
    (DNS_TCP, Transport.DNS),
)
_NOT_ACCEPTED = "the agent gave up before they could be accepted, or ended"
_TOO_LATE = "came when the run was over"
_NO_ROOM = "the DNS stub's queue had no room for them"
_ON_THE_WAY = "the kernel lost them on the way to the DNS stub"
_REPORTS = "the kernel's own reports of multicast groups that a program joined"

DATAGRAM_BYTES = 1
"""What is read of a datagram that is only counted."""


class Entries:
    """The receipts of one connection: the calls of a Recorder, each with the connection's number."""

    def __init__(self, recorder: Recorder, number: int) -> None:
        self._recorder = recorder
        self._number = number
        self.silent = True

    async def refuse(self, attempt: Attempt, decision: Decision, facts: Facts | None = None) -> None:
        await self._recorder.refuse(attempt, decision, self._sign(facts))

    def refuse_nowait(self, attempt: Attempt, decision: Decision, facts: Facts | None = None) -> None:
        self._recorder.refuse_nowait(attempt, decision, self._sign(facts))

    def allow_nowait(self, attempt: Attempt, decision: Decision, facts: Facts | None = None) -> None:
        self._recorder.allow_nowait(attempt, decision, self._sign(facts))

    async def allow(self, attempt: Attempt, decision: Decision, facts: Facts | None = None) -> Flow:
        return await self._recorder.allow(attempt, decision, self._sign(facts))

    def _sign(self, facts: Facts | None) -> Facts:
        self.silent = False
        return {"connection": self._number, **(facts or {})}


class Books:
    """What came in. Counters have the names that they have in the kernel (nft.COUNTERS)."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._arrived: Counter[str] = Counter()
        self._connections = 0

    def add(self, counter: str, count: int = 1) -> None:
        """Something came in that its receipts will count."""
        self._arrived[counter] += count

    def open_entries(self, counter: str) -> Entries:
        """A connection came in; its number is its own among all doors."""
        self.add(counter)
        self._connections += 1
        return Entries(self._recorder, self._connections)

    def count_waiting(self, sockets: Iterable[socket.socket]) -> None:
        """Record the datagrams that wait for a stub which has ended."""
        late = sum(_drain(sock) for sock in sockets)
        if late:
            self.add(DNS_UDP, late)
            self._tell(Transport.DNS, "dns:many", late, _TOO_LATE, {"over": "udp"})

    def is_settled(self, counters: Mapping[str, tuple[int, int]]) -> bool:
        """Whether no datagram is on its way: each was read, or is known to have been lost."""
        return self._arrived[DNS_UDP] + counters[DNS_LOST][0] >= counters[DNS_UDP][0]

    def settle(self, counters: Mapping[str, tuple[int, int]]) -> None:
        """Record what was counted and never got here. Once, when nothing moves any more."""
        for name, transport in _DOORS:
            waited = counters[name][0] - self._arrived[name]
            over = {"over": "tcp"} if transport is Transport.DNS else {}
            self._tell(transport, "tcp:many", waited, _NOT_ACCEPTED, {"connections": waited, **over})
        lost = counters[DNS_LOST][0]
        self._tell(Transport.DNS, "dns:many", lost, _NO_ROOM, {"over": "udp", "lost": "queue"})
        missing = counters[DNS_UDP][0] - self._arrived[DNS_UDP] - lost
        known = min(missing, counters[WAY_LOST][0])
        self._tell(Transport.DNS, "dns:many", known, _ON_THE_WAY, {"over": "udp", "lost": "way"})
        reports = counters[MEMBERSHIP][0]
        self._tell(Transport.PACKET, "multicast:many", reports, _REPORTS, {"counter": MEMBERSHIP})

    def _tell(self, transport: Transport, target: str, count: int, reason: str, facts: Facts) -> None:
        if count > 0:
            self._recorder.drop_nowait(target, count, reason, facts, transport)


def _drain(sock: socket.socket) -> int:
    count = 0
    while True:
        try:
            sock.recv(DATAGRAM_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return count
        count += 1
