"""`trio_egress.open_sandbox`: many commands in one sandbox, for programs of Trio, and of AnyIO on Trio.

There is no nursery of ours, so no group of exceptions either: each call waits in a thread of its own, and one that is
cancelled kills its command's whole tree and waits for its end before the cancellation goes on.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TypeVar

import trio

from trio_egress.errors import SandboxError
from trio_egress.evidence.report import Verdict
from trio_egress.library import commands
from trio_egress.library.commands import (
    FILE_BYTES,
    OUTPUT_BYTES,
    Done,
    Job,
    Started,
    Stream,
    Words,
    read_asked,
)
from trio_egress.library.deciding import Decide
from trio_egress.library.event import Event
from trio_egress.library.opening import Asked, Feed, OnEvent
from trio_egress.library.result import Packet
from trio_egress.library.running import FilePath
from trio_egress.library.session import Session
from trio_egress.library.trio_calls import TrioLoop

T = TypeVar("T")


class TrioProcess:
    """A command that was started. Those of its streams that are pipes are Trio's streams."""

    def __init__(self, started: Started) -> None:
        self._started = started
        streams = [None if end < 0 else trio.lowlevel.FdStream(end) for end in started.ends]
        self.stdin, self.stdout, self.stderr = streams

    def send_signal(self, number: int) -> None:
        """To its process group. Nothing where it has ended."""
        self._started.session.signal(self._started.command, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """With all that it has started, however detached."""
        self._started.session.kill(self._started.command)

    async def wait(self) -> Done:
        """Its end, without what it has written. To give up waiting for it ends nothing."""
        ended = trio.Event()
        self._started.command.ended.add_done_callback(
            partial(_tell, trio.lowlevel.current_trio_token(), ended)
        )
        await ended.wait()
        return self._started.wait()

    async def aclose(self) -> None:
        self.kill()
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        with trio.CancelScope(shield=True), suppress(Exception):
            await self.wait()


class TrioSandbox:
    """As `Sandbox`, in Trio: made by `open_sandbox`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def backend(self) -> str:
        """Which it is: `userns`, `root` or `helper`."""
        return self._session.backend

    @property
    def packet(self) -> Packet:
        """The Audit Packet, when the sandbox is closed."""
        if self._session.packet is None:
            raise SandboxError("there is no packet before the sandbox is closed")
        return self._session.packet

    @property
    def closed(self) -> bool:
        """Whether it has come to its end, or is about to."""
        return self._session.closed

    @property
    def verdict(self) -> Verdict | None:
        """Of the packet; None before there is one."""
        return self._session.verdict

    async def run(
        self,
        command: Words,
        *,
        directory: FilePath = "",
        environment: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  the command's
        input: bytes = b"",
        max_output: int = OUTPUT_BYTES,
        check_denied: bool = False,
    ) -> Done:
        """Run a command to its end, which is the end of all that it has started, too.

        `directory`: from the working directory. `environment`: beside the sandbox's own. `timeout`: seconds. `input`:
        its standard input. `max_output`: so many bytes of standard output, and of standard error, are kept.
        """
        asked = read_asked(command, directory, environment, timeout)
        call = partial(commands.run, self._session, asked, input, max_output, check_denied=check_denied)
        return await _in_thread(lambda job: call(job=job), Job(self._session))

    @asynccontextmanager
    async def spawn(
        self,
        command: Words,
        *,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        directory: FilePath = "",
        environment: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  the command's
    ) -> AsyncIterator[TrioProcess]:
        """A command that lives beside the body, and is killed with all that it has started when that is left.

        Its streams: PIPE, a file or descriptor of your own, or nothing. Raises OSError where it can't be started.
        """
        asked, streams = read_asked(command, directory, environment, timeout), (stdin, stdout, stderr)
        started = await _in_thread(partial(commands.spawn, self._session, asked, streams), Job(self._session))
        process = TrioProcess(started)
        try:
            yield process
        finally:
            await process.aclose()

    async def read_file(self, path: FilePath, *, max_bytes: int = FILE_BYTES) -> bytes:
        """A regular file as commands see it, below the working directory or by an absolute path; no link is followed.

        Raises OSError.
        """
        call = partial(commands.read_file, self._session, path, max_bytes)
        return await _in_thread(lambda _: call(), Job.of_nothing())

    async def write_file(self, path: FilePath, data: bytes) -> None:
        """The same the other way, whole or not at all. Its directory must be there."""
        await _in_thread(lambda _: commands.write_file(self._session, path, data), Job.of_nothing())

    def events(self) -> AsyncIterator[Event]:
        """Each from now on, until the sandbox is closed."""
        return _Events(self._session)


@asynccontextmanager
async def open_sandbox(
    policy: FilePath | None,
    *,
    workspace: FilePath | None = None,
    environment: Mapping[str, str] | None = None,
    allow: Sequence[str] = (),
    timeout: float | None = None,  # noqa: ASYNC109  the sandbox's
    evidence: FilePath | None = None,
    evidence_in: FilePath | None = None,
    key: FilePath | None = None,
    signer: str | None = None,
    user: str | None = None,
    on_event: OnEvent | None = None,
    decide: Decide | None = None,
    backend: str = "auto",
) -> AsyncIterator[TrioSandbox]:
    """One sandbox with one policy, one network and one chain of receipts, for as long as the body lasts.

    Arguments as of `run`; `workspace` is where commands work, `timeout` is of all of it, and `on_event` is called with
    each Event, in a thread of its own; what it raises ends the sandbox. `decide` is as of `run`, and may be async; a
    plain function is called each time in a thread of its own.
    """
    asked = Asked(
        policy=policy,
        directory=workspace,
        environment=environment,
        allow=allow,
        timeout=timeout,
        evidence=evidence,
        evidence_in=evidence_in,
        key=key,
        signer=signer,
        user=user,
        on_event=on_event,
        decide=decide,
        backend=backend,
    )
    loop = TrioLoop()
    session = asked.start(loop)
    await _in_thread(lambda _: session.begin(on_event), Job.of_opening(session))
    try:
        yield TrioSandbox(session)
    except BaseException:
        with suppress(Exception):
            await _close(session, loop)
        raise
    await _close(session, loop)


async def _close(session: Session, loop: TrioLoop) -> None:
    with trio.CancelScope(shield=True):
        try:
            await _in_thread(lambda _: session.close(), Job.of_nothing())
        finally:
            await loop.aclose()


class _Events:
    def __init__(self, session: Session) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._something = trio.Event()
        self._feed = Feed(session, self._wake)

    def _wake(self) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._tell)

    def _tell(self) -> None:
        self._something.set()

    def __aiter__(self) -> _Events:
        return self

    async def __anext__(self) -> Event:
        while True:
            self._something = trio.Event()
            try:
                event = self._feed.pop()
            except StopIteration:
                raise StopAsyncIteration from None
            if event is not None:
                await trio.lowlevel.checkpoint()
                return event
            await self._something.wait()


def _tell(token: trio.lowlevel.TrioToken, event: trio.Event, _: object) -> None:
    with suppress(trio.RunFinishedError):
        token.run_sync_soon(event.set)


async def _in_thread(call: Callable[[Job], T], job: Job) -> T:
    """See above."""
    token, done = trio.lowlevel.current_trio_token(), trio.Event()
    values: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            values.append(call(job))
        except BaseException as error:
            errors.append(error)
        _tell(token, done, None)

    await trio.lowlevel.checkpoint_if_cancelled()
    threading.Thread(target=work, daemon=True).start()
    try:
        await done.wait()
    except BaseException:
        job.give_up()
        with trio.CancelScope(shield=True):
            await done.wait()
        raise
    if errors:
        raise errors[0]
    return values[0]
