"""The program that has asked for a run, asked about each attempt that its policy allows (`trio_egress.run(decide=…)`).

Rule 1: it is never waited for without an end, neither to take a question nor to answer it.
Rule 2: whoever has passed the socket on may have kept it, and what it says of waiting (O_NONBLOCK) is for both: each
call says by itself that it doesn't wait.
Rule 3: a program that breaks the rules of `wire/approval.py`, or hangs up, is gone: nothing is allowed from then on.
"""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import attrs
import trio

from trio_egress.errors import PeerError
from trio_egress.proxy.approval import ApproverError, Question, Said
from trio_egress.runtime.terminal import Terminal
from trio_egress.values import define
from trio_egress.wire.approval import Answer, Asker

GONE = "the program that decides is gone"
CHUNK_BYTES = 65536


@define(eq=False)
class _Waiting:
    event: trio.Event = attrs.field(factory=trio.Event)
    answer: Answer | None = None


class ProgramApprover:
    """Of one run. `descriptor`: of the stream socket to the program, which is this one's from now on."""

    kind = "program"
    everything = True

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._sock = socket.socket(fileno=descriptor)
        if self._sock.type != socket.SOCK_STREAM:
            raise ValueError("not a stream socket")
        self._talk = Asker()
        self._stream: trio.socket.SocketType | None = None
        self._nursery: trio.Nursery | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._sending = trio.Lock()

    @asynccontextmanager
    async def use(self, terminal: Terminal | None) -> AsyncIterator[None]:
        """For as long as the agent lives."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._stream = trio.socket.from_stdlib_socket(self._sock)
            nursery.start_soon(self._keep_answers, self._stream)
            try:
                yield
            finally:
                self._hang_up()
                self._nursery = None
                nursery.cancel_scope.cancel()

    async def ask(self, question: Question) -> Said:
        attempt = question.attempt
        try:
            number, raw = self._talk.ask(
                transport=attempt.transport.value,
                protocol=attempt.protocol.value,
                host=str(attempt.host),
                port=attempt.port,
                method=attempt.method,
                path=attempt.path,
                query=sorted(attempt.query or ()),
                secure=attempt.secure,
                websocket=attempt.websocket,
                service=attempt.service,
                rule="" if question.rule is None else str(question.rule),
                reason=question.why,
                marked=question.marked,
                seconds=round(question.seconds),
            )
        except ValueError:
            raise ApproverError("it is too long to be asked about") from None
        waiting = self._waiting[number] = _Waiting()
        sent = False
        try:
            await self._send(raw)
            sent = True
            await waiting.event.wait()
        finally:
            self._waiting.pop(number, None)
            self._end(number, sent=sent)
        if waiting.answer is None:
            raise ApproverError(GONE)
        return Said(waiting.answer.allow, waiting.answer.by, waiting.answer.reason)

    async def _send(self, raw: bytes) -> None:
        """A frame, whole: where time runs out in the middle of one, there is no telling what the program has."""
        async with self._sending:
            if self._stream is None:
                raise ApproverError(GONE)
            sent = False
            try:
                rest = memoryview(raw)
                while rest:
                    rest = rest[await self._stream.send(rest, socket.MSG_DONTWAIT) :]
                sent = True
            except (OSError, trio.ClosedResourceError):
                raise ApproverError(GONE) from None
            finally:
                if not sent:
                    self._hang_up()

    def _end(self, number: int, *, sent: bool) -> None:
        """Not a checkpoint: that it is over is told when there is time."""
        try:
            over = self._talk.end(number)
        except PeerError:
            self._hang_up()
            return
        if over and sent and self._nursery is not None and self._stream is not None:
            self._nursery.start_soon(self._tell, over)

    async def _tell(self, raw: bytes) -> None:
        with suppress(ApproverError):
            await self._send(raw)

    async def _keep_answers(self, stream: trio.socket.SocketType) -> None:
        try:
            while raw := await stream.recv(CHUNK_BYTES, socket.MSG_DONTWAIT):
                for number, answer in self._talk.feed(raw):
                    waiting = self._waiting.get(number)
                    if waiting is not None:
                        waiting.answer = answer
                        waiting.event.set()
        except (PeerError, OSError, trio.ClosedResourceError):
            pass
        self._hang_up()

    def _hang_up(self) -> None:
        """Not a checkpoint. Whoever waits is told that there is nobody any more."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        for waiting in self._waiting.values():
            waiting.event.set()
