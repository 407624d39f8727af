"""Commands and files of a session as blocking calls, for any thread: what the sandboxes of programs are made of.

Rule 1: a call that is given up (`Job.give_up`, an exception in the thread that waits) kills the command's whole tree,
and waits for its end, which takes milliseconds, before it goes on.
Rule 2: output is read to its end, and no more of it kept than was asked for; the end is the command's, not that of its
pipes, which another command may hold open.
"""

from __future__ import annotations

import os
import selectors
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from os import PathLike
from threading import Lock
from typing import IO

import attrs

from trio_egress.errors import TrioEgressError, UsageError
from trio_egress.kernel.streams import open_pipes
from trio_egress.library.command import Command, Ended
from trio_egress.library.deciding import Deciding
from trio_egress.library.process import CHUNK_BYTES, Kept
from trio_egress.library.result import Denied
from trio_egress.library.running import check_bounds, read_command
from trio_egress.library.session import Session
from trio_egress.values import frozen

PIPE = subprocess.PIPE
OUTPUT_BYTES = 16 << 20
FILE_BYTES = 64 << 20
NOBODY = -1
"""No id of anybody: of no pipe is the command's user the owner."""

Words = Sequence[str | PathLike[str]]
Stream = int | IO[bytes] | None


@frozen(kw_only=True)
class Done:
    """A command of a sandbox that has ended, with all that it had started.

    `returncode`: negative for the signal that ended it; None where it never started, and `message` and `errno` say why.
    `denied`: what was denied to anybody in the sandbox while it lived: exactly its own where no other lived. `limit`:
    the name of the limit in [limits] that it came to.
    """

    returncode: int | None
    stdout: bytes = attrs.field(default=b"", repr=False)
    stderr: bytes = attrs.field(default=b"", repr=False)
    timed_out: bool = False
    truncated: bool = False
    denied: tuple[Denied, ...] = ()
    denied_count: int = 0
    limit: str = ""
    message: str = ""
    errno: int = 0


class CommandDeniedError(TrioEgressError):
    """Something was denied while a command lived that asked for `check_denied`; `done` is all that came of it."""

    def __init__(self, done: Done) -> None:
        first = f"; the first: {done.denied[0]}" if done.denied else ""
        super().__init__(f"{done.denied_count} denied{first}")
        self.done = done


class Job:
    """A call that another thread may give up."""

    def __init__(self, session: Session | None) -> None:
        self._session = session
        self._lock = Lock()
        self._command: Command | None = None
        self._given_up = False
        self._opening: Session | None = None

    @classmethod
    def of_nothing(cls) -> Job:
        """To give it up ends nothing: it is short, or must come to its end."""
        return cls(None)

    @classmethod
    def of_opening(cls, session: Session) -> Job:
        job = cls(None)
        job._opening = session
        return job

    def begin(self, command: Command) -> None:
        with self._lock:
            self._command = command
            given_up = self._given_up
        if given_up:
            self.give_up()

    def give_up(self) -> None:
        with self._lock:
            self._given_up = True
            command = self._command
        if command is not None and self._session is not None:
            self._session.kill(command)
        if self._opening is not None:
            self._opening.abort()


@frozen(kw_only=True)
class Asked:
    """A command as it is asked for."""

    argv: list[str]
    directory: str
    environment: Mapping[str, str]
    timeout: float | None


def read_asked(
    command: Words,
    directory: str | PathLike[str],
    environment: Mapping[str, str] | None,
    timeout: float | None,
) -> Asked:
    """Raises UsageError."""
    argv = read_command(command)
    check_bounds(timeout, None)
    texts = [*argv, os.fspath(directory), *(environment or {}), *(environment or {}).values()]
    for text in texts:
        if "\0" in text or text != text.encode("utf-8", "replace").decode("utf-8"):
            raise UsageError(f"a command's words are texts without NUL, not {text!r}")
    return Asked(argv=argv, directory=os.fspath(directory), environment=environment or {}, timeout=timeout)


def run(
    session: Session, asked: Asked, given: bytes, max_output: int, job: Job, *, check_denied: bool
) -> Done:
    """Run a command to its end. `given`: its standard input."""
    check_bounds(None, max_output)
    out, err = Kept(max_output), Kept(max_output)
    with ExitStack() as stack:
        stdin = _take(stack, os.memfd_create("stdin", os.MFD_CLOEXEC))
        _fill(stdin, given)
        command, pipes = start_captured(session, asked, stdin, (out, err), stack)
        job.begin(command)
        ended = _follow(session, command, pipes)
    done = make_done(command, ended, out, err)
    if check_denied and done.denied_count:
        raise CommandDeniedError(done)
    return done


def start_captured(
    session: Session, asked: Asked, stdin: int, kept: tuple[Kept, Kept], stack: ExitStack
) -> tuple[Command, dict[int, Kept]]:
    """A command, and the pipes that it writes to, which are closed with `stack`."""
    pipes, streams = {}, [stdin]
    try:
        for each in kept:
            reads, writes = os.pipe()
            pipes[_take(stack, reads)] = each
            streams.append(writes)
        open_pipes(NOBODY, streams[1:])
        command = session.spawn(asked.argv, streams, asked.directory, asked.environment, asked.timeout)
    finally:
        for writes in streams[1:]:
            os.close(writes)
    return command, pipes


def make_done(command: Command, ended: Ended, out: Kept, err: Kept) -> Done:
    return Done(
        returncode=ended.returncode,
        stdout=bytes(out.raw),
        stderr=bytes(err.raw),
        timed_out=ended.timed_out,
        truncated=out.truncated or err.truncated,
        denied=tuple(command.watched.denied),
        denied_count=command.watched.count,
        limit=ended.limit,
        message=ended.message,
        errno=ended.errno,
    )


def _take(stack: ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _fill(descriptor: int, raw: bytes) -> None:
    view = memoryview(raw)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)


def _follow(session: Session, command: Command, pipes: Mapping[int, Kept]) -> Ended:
    try:
        return follow(command, pipes)
    except BaseException:
        if not command.ended.done():
            session.kill(command)
            with suppress(Exception):
                command.ended.result()
        raise


def follow(command: Command, pipes: Mapping[int, Kept], deciding: Deciding | None = None) -> Ended:
    """Until it has ended, and all is read that it has written. `deciding`: what is asked meanwhile, in this thread."""
    with selectors.DefaultSelector() as selector, _open_end(command) as end:
        selector.register(end, selectors.EVENT_READ)
        for pipe, kept in pipes.items():
            os.set_blocking(pipe, False)
            selector.register(pipe, selectors.EVENT_READ, kept)
        if deciding is not None:
            selector.register(deciding, selectors.EVENT_READ, deciding)
        while not command.ended.done():
            for key, _ in selector.select():
                if key.data is deciding and deciding is not None:
                    if not deciding.take():
                        selector.unregister(deciding)
                        deciding.close()
                elif key.data is not None and not _read(key.fd, key.data):
                    selector.unregister(key.fd)
    for pipe, kept in pipes.items():
        while _read(pipe, kept):
            pass
    return command.ended.result()


def _read(pipe: int, kept: Kept) -> bool:
    """Whether there was something."""
    try:
        raw = os.read(pipe, CHUNK_BYTES)
    except BlockingIOError:
        return False
    kept.feed(raw)
    return bool(raw)


@contextmanager
def _open_end(command: Command) -> Iterator[int]:
    """Readable when it has ended."""
    reads, writes = os.pipe()
    with ExitStack() as stack:
        _take(stack, reads)
        lock = Lock()
        closed: list[bool] = []

        def tell(_: object) -> None:
            with lock:
                if not closed:
                    os.write(writes, b".")

        try:
            command.ended.add_done_callback(tell)
            yield reads
        finally:
            with lock:
                closed.append(True)
            os.close(writes)


class Started:
    """A command that was started, with the program's ends of those of its streams that are pipes."""

    def __init__(self, session: Session, command: Command, ends: tuple[int, int, int]) -> None:
        self.session = session
        self.command = command
        self.ends = ends

    def finish(self) -> Done:
        """Kill what lives of it, and wait."""
        self.session.kill(self.command)
        return self.wait()

    def wait(self) -> Done:
        """Raises SandboxError in a forked child, where nobody tells it."""
        self.session.check_owner()
        return make_done(self.command, self.command.ended.result(), Kept(0), Kept(0))


def spawn(session: Session, asked: Asked, streams: Sequence[Stream], job: Job) -> Started:
    """Start a command. Of `streams`, PIPE is a pipe, None is nothing, and all else is the program's own.

    Raises OSError where there is no such program, or it can't be run.
    """
    with ExitStack() as inside, ExitStack() as ours:
        given, ends = [], []
        for number, stream in enumerate(streams):
            end = NOBODY
            if stream == PIPE:
                reads, writes = os.pipe()
                inner, end = (reads, writes) if number == 0 else (writes, reads)
                given.append(_take(inside, inner))
                open_pipes(NOBODY, [inner])
                _take(ours, end)
            elif stream is None:
                given.append(_take(inside, os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)))
            else:
                given.append(stream if isinstance(stream, int) else stream.fileno())
            ends.append(end)
        command = session.spawn(asked.argv, given, asked.directory, asked.environment, asked.timeout)
        job.begin(command)
        try:
            command.started.result()
        except BaseException:
            session.kill(command)
            raise
        if command.ended.done() and (ended := command.ended.result()).returncode is None:
            raise OSError(ended.errno, ended.message)
        ours.pop_all()
    return Started(session, command, (ends[0], ends[1], ends[2]))


def read_file(session: Session, path: str | PathLike[str], max_bytes: int) -> bytes:
    """Raises OSError, also where there is more in it than `max_bytes`."""
    check_bounds(None, max_bytes)
    name = _read_path(path)
    with session.few, _naming(name):
        descriptor = session.open_file("read", name).result()
    raw = bytearray()
    try:
        while len(raw) <= max_bytes and (
            more := os.read(descriptor, min(CHUNK_BYTES, max_bytes + 1 - len(raw)))
        ):
            raw += more
    finally:
        os.close(descriptor)
    if len(raw) > max_bytes:
        raise OSError(27, f"more than {max_bytes} bytes", name)
    return bytes(raw)


def write_file(session: Session, path: str | PathLike[str], data: bytes) -> None:
    """Whole or not at all. Raises OSError."""
    name = _read_path(path)
    descriptor = os.memfd_create("content", os.MFD_CLOEXEC)
    try:
        _fill(descriptor, data)
        with session.few, _naming(name):
            session.open_file("write", name, [descriptor]).result()
    finally:
        os.close(descriptor)


def _read_path(path: str | PathLike[str]) -> str:
    name = os.fspath(path)
    if not name or "\0" in name or name != name.encode("utf-8", "replace").decode("utf-8"):
        raise UsageError(f"a file's name is a text without NUL, not {name!r}")
    return name


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """An error of the sandbox's with the name of the file."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from None
