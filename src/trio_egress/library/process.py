"""A supervisor as a process of its own, and what comes out of it, followed from any thread of any program.

Rule 1: it is never left: whatever ends the waiting (KeyboardInterrupt, an exception out of a signal handler), the run
is ended as by SIGTERM and waited for, and only then does it go on. A second one kills it.
Rule 2: its end is told by the kernel (a pidfd), never by the end of its output, which another process may hold open,
nor by its exit code, which a program that ignores SIGCHLD never gets.
Rule 3: output is read to its end, and no more of it is kept than was asked for.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import attrs

import trio_egress
from trio_egress.errors import SandboxError
from trio_egress.values import define, frozen

if TYPE_CHECKING:
    import socket

    from trio_egress.library.deciding import Deciding

CHUNK_BYTES = 65536

_PROGRAM = """\
import sys
at = next((n for n, path in enumerate(sys.path) if path.endswith("-packages")), len(sys.path))
sys.path[at:at] = sys.argv.pop(1).split(":")
from importlib import import_module
sys.exit(import_module(sys.argv.pop(1)).main())
"""
"""Isolated (`-I`): nothing is imported from a working directory, which an agent may have written to. The package is the
one that this program has, after the standard library and before what else is installed."""


@define
class Kept:
    """The beginning of a stream."""

    room: int
    raw: bytearray = attrs.field(factory=bytearray)
    truncated: bool = False

    def feed(self, raw: bytes) -> None:
        self.raw += raw[: self.room]
        self.truncated = self.truncated or len(raw) > self.room
        self.room -= min(self.room, len(raw))


class Supervisor(Protocol):
    """A process, as far as a session has to do with it."""

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    def wait(self) -> int: ...


@frozen
class Output:
    stdout: Kept
    stderr: Kept

    @property
    def truncated(self) -> bool:
        return self.stdout.truncated or self.stderr.truncated


def supervise(
    arguments: Sequence[str],
    directory: Path | None,
    environment: Mapping[str, str] | None,
    max_output: int | None,
    deciding: Deciding | None = None,
) -> Output:
    """Run `trio-egress ARGUMENTS` to its end. `max_output`: how much of each stream is kept; None: both are this
    program's own, and so is standard input, which is empty otherwise. `deciding`: what is asked about attempts
    meanwhile, in this thread.

    Raises SandboxError where it can't be started.
    """
    output = Output(Kept(max_output or 0), Kept(max_output or 0))
    with (
        nullcontext() if deciding is None else deciding.open_line() as line,
        _start(arguments, directory, environment, line, captured=max_output is not None) as process,
    ):
        streams = {process.stdout: output.stdout, process.stderr: output.stderr}
        followed = {stream: kept for stream, kept in streams.items() if stream is not None}
        try:
            _follow(process, followed, deciding)
        except BaseException:
            if deciding is not None:
                deciding.close()
            with _killing(process):
                process.send_signal(signal.SIGTERM)
                _follow(process, followed)
            raise
    return output


@contextmanager
def _start(
    arguments: Sequence[str],
    directory: Path | None,
    environment: Mapping[str, str] | None,
    line: socket.socket | None,
    *,
    captured: bool,
) -> Iterator[subprocess.Popen[bytes]]:
    """The process lives no longer than the body, and no longer than this program. `line`: its end of one to be asked
    by, which is closed here."""
    reads, writes = os.pipe()
    with _closing(writes):
        with _closing(reads):
            passed = () if line is None else (line.fileno(),)
            told = [f"--ask-fd={descriptor}" for descriptor in passed]
            command = make_command(
                "trio_egress.library.child", str(reads), arguments[0], *told, *arguments[1:]
            )
            stream = subprocess.PIPE if captured else None
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL if captured else None,
                    stdout=stream,
                    stderr=stream,
                    bufsize=0,
                    pass_fds=(reads, *passed),
                    cwd=directory,
                    env=environment,
                )
            except OSError as error:
                raise SandboxError(
                    f"cannot start {sys.executable or 'Python'} in {directory or '.'}: {error}"
                ) from None
        if line is not None:
            line.close()
        with process:
            yield process


def make_command(module: str, *arguments: str) -> list[str]:
    """Of a Python that runs `main` of this module of ours."""
    return [sys.executable, "-I", "-c", _PROGRAM, _find_packages(), module, *arguments]


def _find_packages() -> str:
    """Where this program has the package from, and what that needs."""
    found = (Path(file).resolve().parents[1] for file in (trio_egress.__file__, attrs.__file__))
    return ":".join(map(str, dict.fromkeys(found)))


@contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _killing(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Whatever leaves the body leaves no process behind: the kernel ends all that is inside with it."""
    try:
        yield
    except BaseException:
        process.kill()
        process.wait()
        raise


def _follow(
    process: subprocess.Popen[bytes], streams: Mapping[IO[bytes], Kept], deciding: Deciding | None = None
) -> None:
    """Until it has ended, and all is read that it has written."""
    with selectors.DefaultSelector() as selector, _open_end(process) as end:
        if end is not None:
            selector.register(end, selectors.EVENT_READ)
        for stream, kept in streams.items():
            selector.register(stream, selectors.EVENT_READ, kept)
        if deciding is not None:
            selector.register(deciding, selectors.EVENT_READ, deciding)
        living = end is not None
        while living:
            for key, _ in selector.select():
                if key.data is None:
                    living = False
                elif key.data is deciding:
                    if not deciding.take():
                        selector.unregister(deciding)
                        deciding.close()
                elif raw := os.read(key.fd, CHUNK_BYTES):
                    key.data.feed(raw)
                else:
                    selector.unregister(key.fileobj)
    process.wait()
    for stream, kept in streams.items():
        os.set_blocking(stream.fileno(), False)
        with suppress(BlockingIOError):
            while raw := os.read(stream.fileno(), CHUNK_BYTES):
                kept.feed(raw)


@contextmanager
def _open_end(process: subprocess.Popen[bytes]) -> Iterator[int | None]:
    """Readable when it has ended; None where it has, and was waited for (by whoever ignores SIGCHLD)."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
