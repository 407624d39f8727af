"""A session: the commands that a program asks for, one after another and side by side, in a sandbox that stands.

The program speaks by a socket that only it has the other end of (wire/session.py); PID 1 has the commands
(kernel/commands.py). What a command writes goes by neither: its streams are the program's own pipes, handed in.

Rule 1: the session ends when the program says so, when it is gone, and by SIGTERM. What lives then is ended, and each
command has its receipt before the close.
Rule 2: what the program doesn't read holds up nothing: events beyond EVENTS_WAITING are dropped, and counted.
Rule 3: SIGINT is for the program, not for its commands, although a terminal sends it to both.
"""

from __future__ import annotations

import json
import math
import os
import signal
import socket
from array import array
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import attrs
import trio

from trio_egress.errors import PeerError
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.receipt import Draft
from trio_egress.evidence.session import OWN_TRANSPORTS
from trio_egress.kernel.streams import STREAMS, find_trouble
from trio_egress.runtime.agent import ENDING, MESSAGE_BYTES, AgentEnd, end_early
from trio_egress.runtime.orders import Orders
from trio_egress.runtime.sandbox import Sandbox
from trio_egress.runtime.session_book import Book
from trio_egress.runtime.spec import TERM_GRACE_SECONDS, End, RunSpec
from trio_egress.values import define
from trio_egress.wire import session as wire
from trio_egress.wire.session import Close, File, Kill, Request, Signal, Spawn, read_request

EVENTS_WAITING = 1000
ANSWERS_WAITING = 1024
COMMANDS_AT_ONCE = 256
FILES_AT_ONCE = 64
KILLED_SECONDS = 5.0
_ROOM = socket.CMSG_LEN(array("i").itemsize * wire.STREAMS)
_WORDS = ("transport", "method", "target", "layer", "phase", "verdict")
_TOLD = ("host", "proto", "reason", "rule")


@define(eq=False)
class _Live:
    """A command between its request and its end."""

    number: int
    argv: tuple[str, ...]
    begun: float
    timed_out: bool = False
    timer: trio.CancelScope = attrs.field(factory=trio.CancelScope)


@define(slots=False, eq=False)
class Host:
    """The program at the other end of `sock`. One session long."""

    sock: socket.socket
    idle_seconds: float = attrs.field(default=math.inf, kw_only=True)
    """How long it may say nothing while no command lives."""

    _live: dict[int, _Live] = attrs.field(factory=dict, init=False)
    _files: set[int] = attrs.field(factory=set, init=False)
    _end: AgentEnd | None = attrs.field(default=None, init=False)
    _over: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _quiet: trio.Event = attrs.field(factory=trio.Event, init=False)
    _told: deque[tuple[dict[str, object], list[int]]] = attrs.field(factory=deque, init=False)
    _something: trio.Event = attrs.field(factory=trio.Event, init=False)
    _waiting: int = attrs.field(default=0, init=False)
    commands: int = attrs.field(default=0, init=False)
    """Those that have a receipt."""

    _dropped: tuple[int, int] = attrs.field(default=(0, 0), init=False)
    """Events, and how many of them were denials."""

    def join(self, spec: RunSpec) -> RunSpec:
        return attrs.evolve(spec, host=self, watch=self.note)

    @contextmanager
    def open_streams(self) -> Iterator[tuple[int, ...]]:
        """What the sandbox is to have as 0, 1 and 2: nothing."""
        nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            yield (nowhere,) * len(STREAMS)
        finally:
            os.close(nowhere)

    def note(self, draft: Draft) -> None:
        """A receipt before it is signed; what came of an attempt that was allowed is told by its outcome alone."""
        if draft.transport in OWN_TRANSPORTS or draft.parent_id or draft.transport == "receipt_session":
            return
        denied = draft.verdict == "block"
        if self._waiting >= EVENTS_WAITING:
            self._dropped = self._dropped[0] + 1, self._dropped[1] + _count(draft) * denied
            return
        words = {name: escape_text(str(getattr(draft, name))) for name in _WORDS}
        facts = {name: escape_text(str(draft.facts.get(name, ""))) for name in _TOLD}
        port = draft.facts.get("port")
        self._tell(
            "event", (), **words, **facts, port=port if isinstance(port, int) else 0, count=_count(draft)
        )
        self._waiting += 1

    async def serve(
        self,
        sandbox: Sandbox,
        orders: Orders,
        timeout_seconds: float | None,
        book: Book,
    ) -> AgentEnd:
        """Until the session is over, and all its commands are."""
        if not orders.start_agent():
            return end_early(orders)
        self.sock.setblocking(False)
        self._host = trio.socket.from_stdlib_socket(self.sock)
        self._sandbox, self._book, self._orders = sandbox, book, trio.Lock()
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._keep_inside)
            await self._say(step="serve")
            with self._over:
                self._nursery.start_soon(self._keep_host_told)
                self._nursery.start_soon(self._keep_signals, orders.for_agent)
                if timeout_seconds is not None:
                    self._nursery.start_soon(self._keep_time, timeout_seconds)
                await self._keep_host()
            await self._wind_down()
            self._nursery.cancel_scope.cancel()
        assert self._end is not None
        return self._end

    def _finish(self, end: AgentEnd) -> None:
        self._end = self._end or end
        self._over.cancel()

    async def _wind_down(self) -> None:
        """What lives may take its two seconds, unless the program itself has said that it is over."""
        assert self._end is not None
        if self._live and self._end.end is not End.EXITED:
            for number in list(self._live):
                await self._signal(number, signal.SIGTERM)
            with trio.move_on_after(TERM_GRACE_SECONDS):
                await self._wait_quiet()
        for number in list(self._live):
            await self._say(step="kill", command=number)
        with trio.move_on_after(KILLED_SECONDS):
            await self._wait_quiet()
        for live in list(self._live.values()):
            self._record(live, {"reason": "it was still there when the sandbox was ended"})

    async def _wait_quiet(self) -> None:
        while self._live:
            self._quiet = trio.Event()
            await self._quiet.wait()

    async def _keep_signals(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number in ENDING:
                name = signal.Signals(number).name
                self._finish(AgentEnd(End.TERMINATED, -number, f"ended by {name}"))

    async def _keep_time(self, seconds: float) -> None:
        await trio.sleep(seconds)
        message = f"the session was ended after {seconds:g} s, its time-out"
        self._finish(AgentEnd(End.TIMED_OUT, -signal.SIGTERM, message))

    # the program

    async def _keep_host(self) -> None:
        gone = AgentEnd(End.TERMINATED, -signal.SIGTERM, "the program that had opened the session is gone")
        while True:
            try:
                with trio.move_on_after(self.idle_seconds) as patience:
                    raw, ancillary, flags, _ = await self._host.recvmsg(
                        wire.MESSAGE_BYTES, _ROOM, socket.MSG_CMSG_CLOEXEC
                    )
            except OSError:
                return self._finish(gone)
            if patience.cancelled_caught:
                if self._live:
                    continue
                return self._finish(
                    attrs.evolve(gone, message=f"nothing was asked for {self.idle_seconds:g} s")
                )
            descriptors = [number for _, _, data in ancillary for number in array("i", data)]
            try:
                if not raw:
                    return self._finish(gone)
                if flags & socket.MSG_CTRUNC:
                    raise PeerError("more descriptors beside a request than any takes")
                request = read_request(raw, len(descriptors))
                if isinstance(request, Close):
                    return self._finish(AgentEnd(End.EXITED, 0))
                await self._obey(request, descriptors)
            except PeerError as error:
                return self._finish(AgentEnd(End.TERMINATED, -signal.SIGTERM, str(error)))
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    async def _obey(self, request: Request, descriptors: Sequence[int]) -> None:
        match request:
            case Spawn():
                await self._spawn(request, descriptors)
            case Signal(number, which) if number in self._live:
                await self._signal(number, which)
            case Kill(number) if number in self._live:
                await self._say(step="kill", command=number)
            case File(number, path, writes):
                if number in self._files or len(self._files) >= FILES_AT_ONCE:
                    self._tell(
                        "file", number=number, errno=0, error=f"{FILES_AT_ONCE} files are on their way"
                    )
                    return
                self._files.add(number)
                await self._say(descriptors, step="file", file=number, path=path, writes=writes)

    async def _spawn(self, request: Spawn, streams: Sequence[int]) -> None:
        number = request.number
        trouble = next(filter(None, map(find_trouble, streams)), "")
        if trouble:
            trouble = f"a stream is {trouble}, by which the command could leave the sandbox"
        elif len(self._live) >= COMMANDS_AT_ONCE:
            trouble = f"{COMMANDS_AT_ONCE} commands live already"
        elif number in self._live:
            trouble = "its number is another's"
        if trouble:
            self._tell("not_started", number=number, errno=0, message=trouble)
            return
        live = self._live[number] = _Live(number, request.argv, trio.current_time())
        if request.timeout is not None:
            self._nursery.start_soon(self._keep_command_time, live, request.timeout)
        await self._say(
            streams,
            step="spawn",
            command=number,
            argv=request.argv,
            directory=request.directory,
            environment=request.environment,
        )

    async def _keep_command_time(self, live: _Live, seconds: float) -> None:
        with live.timer:
            await trio.sleep(seconds)
            live.timed_out = True
            await self._signal(live.number, signal.SIGTERM)
            await trio.sleep(TERM_GRACE_SECONDS)
            await self._say(step="kill", command=live.number)

    async def _signal(self, number: int, which: int) -> None:
        """One that is stopped hears of it, too."""
        await self._say(step="signal", command=number, signal=int(which))
        if which in ENDING:
            await self._say(step="signal", command=number, signal=int(signal.SIGCONT))

    def _tell(self, step: str, descriptors: Sequence[int] = (), **members: object) -> None:
        if len(self._told) - self._waiting >= ANSWERS_WAITING:
            for descriptor in descriptors:
                os.close(descriptor)
            text = f"the program leaves {ANSWERS_WAITING} answers unread"
            self._finish(AgentEnd(End.TERMINATED, -signal.SIGTERM, text))
            return
        self._told.append(({"step": step, **members}, list(descriptors)))
        self._something.set()

    async def _keep_host_told(self) -> None:
        while True:
            if not self._told:
                self._something = trio.Event()
                await self._something.wait()
            members, descriptors = self._told.popleft()
            if members["step"] == "event":
                self._waiting -= 1
                (dropped, denied), self._dropped = self._dropped, (0, 0)
                members |= {"dropped": dropped, "dropped_denied": denied}
            try:
                await _send(self._host, members, descriptors)
            except OSError:
                return  # it is gone, and `_keep_host` says so
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    # PID 1

    async def _say(self, descriptors: Sequence[int] = (), **members: object) -> None:
        async with self._orders:
            try:
                await _send(self._sandbox.control, members, descriptors)
            except (OSError, trio.ClosedResourceError):
                return  # it is gone, and `_keep_inside` says so

    async def _keep_inside(self) -> None:
        room = socket.CMSG_LEN(array("i").itemsize)
        receive = partial(self._sandbox.control.recvmsg, MESSAGE_BYTES, room, socket.MSG_CMSG_CLOEXEC)
        while True:
            try:
                raw, ancillary, _, _ = await receive()
            except (OSError, trio.ClosedResourceError):
                raw, ancillary = b"", []
            message: dict[str, Any] = json.loads(raw) if raw else {"step": "failed"}
            if message["step"] == "failed":
                text = message.get("message", "the sandbox was killed from outside")
                self._live.clear()
                self._quiet.set()
                return self._finish(AgentEnd(End.KILLED, -signal.SIGKILL, text))
            self._take(message, [number for _, _, data in ancillary for number in array("i", data)])

    def _take(self, message: dict[str, Any], descriptors: list[int]) -> None:
        match message.pop("step"):
            case "refused":
                self._book.refused(message)
            case "serving":
                self._tell("ready")
            case "file":
                self._files.discard(number := message.pop("file"))
                error = message.get("error") or ""
                errno = message.get("errno") or 0
                self._tell("file", () if error else descriptors, number=number, errno=errno, error=error)
            case "started":
                self._tell("started", number=message["command"])
            case "not_started" if (live := self._live.pop(message["command"], None)) is not None:
                self._record(live, {"reason": f"not started: {message['message']}"})
                self._leave(live)
                errno, why = message["errno"] or 0, message["message"] or ""
                self._tell("not_started", number=live.number, errno=errno, message=why)
            case "exited" if (live := self._live.pop(message["command"], None)) is not None:
                limit = message["limit"]["name"] if message["limit"] else ""
                code = message["code"]
                how = f"ended with {code}" if code >= 0 else f"was ended by signal {-code}"
                facts = {"agent_exit_code": code, "limit": limit or None}
                self._record(live, {"reason": f"{os.path.basename(live.argv[0])} {how}", **facts})
                self._leave(live)
                late = live.timed_out
                self._tell("exited", number=live.number, code=code, limit=limit, timed_out=late)

    def _leave(self, live: _Live) -> None:
        live.timer.cancel()
        self._quiet.set()

    def _record(self, live: _Live, facts: Mapping[str, object]) -> None:
        self._live.pop(live.number, None)
        told = {
            "command_number": live.number,
            "program": os.path.basename(live.argv[0]),
            "arguments": len(live.argv) - 1,
            "duration_us": int((trio.current_time() - live.begun) * 1_000_000),
            "timed_out": live.timed_out or None,
        }
        self._book.settle()  # so that what was denied while it lived is told before its end
        self._book.command({**told, **facts})
        self.commands += 1


def _count(draft: Draft) -> int:
    count = draft.facts.get("count", 1)
    return count if isinstance(count, int) else 1


async def _send(
    sock: trio.socket.SocketType, members: Mapping[str, object], descriptors: Sequence[int]
) -> None:
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
    await sock.sendmsg([json.dumps(members).encode("ascii")], beside)
