"""`trio_egress.Sandbox`: many commands in one sandbox, for plain programs (`with`) and those of asyncio (`async with`).

Rule 1: nothing blocks the loop: each call waits in a thread of its own. One that is cancelled kills its command's whole
tree and waits for its end, and then the cancellation goes on.
Rule 2: what leaves the body closes the sandbox: what lives is killed, the chain closed and signed, the packet written.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

from trio_egress.errors import SandboxError
from trio_egress.evidence.report import Verdict
from trio_egress.library import commands
from trio_egress.library.commands import (
    FILE_BYTES,
    OUTPUT_BYTES,
    Done,
    Job,
    Stream,
    Words,
    read_asked,
)
from trio_egress.library.deciding import Decide
from trio_egress.library.event import Event
from trio_egress.library.opening import Asked, Feed, OnEvent
from trio_egress.library.processes import AsyncProcess, Process
from trio_egress.library.result import Packet
from trio_egress.library.running import FilePath
from trio_egress.library.session import Session
from trio_egress.library.waiting import in_thread

if TYPE_CHECKING:
    from trio_egress.library.asyncio_calls import AsyncioLoop


class Sandbox:
    """One sandbox with one policy, one network and one chain of receipts, for as long as its body lasts.

    Arguments as of `run`; `workspace` is where commands work, `timeout` is of all of it, and `on_event` is called with
    each Event, in a thread of its own; what it raises ends the sandbox. `decide` is as of `run`, and may be async in
    asyncio: then it is called in the loop, else each time in a thread of its own.
    """

    def __init__(
        self,
        policy: FilePath | None,
        *,
        workspace: FilePath | None = None,
        environment: Mapping[str, str] | None = None,
        allow: Sequence[str] = (),
        timeout: float | None = None,
        evidence: FilePath | None = None,
        evidence_in: FilePath | None = None,
        key: FilePath | None = None,
        signer: str | None = None,
        user: str | None = None,
        on_event: OnEvent | None = None,
        decide: Decide | None = None,
        backend: str = "auto",
    ) -> None:
        self._asked = Asked(
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
        self._loop: AsyncioLoop | None = None
        self._session: Session | None = None

    @property
    def backend(self) -> str:
        """Which it is: `userns`, `root` or `helper`."""
        return self._living.backend

    @property
    def packet(self) -> Packet:
        """The Audit Packet, when the sandbox is closed."""
        packet = self._living.packet
        if packet is None:
            raise SandboxError("there is no packet before the sandbox is closed")
        return packet

    @property
    def closed(self) -> bool:
        """Whether it has come to its end, or is about to."""
        return self._living.closed

    @property
    def verdict(self) -> Verdict | None:
        """Of the packet; None before there is one."""
        return self._living.verdict

    @property
    def _living(self) -> Session:
        if self._session is None:
            raise SandboxError("the sandbox is not open: use it as `with` or `async with`")
        return self._session

    def _start(self) -> Session:
        if self._session is not None:
            raise SandboxError("a sandbox is opened once")
        self._session = self._asked.start(self._loop)
        return self._session

    # plain programs

    def __enter__(self) -> Sandbox:
        self._start().begin(self._asked.on_event)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._living.close()
        except Exception:
            if error is None:
                raise

    def run(
        self,
        command: Words,
        *,
        directory: FilePath = "",
        environment: Mapping[str, str] | None = None,
        timeout: float | None = None,
        input: bytes = b"",
        max_output: int = OUTPUT_BYTES,
        check_denied: bool = False,
    ) -> Done:
        """Run a command to its end, which is the end of all that it has started, too.

        `directory`: from the working directory. `environment`: beside the sandbox's own. `timeout`: seconds. `input`:
        its standard input. `max_output`: so many bytes of standard output, and of standard error, are kept.
        """
        asked = read_asked(command, directory, environment, timeout)
        return commands.run(
            self._living, asked, input, max_output, Job(self._living), check_denied=check_denied
        )

    @contextmanager
    def spawn(
        self,
        command: Words,
        *,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        directory: FilePath = "",
        environment: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Iterator[Process]:
        """A command that lives beside the body, and is killed with all that it has started when that is left.

        Its streams: PIPE, a file or descriptor of your own, or nothing. Raises OSError where it can't be started.
        """
        asked = read_asked(command, directory, environment, timeout)
        process = Process(commands.spawn(self._living, asked, (stdin, stdout, stderr), Job(self._living)))
        try:
            yield process
        finally:
            process.kill()
            process.close()
            with suppress(Exception):
                process.wait()

    def read_file(self, path: FilePath, *, max_bytes: int = FILE_BYTES) -> bytes:
        """A regular file as commands see it, below the working directory or by an absolute path; no link is followed.

        Raises OSError.
        """
        return commands.read_file(self._living, path, max_bytes)

    def write_file(self, path: FilePath, data: bytes) -> None:
        """The same the other way, whole or not at all. Its directory must be there."""
        commands.write_file(self._living, path, data)

    def events(self) -> Iterator[Event]:
        """Each from now on, until the sandbox is closed."""
        something = threading.Semaphore(0)
        feed = Feed(self._living, something.release)
        return _Events(feed, something.acquire)

    # asyncio

    async def __aenter__(self) -> Sandbox:
        from trio_egress.library.asyncio_calls import AsyncioLoop

        self._loop = AsyncioLoop()
        session = self._start()
        await in_thread(lambda _: session.begin(self._asked.on_event), Job.of_opening(session))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await in_thread(lambda _: self._living.close(), Job.of_nothing())
        except Exception:
            if error is None:
                raise
        finally:
            if self._loop is not None:
                await self._loop.aclose()

    async def arun(
        self,
        command: Words,
        *,
        directory: FilePath = "",
        environment: Mapping[str, str] | None = None,
        timeout: float | None = None,
        input: bytes = b"",
        max_output: int = OUTPUT_BYTES,
        check_denied: bool = False,
    ) -> Done:
        """As `run`. Cancelled, it kills the command with all that it has started."""
        asked = read_asked(command, directory, environment, timeout)
        call = partial(commands.run, self._living, asked, input, max_output, check_denied=check_denied)
        return await in_thread(lambda job: call(job=job), Job(self._living))

    @asynccontextmanager
    async def aspawn(
        self,
        command: Words,
        *,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        directory: FilePath = "",
        environment: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> AsyncIterator[AsyncProcess]:
        """As `spawn`."""
        asked, streams = read_asked(command, directory, environment, timeout), (stdin, stdout, stderr)
        call = partial(commands.spawn, self._living, asked, streams)
        process = AsyncProcess(Process(await in_thread(call, Job(self._living))))
        try:
            await process.open()
            yield process
        finally:
            process.kill()
            process.close()
            with suppress(Exception):
                await process.wait()

    async def aread_file(self, path: FilePath, *, max_bytes: int = FILE_BYTES) -> bytes:
        """As `read_file`."""
        return await in_thread(lambda _: self.read_file(path, max_bytes=max_bytes), Job.of_nothing())

    async def awrite_file(self, path: FilePath, data: bytes) -> None:
        """As `write_file`."""
        await in_thread(lambda _: self.write_file(path, data), Job.of_nothing())

    def aevents(self) -> AsyncIterator[Event]:
        """As `events`."""
        return _AsyncEvents(self._living)


class _Events:
    def __init__(self, feed: Feed, wait: Callable[[], object]) -> None:
        self._feed = feed
        self._wait = wait

    def __iter__(self) -> _Events:
        return self

    def __next__(self) -> Event:
        while (event := self._feed.pop()) is None:
            self._wait()
        return event


class _AsyncEvents:
    def __init__(self, session: Session) -> None:
        import asyncio

        self._loop = asyncio.get_running_loop()
        self._something = asyncio.Event()
        self._feed = Feed(session, self._wake)

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._something.set)

    def __aiter__(self) -> _AsyncEvents:
        return self

    async def __anext__(self) -> Event:
        while True:
            self._something.clear()
            try:
                event = self._feed.pop()
            except StopIteration:
                raise StopAsyncIteration from None
            if event is not None:
                return event
            await self._something.wait()
