"""The messages of a WebSocket: how many there may be, and how each is looked through.

Knows no frame: content in, and how much of it may go on. What a finding means is inspection.py's to say.

Rule 1: a message of up to `whole` bytes waits until it is whole; of a longer one, what nothing can begin in any more
        goes on. What it says beneath its compression is what counts.
Rule 2: a control frame is looked through by itself: it says 125 bytes at most, and waits for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trio_egress.errors import TrioEgressError
from trio_egress.evidence.scan_facts import in_message
from trio_egress.model import Layer, Rate
from trio_egress.policy.budget import INTERVALS
from trio_egress.proxy.scan import LOOKED_BYTES, Blocked

if TYPE_CHECKING:
    from trio_egress.content.detector import Finding
    from trio_egress.proxy.inspection import Inspector

HELD_PART_BYTES = 512
"""What a held piece costs beside its bytes: a frame may have none."""


class Refused(TrioEgressError):
    """What a rule doesn't allow of messages."""

    def __init__(self, reason: str, layer: Layer) -> None:
        super().__init__(reason)
        self.layer = layer


class Clock:
    """Counts one side's messages, interval by interval."""

    def __init__(self, rate: Rate | None) -> None:
        self._rate = rate
        self._since = 0.0
        self._count = 0

    def count(self) -> None:
        """One more. Raises Refused where it is one too many."""
        rate = self._rate
        if rate is None:
            return
        now = trio.current_time()
        if not self._count or now >= self._since + INTERVALS[rate.interval]:
            self._since, self._count = now, 0
        self._count += 1
        if self._count > rate.count:
            said = f"the rule allows {rate} messages: a human can raise `websocket.messages`"
            raise Refused(said, Layer.LIMIT)


class MessageLook:
    """One side's messages, looked through one after the other. `answers`: they are what the agent gets."""

    def __init__(self, inspector: Inspector, *, answers: bool) -> None:
        self._inspector = inspector
        self._answers = answers
        self._place = in_message(answer=answers)
        self._way = inspector.incoming if answers else inspector.out
        self._begin = bytearray()
        self._held = 0
        self._open()

    def _open(self) -> None:
        self._stream = self._inspector.scanner.open(self._way)
        self._fed = 0
        self._unread = False
        self._begin.clear()

    @property
    def settled(self) -> int:
        """So much of the message may go on before its end; -1 where not even its beginning may."""
        if self._unread:
            return self._fed
        return -1 if self._fed <= self._inspector.terms.whole else self._stream.settled

    def hold(self, size: int) -> None:
        """A piece waits. Where there is no room for more, its message is not looked through; Blocked, unless the policy
        lets that by."""
        try:
            self._inspector.reserve(size + HELD_PART_BYTES)
        except Blocked as full:
            self._inspector.leave_unread(str(full))
            self._unread = True
        else:
            self._held += size + HELD_PART_BYTES

    def let_go(self, size: int) -> None:
        """It goes on."""
        cost = min(size + HELD_PART_BYTES, self._held)
        self._inspector.release(cost)
        self._held -= cost

    async def feed(self, data: bytes) -> None:
        """The next piece of a message. Raises Blocked."""
        self._fed += len(data)
        if self._unread:
            return
        if not self._answers and len(self._begin) < LOOKED_BYTES:
            self._begin += data[: LOOKED_BYTES - len(self._begin)]
        await self._judge(self._stream.feed(data))

    async def finish(self) -> None:
        """Its end. Raises Blocked."""
        if not self._unread:
            await self._judge(self._stream.finish())
        if not self._answers:
            await self._judge(self._inspector.find_pieces(bytes(self._begin)))
        self._open()

    async def look_at(self, payload: bytes) -> None:
        """What a control frame says. Raises Blocked."""
        await self._judge(self._inspector.scanner.scan(payload, self._way))
        if not self._answers:
            await self._judge(self._inspector.find_pieces(payload))

    async def _judge(self, findings: list[Finding]) -> None:
        if findings:
            await self._inspector.judge_and_tell([(finding, self._place) for finding in findings])
