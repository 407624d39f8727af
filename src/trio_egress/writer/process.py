"""A writer in a process of its own, forked from ours: it signs and waits for the disk on another processor.

Two thirds more requests a second than with a thread, which shares the interpreter with the loop (2026-11). What it is
asked and what it answers goes through a pair of sockets that nobody else has.

Rule 1: it keeps the two descriptors of the journal and nothing else of ours; no signal to us ends it.
Rule 2: it ends when our end of its socket is closed, however that came about; what it was asked by then is on disk.
Rule 3: that it ended before we did is a failure of the recorder.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import signal
import socket
import traceback
import warnings
from collections.abc import Sequence
from typing import BinaryIO, NoReturn

import trio

from trio_egress.errors import RecorderError
from trio_egress.writer.desk import Desk, Order, Written

END_SECONDS = 1.0
"""What it may take to end, once it has nothing to do any more."""

SIZE_BYTES = 4
_IGNORED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2}
"""What a user or a run sends to a whole group, whether or not we handle it."""


class WriterProcess:
    """From here on chain and journal are the other process's; ours only learn what is durable."""

    def __init__(self, desk: Desk) -> None:
        """Raises RecorderError where there can be no process."""
        self._desk = desk
        self._pid, self._sock = _fork(desk)
        self._sock.setblocking(False)
        self._waiting = False

    async def write(self, orders: Sequence[Order], *, marked: bool) -> Written:
        if self._waiting:  # the next answer would be that of another group
            raise RecorderError("a write was cut short")
        self._waiting = True
        try:
            await self._send(_frame((orders, marked)))
            size = int.from_bytes(await self._receive(SIZE_BYTES), "big")
            raw = await self._receive(size)
        except (ConnectionError, EOFError):
            raise RecorderError("the process that writes the receipts has ended") from None
        except OSError as error:
            raise RecorderError(
                f"the process that writes the receipts can't be asked: {error.strerror}"
            ) from None
        self._waiting = False
        answer: Written | RecorderError | str = pickle.loads(raw)  # noqa: S301  of nobody but our own fork
        if isinstance(answer, str):
            raise RuntimeError(f"in the process that writes the receipts:\n{answer}")
        if isinstance(answer, RecorderError):
            raise answer
        self._desk.journal.learn(answer.durable_bytes)
        return answer

    async def close(self) -> None:
        # Where SIGCHLD is ignored, which is inherited, the kernel has taken it away by itself.
        with trio.CancelScope(shield=True), contextlib.suppress(ChildProcessError, ProcessLookupError):
            if await self._end():
                os.waitpid(self._pid, 0)  # noqa: ASYNC222  it has closed all that it had
                return
            os.kill(self._pid, signal.SIGKILL)
            with trio.move_on_after(END_SECONDS):  # a disk that hangs may hold it even so
                while os.waitpid(self._pid, os.WNOHANG) == (0, 0):  # noqa: ASYNC110, ASYNC222
                    await trio.sleep(0.01)

    async def _end(self) -> bool:
        """Hang up. Whether it has hung up too."""
        with trio.move_on_after(END_SECONDS) as late, contextlib.suppress(ConnectionError, EOFError):
            self._sock.shutdown(socket.SHUT_WR)
            while True:
                await self._receive(1)
                await trio.lowlevel.checkpoint()
        self._sock.close()
        return not late.cancelled_caught

    # of what Trio's own streams do, what makes no turn of the loop

    async def _send(self, raw: bytes) -> None:
        rest = memoryview(raw)
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._sock)

    async def _receive(self, size: int) -> bytes:
        """Exactly so many bytes. Raises EOFError."""
        parts: list[bytes] = []
        while size:
            try:
                part = self._sock.recv(size)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._sock)
                continue
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _frame(value: object) -> bytes:
    raw = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return len(raw).to_bytes(SIZE_BYTES, "big") + raw


def _fork(desk: Desk) -> tuple[int, socket.socket]:
    """The new process, and our end of its socket."""
    try:
        ours, theirs = socket.socketpair()
    except OSError as error:
        raise _refuse(error) from None
    held = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with warnings.catch_warnings():
            # Our other threads may hold locks; what runs there takes none but its own.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            _live(desk, theirs)
    except OSError as error:
        ours.close()
        raise _refuse(error) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        theirs.close()
    return pid, ours


def _refuse(error: OSError) -> RecorderError:
    return RecorderError(f"there can be no process that writes the receipts: {error.strerror}")


def _live(desk: Desk, sock: socket.socket) -> NoReturn:
    """All of the new process's life. Nothing of ours is run in it: no handler, no finaliser, no task."""
    try:
        gc.freeze()
        _leave_behind({sock.fileno(), *desk.journal.descriptors})
        with sock.makefile("rb") as stream:
            while (size := stream.read(SIZE_BYTES)) != b"":
                sock.sendall(_frame(_answer(desk, stream, int.from_bytes(size, "big"))))
    finally:
        os._exit(0)


def _answer(desk: Desk, stream: BinaryIO, size: int) -> Written | RecorderError | str:
    """A text is the traceback of a bug: the exception itself may not survive the way."""
    try:
        orders, marked = pickle.loads(stream.read(size))  # noqa: S301  as above
        return desk.write(orders, marked=marked)
    except RecorderError as error:
        return error
    except Exception:
        return traceback.format_exc()


def _leave_behind(kept: set[int]) -> None:
    """Descriptors, signals and the terminal."""
    signal.set_wakeup_fd(-1)
    for each in signal.valid_signals():
        if each in _IGNORED or callable(signal.getsignal(each)):
            signal.signal(each, signal.SIG_IGN)
    os.setsid()
    with open(os.devnull, "r+b", buffering=0) as nothing:
        for standard in (0, 1, 2):
            os.dup2(nothing.fileno(), standard)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):  # that by which they were listed
                os.close(int(name))
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
