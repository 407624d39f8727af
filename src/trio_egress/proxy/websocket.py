"""A WebSocket between the agent and an upstream, once both have agreed: frames both ways, counted and bounded.

Sees no socket and no HTTP: two pipes, in bytes. What a frame may be is wire/websocket.py's to say, and what a message
may hold is messages.py's.

Rule 1: a frame goes on as it was cut, and only what was read as one; its payload as it came, compressed or not.
Rule 2: a message that is looked through waits until nothing more can be found in what goes on; control frames don't.
Rule 3: a denial is told to both sides by a close frame, unless one of their frames is cut in two; then both are closed.
Rule 4: the counts are of what went on, and stand in the outcome whatever ends it.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import trio

from trio_egress.errors import PeerError, UpstreamError
from trio_egress.model import Layer, MessageTerms
from trio_egress.proxy.ends import Pipe
from trio_egress.proxy.gate import Limits
from trio_egress.proxy.ledger import Account, UsedUp
from trio_egress.proxy.messages import Clock, MessageLook, Refused
from trio_egress.proxy.peer import Count
from trio_egress.proxy.relay import Meter, Patience
from trio_egress.proxy.scan import Blocked
from trio_egress.recorder import Flow
from trio_egress.values import frozen
from trio_egress.wire.inflation import Inflater
from trio_egress.wire.websocket import (
    KEY_BYTES,
    BadFrame,
    Closing,
    Code,
    Content,
    Opcode,
    Part,
    Reader,
    Side,
    TooBig,
    Writer,
)
from trio_egress.wire.websocket_opening import Opened

TURN_EVENTS = 64
"""Pieces of frames and of messages in one turn of the loop: some 2 ms of the smallest ones."""

BATCH_BYTES = 64 * 1024
"""What goes out in one write."""

CLOSING_SECONDS = 10.0
"""Silence of a connection on which a side has said that it is done (the closing time-out of Python's `websockets`)."""


@frozen
class Ended:
    """How it ended. `fault`: None for a clean end. `said`: the agent has seen an end, and needs no reset."""

    fault: str | None = None
    said: bool = True


@frozen
class _Last:
    """What ends it early. `to_agent`, `to_upstream`: the codes that they are told; None: reset, as the other was."""

    reason: str
    to_agent: Code | None = None
    to_upstream: Code | None = None
    layer: Layer | None = None
    blocked: bool = False


class Lane:
    """One direction: what `source` says, on its way to `sink`. `look`: what looks through it, if anything does."""

    def __init__(
        self,
        side: Side,
        source: Pipe,
        sink: Pipe,
        count: Count,
        opened: Opened,
        terms: MessageTerms,
        look: MessageLook | None = None,
    ) -> None:
        self._source = source
        self._sink = sink
        self._count = count
        self._look = look
        self._clock = Clock(terms.messages)
        self._binary = terms.binary
        self._reader = Reader(side, most=terms.message_bytes, inflater=_open_inflater(opened, side))
        self._writer = Writer(_make_key if side is Side.CLIENT else None)
        self._out = bytearray()
        self._torn = False
        self._waiting: deque[tuple[Part, int]] = deque()
        self._content = self._gone = 0
        self.frames = self.messages = self.message_bytes = 0
        self.code: int | None = None
        self.closed = False
        """Whether the source has said that it closes."""

    async def carry(self, tell_closed: Callable[[], None]) -> None:
        """Until the source has ended. Raises BadFrame, Refused, Blocked, UsedUp, and either side's fault."""
        while raw := await self._source.recv():
            fault: BadFrame | Refused | Blocked | None = None
            try:
                await self._pass_on(raw)
            except (BadFrame, Refused, Blocked) as error:
                fault = error
            await self._flush()  # what came before it was good
            if fault is not None:
                raise fault
            if self.closed:
                tell_closed()
        self._sink.end()

    async def close(self, code: Code, reason: str) -> bool:
        """Tell the sink that it is over, if there is a way. Whether it was told, now or by the source itself."""
        if self._torn or self._writer.in_frame:
            return False
        if not self._writer.closed:
            self._out += self._writer.render_close(code, reason)
            await self._flush()
        return True

    async def _pass_on(self, raw: bytes) -> None:
        """What may go on of it, into `_out`."""
        for number, event in enumerate(self._reader.feed(raw), 1):
            match event:
                case Content():
                    await self._take_content(event)
                case Closing(code=code):
                    self.code, self.closed = code, True
                case Part():
                    await self._take_part(event)
            if number % TURN_EVENTS == 0 or len(self._out) >= BATCH_BYTES:
                await self._flush()

    async def _take_content(self, piece: Content) -> None:
        self._content += len(piece.data)
        if self._look is not None:
            await self._look.feed(piece.data)

    async def _take_part(self, part: Part) -> None:
        look = self._look
        if part.frame.is_control:
            if look is not None and part.payload:
                await look.look_at(part.payload)
            self._put(part)
            return
        if part.frame.opcode is Opcode.BINARY and not self._binary:
            raise Refused("binary messages are not allowed", Layer.RULE)
        ends = part.ends and part.frame.last
        if ends:
            self._clock.count()
        if look is None:
            self._put(part, self._content)
        else:
            look.hold(len(part.payload))
            self._waiting.append((part, self._content))
            if ends:
                await look.finish()
            self._release(look, self._content if ends else look.settled)
        if ends:
            self._content = self._gone = 0

    def _release(self, look: MessageLook, settled: int) -> None:
        """What waits, as far as nothing more can be found in it."""
        while self._waiting and self._waiting[0][1] <= settled:
            part, content = self._waiting.popleft()
            look.let_go(len(part.payload))
            self._put(part, content)

    def _put(self, part: Part, content: int | None = None) -> None:
        """A part that goes on. `content`: how much of its message has gone with it."""
        self._out += self._writer.render(part)
        self.frames += part.ends
        if content is not None:
            self.message_bytes += content - self._gone
            self._gone = content
            self.messages += part.ends and part.frame.last

    async def _flush(self) -> None:
        if not self._out:
            await trio.lowlevel.checkpoint()
            return
        raw = bytes(self._out)
        self._out.clear()
        self._torn = True
        await self._sink.send(raw, self._count)
        self._torn = False


class Relay:
    """Both directions of one connection."""

    def __init__(
        self,
        agent: Pipe,
        upstream: Pipe,
        opened: Opened,
        flow: Flow,
        limits: Limits,
        *,
        terms: MessageTerms,
        account: Account | None = None,
        looks: tuple[MessageLook | None, MessageLook | None] = (None, None),
    ) -> None:
        self._pipes = agent, upstream
        self._flow = flow
        self._limits = limits
        self._terms = terms
        self._patience = Patience(limits.tunnel_idle_seconds)
        meter = Meter(flow, self._patience, account)
        self._up = Lane(Side.CLIENT, agent, upstream, meter.up, opened, terms, looks[0])
        self._down = Lane(Side.SERVER, upstream, agent, meter.down, opened, terms, looks[1])
        self._last: _Last | None = None

    async def run(self) -> Ended:
        """Until both sides have ended, or one thing ends it early; the agent's pipe is still to be closed."""
        try:
            await self._carry()
            last = self._last
            if last is None:
                return await self._end()
            self._flow.fail(last.reason, last.layer, blocked=last.blocked)
            return Ended(last.reason, said=await self._say(last))
        finally:
            self._note()

    async def _carry(self) -> None:
        with trio.move_on_after(self._terms.seconds or float("inf")) as time:
            with self._patience.open_scope():
                async with trio.open_nursery() as both:
                    both.start_soon(self._carry_one, self._up, both.cancel_scope)
                    both.start_soon(self._carry_one, self._down, both.cancel_scope)
            if self._patience.ran_out and self._last is None and not (self._up.closed and self._down.closed):
                silence = f"both sides were silent for {self._patience.seconds:g} s"
                self._last = _Last(silence, Code.GOING_AWAY, Code.GOING_AWAY)
        if time.cancelled_caught and self._last is None:
            said = f"the rule allows a WebSocket {self._terms.seconds:g} s, and these are over"
            self._last = _Last(said, Code.POLICY, Code.GOING_AWAY, Layer.LIMIT)

    async def _carry_one(self, lane: Lane, scope: trio.CancelScope) -> None:
        def hurry() -> None:
            """One side is done: the other has no reason to be silent for long. When both are, it is over."""
            self._patience.hurry(CLOSING_SECONDS)
            if self._up.closed and self._down.closed:
                scope.cancel()

        try:
            await lane.carry(hurry)
            hurry()
            return
        except BadFrame as fault:
            last = self._blame(lane, fault)
        except Refused as refused:
            last = _Last(str(refused), Code.POLICY, Code.POLICY, refused.layer, blocked=True)
        except Blocked as blocked:
            last = _Last(str(blocked), Code.POLICY, Code.POLICY, Layer.SCAN, blocked=True)
        except UsedUp as cut:
            last = _Last(str(cut), Code.POLICY, Code.GOING_AWAY, Layer.LIMIT)
        except (PeerError, UpstreamError) as fault:
            if self._up.closed and self._down.closed:  # how the connections end after that is no matter
                scope.cancel()
                return
            last = _Last(str(fault))
        self._last = self._last or last
        scope.cancel()

    def _blame(self, lane: Lane, fault: BadFrame) -> _Last:
        """Whoever broke the protocol is told how, and the other that it is over."""
        if isinstance(fault, TooBig):
            said = f"{fault}: a human can raise `websocket.message`"
            return _Last(said, fault.code, fault.code, Layer.LIMIT, blocked=True)
        if lane is self._up:
            said = f"the agent broke the WebSocket protocol: {fault}"
            return _Last(said, fault.code, Code.GOING_AWAY, Layer.MALFORMED, blocked=True)
        said = f"the upstream broke the WebSocket protocol: {fault}"
        return _Last(said, Code.BAD_GATEWAY, fault.code, Layer.MALFORMED, blocked=True)

    async def _end(self) -> Ended:
        if self._up.closed and self._down.closed:
            with trio.move_on_after(self._limits.linger_seconds), suppress(PeerError, UpstreamError):
                await self._leave_upstream()
            return Ended()
        who = "the upstream" if self._up.closed else "the agent"
        if not self._up.closed and not self._down.closed:
            who = "both sides"
        fault = f"{who} ended without a close frame"
        self._flow.fail(fault)
        return Ended(fault)

    async def _say(self, last: _Last) -> bool:
        """The close frames, for as long as somebody takes them. Whether the agent has one."""
        said: list[bool] = []

        async def tell(lane: Lane, code: Code | None, reason: str) -> None:
            if code is None:
                return
            with suppress(PeerError, UpstreamError, UsedUp):
                if not await lane.close(code, reason):
                    return
                if lane is self._down:
                    said.append(True)
                else:
                    await self._leave_upstream()

        with trio.move_on_after(self._limits.linger_seconds):
            async with trio.open_nursery() as both:
                both.start_soon(tell, self._down, last.to_agent, last.reason)
                both.start_soon(tell, self._up, last.to_upstream, "")
        return bool(said)

    async def _leave_upstream(self) -> None:
        """So that no reset overtakes what was said last."""
        upstream = self._pipes[1]
        upstream.end()
        drained = 0
        while drained < self._limits.linger_bytes and (raw := await upstream.recv()):
            drained += len(raw)

    def _note(self) -> None:
        up, down = self._up, self._down
        self._flow.note(
            frames_up=up.frames,
            frames_down=down.frames,
            messages_up=up.messages,
            messages_down=down.messages,
            message_bytes_up=up.message_bytes,
            message_bytes_down=down.message_bytes,
            close_up=up.code,
            close_down=down.code,
        )


def _open_inflater(opened: Opened, side: Side) -> Inflater | None:
    deflate = opened.deflate
    if deflate is None:
        return None
    return Inflater(
        takes_over=deflate.client_takes_over if side is Side.CLIENT else deflate.server_takes_over
    )


def _make_key() -> bytes:
    return os.urandom(KEY_BYTES)
