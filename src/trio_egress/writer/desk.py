"""Whoever signs receipts and takes them to disk, group after group; where that is done is `thread` or `process`.

Rule 1: a desk owns chain and journal for as long as it is open; nobody else signs or writes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from trio_egress.evidence.anchor import Anchor
from trio_egress.evidence.chain import Chain
from trio_egress.evidence.checkpoint import CHECKPOINT_NAME
from trio_egress.evidence.journal import Journal
from trio_egress.evidence.sign import PublicKey
from trio_egress.values import frozen

Order = Callable[[Chain], bytes]
"""What makes the line of one receipt, timed when asked for: `partial(Chain.append, draft=…, now_ns=…)`."""


@frozen
class Written:
    """A group that is on disk. `head`: the hash of its last line; `public_hex`: whose signature it has; `seconds`: what
    the disk took."""

    head: str
    public_hex: PublicKey
    durable_bytes: int
    seconds: float
    lines: tuple[bytes, ...] = attrs.field(repr=False)
    """Where somebody wants copies."""

    anchor: Anchor | None = None
    """The log's state, where the group is marked."""


class Desk:
    """Chain, journal, and what is done with a group. Blocks. `copies`: the lines are told."""

    def __init__(self, chain: Chain, journal: Journal, *, copies: bool) -> None:
        self.chain = chain
        self.journal = journal
        self._copies = copies

    def write(self, orders: Sequence[Order], *, marked: bool) -> Written:
        """Sign, write, sync. Raises RecorderError, and then so does every later call."""
        lines = [order(self.chain) for order in orders]
        started = time.monotonic()
        self.journal.write(lines)
        self.journal.sync()
        seconds = time.monotonic() - started
        if marked:  # never of more than is on disk
            self.journal.put(CHECKPOINT_NAME, self.chain.sign_checkpoint())
        return Written(
            head=self.chain.head,
            public_hex=self.chain.signer.public_hex,
            durable_bytes=self.journal.durable_bytes,
            seconds=seconds,
            lines=tuple(lines) if self._copies else (),
            anchor=self.chain.anchor if marked else None,
        )


class Writer(Protocol):
    """A desk that is elsewhere. Of the loop's thread."""

    async def write(self, orders: Sequence[Order], *, marked: bool) -> Written:
        """Raises what the desk raises, and RecorderError where there is nobody at it any more."""

    async def close(self) -> None:
        """Nothing is written any more. Not cancellable, and takes two seconds at most."""
