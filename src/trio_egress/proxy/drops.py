"""What the kernel refused, as the sandbox's log tells it: each kind of packet becomes a receipt, a flood becomes sums.

Rule 1: the log can lose messages when its buffer is full, the kernel's counters can't: `settle` makes up the
difference, so that the counts in the receipts add up to the packets, exactly, and says that the log had lost them.
Rule 2: whoever settles what was decided so far (InForce.settle) has what is in the log by then, too: a packet's message
is there when the call that sent it returns.
"""

from __future__ import annotations

import errno
import socket
from collections import Counter
from collections.abc import Callable, Mapping

import trio

from trio_egress.errors import PeerError
from trio_egress.kernel.nflog import DATAGRAM_BYTES, parse_packets
from trio_egress.kernel.nft import REFUSED
from trio_egress.model import Address, render_authority
from trio_egress.proxy.tally import Settle, Sum, open_tally
from trio_egress.recorder import Recorder
from trio_egress.values import frozen

BATCH = 256
"""Messages read before other tasks get their turn."""

WAITING = 16_384
"""Messages that may wait in the log by a moment, about as many as its buffer holds: those that come while they are read
are of another moment, else a flood could hold everything up."""

QUIC_PORT = 443


@frozen
class _Kind:
    """What one receipt tells of: packets of one protocol to one place, or to many places in a flood."""

    counter: str
    protocol: str
    destination: Address | None = None
    port: int | None = None
    lost: bool = False


Count = Callable[[_Kind, _Kind], None]


class Drops:
    """The refused packets of one run. `sock` is the passed log socket, and stays the caller's to close."""

    def __init__(self, sock: socket.socket, recorder: Recorder) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._recorder = recorder
        self._seen: Counter[str] = Counter()

    async def keep(self, settlers: set[Settle]) -> None:
        """Turn log messages into receipts for ever; what is waiting when this is cancelled is still read.

        As long as it runs, what tells all that is in the log so far is in `settlers`.
        """
        flushes: set[Settle] = set()
        async with open_tally(self._tell, settlers=flushes) as count:

            def settle() -> None:
                for _ in range(WAITING // BATCH):
                    if not self._read(count, BATCH):
                        break
                for flush in flushes:
                    flush()

            settlers.add(settle)
            try:
                while True:
                    await trio.lowlevel.wait_readable(self._sock)
                    self._read(count, BATCH)
            finally:
                settlers.discard(settle)
                while self._read(count, BATCH):
                    pass

    def settle(self, counters: Mapping[str, tuple[int, int]]) -> None:
        """Record what the kernel counted and the log did not tell. Only when nothing can send any more."""
        for kind in REFUSED:
            lost = counters[kind][0] - self._seen[kind]
            if lost > 0:
                self._tell(Sum(_Kind(kind, kind, lost=True), lost))
                self._seen[kind] += lost

    def _read(self, count: Count, most: int) -> bool:
        """Read up to `most` messages; whether there may be more."""
        for _ in range(most):
            try:
                raw = self._sock.recv(DATAGRAM_BYTES)
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                continue
            self._count_all(raw, count)
        return True

    def _count_all(self, raw: bytes, count: Count) -> None:
        try:
            for packet in parse_packets(raw):
                self._seen[packet.prefix] += 1
                kind = _Kind(packet.prefix, packet.protocol, packet.destination, packet.port)
                count(kind, _Kind(packet.prefix, packet.protocol))
        except PeerError:
            return  # unreadable: `settle` finds it in the counters

    def _tell(self, item: Sum[_Kind]) -> None:
        kind = item.key
        facts: dict[str, object] = {
            "counter": kind.counter,
            "proto": kind.protocol,
            "host": str(kind.destination or ""),
            "port": kind.port or 0,
        }
        if kind.lost:
            facts["lost"] = "log"
        self._recorder.drop_nowait(_render_target(kind), item.count, _explain(kind), facts)


def _render_target(kind: _Kind) -> str:
    if kind.destination is None:
        return f"{kind.protocol}:many"
    if kind.port is None:
        return f"{kind.protocol}://{kind.destination}"
    return f"{kind.protocol}://{render_authority(kind.destination, kind.port)}"


def _explain(kind: _Kind) -> str:
    if kind.protocol == "udp" and kind.port == QUIC_PORT:
        return "QUIC is refused, so that clients go on over TCP, where the policy can judge them"
    if kind.protocol == "tcp":
        return "this TCP packet opens no connection that the proxy could judge"
    return f"only TCP and DNS have a way out of the sandbox, and this is {kind.protocol}"
