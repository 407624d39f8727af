"""The caller's terminal, while the agent has one of its own: keys go in, output comes out, stops and sizes are told.

The agent's is a pseudo-terminal of the sandbox (kernel/terminal.py), which by its settings makes signals of Ctrl-C and
Ctrl-Z; between the two nothing is looked at.

Rule 1: the caller's terminal is raw only while this job has its foreground, and is put back in every way of ending but
SIGKILL, which leaves it raw (bash mends that by itself; elsewhere `stty sane` does).
Rule 2: in a pipeline or in the background it is left alone, until the agent reads or sets it: behind, the kernel stops
the agent for that (SIGTTIN, SIGTTOU), and then it comes to the front, or the whole job stops as any job would.
Rule 3: a terminal that takes no output holds up the agent alone. A line of status is there by Rule 1.
"""

from __future__ import annotations

import fcntl
import os
import signal
import termios
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any

import trio

from trio_egress.errors import SandboxError
from trio_egress.runtime.jobs import has_job, is_controlled, is_piped, not_stopped, stop_job
from trio_egress.runtime.live_line import LiveLine
from trio_egress.runtime.raw_mode import make_raw

CHUNK_BYTES = 65536
"""What a pseudo-terminal's buffers hold; one read gives at most 4 KiB."""

WINDOW_BYTES = 8
TYPED_BYTES = 254
"""What can be put in unseen (kernel/terminal.py); more of it is shown once more."""

FINISH_CHUNKS = 4
FINISH_SECONDS = 2.0
"""More than the buffers hold, and how long the caller's terminal may take for it."""

LINE_REST_SECONDS = 0.2
"""Between one line of status and the next."""

BEHIND_SECONDS = 0.5
"""After which it is seen that this job has come to the front, when it is waited for."""

STREAMS = (0, 1, 2)
OFLAG, LFLAG = 1, 3  # of what tcgetattr gives

Say = Callable[..., Awaitable[None]]
"""Says something to PID 1 of the sandbox."""


@contextmanager
def open_terminal() -> Iterator[Terminal | None]:
    """The controlling terminal, where one of 0, 1, 2 is it; as it was when the body ends."""
    streams = tuple(number for number in STREAMS if has_job(number))
    if not streams:
        yield None
        return
    with open_own_terminal(streams) as terminal:
        yield terminal


@contextmanager
def open_own_terminal(streams: tuple[int, ...] = ()) -> Iterator[Terminal]:
    """The controlling terminal, whatever 0, 1 and 2 are."""
    # A description of our own: what is set on it, as O_NONBLOCK, is not the shell's.
    try:
        tty = os.open("/dev/tty", os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise SandboxError(f"cannot open the terminal as /dev/tty: {error.strerror}") from None
    terminal = Terminal(tty, streams)
    try:
        yield terminal
    finally:
        terminal.give_back()
        terminal.close()


class Terminal:
    """The caller's terminal. `streams`: which of 0, 1, 2 are it. `alone`: no other program of a pipeline uses it."""

    def __init__(self, tty: int, streams: tuple[int, ...]) -> None:
        self.streams = streams
        self.alone = not any(is_piped(number) for number in STREAMS if number not in streams)
        self.serial = 0
        self._alike = False
        self._tty = tty
        self._master = -1
        self._as_it_was: list[Any] | None = None
        self._in_front = trio.Event()
        self._pending = b""
        self._lock = trio.Lock()
        self._free = trio.Event()
        self._free.set()
        self._holder: trio.CancelScope | None = None
        self._borrowed = self._over = False
        self._line: LiveLine | None = None

    def is_in_front(self) -> bool:
        """Whether this job has the foreground; not when the terminal is gone."""
        try:
            return os.tcgetpgrp(self._tty) == os.getpgrp()
        except OSError:
            return False

    def begin(self) -> dict[str, Any]:
        """Take it, if the agent starts in front; with what PID 1 must know of it to make one like it."""
        front = self._alike = self.alone and self.is_in_front()
        if front:
            self.take()
        if self._as_it_was is None:
            return {"streams": self.streams, "front": False}
        *flags, controls = self._as_it_was
        settings = [*flags, [c if isinstance(c, int) else ord(c) for c in controls]]
        typed = self._read_typed().decode("latin-1")
        return {"streams": self.streams, "front": True, "settings": settings, "typed": typed}

    def _read_typed(self) -> bytes:
        """What was typed before this one was taken, and so shown when it was typed."""
        with suppress(OSError):
            return os.read(self._tty, TYPED_BYTES)
        return b""

    @asynccontextmanager
    async def open_relay(self, master: int, say: Say, line: LiveLine | None = None) -> AsyncIterator[None]:
        """Stand between it and the agent's, whose other end is now this one's to close. All output is out then."""
        os.set_blocking(master, False)
        self._master = master
        self._line = line if 2 in self.streams else None
        self.pass_size()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.keep_output)
            nursery.start_soon(self.keep_keys)
            nursery.start_soon(self.keep_signals, say)
            if self._line is not None:
                nursery.start_soon(self.keep_line, self._line)
            try:
                yield
            finally:
                self.end_hold()
                with trio.CancelScope(shield=True):
                    await self.finish()
                self._leave_line()
                nursery.cancel_scope.cancel()

    def close(self) -> None:
        for descriptor in (self._tty, self._master):
            if descriptor >= 0:
                os.close(descriptor)
        self._tty = self._master = -1

    # settings

    def take(self) -> None:
        """Make it raw, and read its keys from now on. Only in front."""
        self._borrowed = False
        with suppress(OSError, termios.error), not_stopped():
            if self._as_it_was is None:
                self._as_it_was = termios.tcgetattr(self._tty)
            termios.tcsetattr(self._tty, termios.TCSANOW, make_raw(self._as_it_was, plain=1 in self.streams))
            # Else the agent began behind, where these settings were the shell's own.
            if not self._alike and self._master >= 0:
                termios.tcsetattr(self._master, termios.TCSANOW, self._as_it_was)
                self._alike = True
            self.pass_size()
            self._in_front.set()

    def give_back(self) -> None:
        """As it was. Where another job has it by now, that one's settings stay."""
        self._leave_line()
        if self._as_it_was is not None and self.is_in_front():
            with suppress(OSError, termios.error), not_stopped():
                termios.tcsetattr(self._tty, termios.TCSANOW, self._as_it_was)
        self._as_it_was = None
        if self._in_front.is_set():  # else somebody waits for this very one
            self._in_front = trio.Event()

    def pass_size(self) -> None:
        if self._master < 0:
            return  # the agent's is being made, like this one
        with suppress(OSError):
            size = fcntl.ioctl(self._tty, termios.TIOCGWINSZ, bytes(WINDOW_BYTES))
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    # traffic

    async def show(self, raw: bytes) -> None:
        """Write it all, whatever the agent does. Only held."""
        while raw:
            raw = raw[await _write(self._tty, raw) :]

    async def keep_keys(self) -> None:
        """From the caller to the agent, while this job is in front, until either is gone."""
        while True:
            await self._in_front.wait()
            await trio.lowlevel.wait_readable(self._tty)
            if not (self._in_front.is_set() and self._free.is_set()):
                await self._free.wait()
                continue
            try:
                keys = os.read(self._tty, CHUNK_BYTES)
                if not keys:
                    return
                while keys:
                    keys = keys[await _write(self._master, keys) :]
            except BlockingIOError:
                continue
            except OSError:
                return

    async def keep_output(self) -> None:
        """From the agent to the caller, until no process has the agent's terminal. What nobody sees is lost."""
        while True:
            await trio.lowlevel.wait_readable(self._master)
            async with self._lock:
                if await self._pass_output() is None:
                    return

    async def finish(self) -> None:
        """Whatever the agent has written by now."""
        with trio.move_on_after(FINISH_SECONDS):
            async with self._lock:
                for _ in range(FINISH_CHUNKS):
                    if not await self._pass_output():
                        return

    async def _pass_output(self) -> int | None:
        """One chunk: how long it was, None at the end."""
        if not self._pending:
            chunk = self._read_output()
            if chunk is None:
                return None
            self._pending = chunk if self._is_plain() else chunk.replace(b"\r\n", b"\n")
            if self._line is not None:
                self._pending = self._line.make_way(self._pending)
        length = len(self._pending)
        while self._pending:
            try:
                self._pending = self._pending[await _write(self._tty, self._pending) :]
            except OSError:
                self._pending = b""
        return length

    def _read_output(self) -> bytes | None:
        """What there is now, up to CHUNK_BYTES; None when nobody can write any more."""
        parts: list[bytes] = []
        left = CHUNK_BYTES
        while left > 0:
            try:
                parts.append(os.read(self._master, left))
            except BlockingIOError:
                break
            except OSError:
                return b"".join(parts) or None
            left -= len(parts[-1])
        return b"".join(parts)

    def _is_plain(self) -> bool:
        """Whether the caller's terminal shows bytes as they come; else it adds the carriage returns once more."""
        try:
            return not termios.tcgetattr(self._tty)[OFLAG] & termios.OPOST
        except (OSError, termios.error):
            return True

    # the line of status

    async def keep_line(self, line: LiveLine) -> None:
        """Written anew when what it says has changed, and when it was in the way of something."""
        token = trio.lowlevel.current_trio_token()
        try:
            while not line.draws:
                due = trio.Event()
                line.arm(partial(token.run_sync_soon, due.set))
                self._draw_line(line)
                await due.wait()
                await trio.sleep(LINE_REST_SECONDS)
        finally:
            line.arm(None)

    def _draw_line(self, line: LiveLine) -> None:
        if self._pending or self._as_it_was is None or not (self._free.is_set() and self.is_in_front()):
            return
        with suppress(OSError, termios.error):
            if termios.tcgetattr(self._master)[LFLAG] & termios.ICANON:
                line.draw(self._tty, os.get_terminal_size(self._tty).columns)

    def _leave_line(self) -> None:
        if self._line is not None and self._as_it_was is not None and self.is_in_front():
            self._line.take_away(self._tty)

    # held

    @asynccontextmanager
    async def hold(self, scope: trio.CancelScope) -> AsyncIterator[int]:
        """The agent has neither its keys nor its screen for as long as the body lasts; `scope`, which is around it, is
        cancelled when the agent ends. It begins when this job is in front, and what is given is raw then."""
        self._holder = scope
        if self._over:
            scope.cancel()
        while not self.is_in_front():  # noqa: ASYNC110  nothing tells of it
            await trio.sleep(BEHIND_SECONDS)
        async with self._lock:
            self._leave_line()
            borrowed = self._as_it_was is None
            self.take()
            self._borrowed, self._free = borrowed, trio.Event()
            try:
                yield self._tty
            finally:
                self._free.set()
                self._holder = None
                if self._borrowed:
                    self.give_back()

    def end_hold(self) -> None:
        """For good: the agent ends, or this terminal does."""
        self._over = True
        if self._holder is not None:
            self._holder.cancel()

    def note(self, raw: bytes) -> None:
        """A few words, if they can be written at once."""
        with suppress(OSError):
            os.write(self._tty, raw)

    # jobs

    async def keep_signals(self, say: Say) -> None:
        """Sizes, and stops that are meant for this process."""
        with trio.open_signal_receiver(signal.SIGWINCH, signal.SIGCONT, signal.SIGTSTP) as signals:
            async for number in signals:
                if number == signal.SIGWINCH:
                    self.pass_size()
                elif number == signal.SIGCONT:
                    self._come_back()
                else:
                    await say(step="signal", signal=int(signal.SIGTSTP))
                    await self._stop(signal.SIGTSTP, say, others=False)

    async def stop_with_agent(self, message: dict[str, Any], say: Say) -> None:
        """What stopped the agent stops the whole job; but what it only wants of a terminal in front, it gets."""
        if message["serial"] != self.serial:
            return  # it was told to go on meanwhile
        number = signal.Signals(message["signal"])
        wanting = number in (signal.SIGTTIN, signal.SIGTTOU)
        if wanting and self.is_in_front():
            await self._go_on(say, front=True)
        else:
            await self._stop(number if wanting else signal.SIGTSTP, say, others=True)

    async def _stop(self, number: signal.Signals, say: Say, *, others: bool) -> None:
        """`others`: the rest of the job too, which the caller's terminal would have told."""
        serial = self.serial
        await self.finish()
        if self.serial != serial:
            return  # it has been stopped meanwhile, for the same reason
        taken = self._as_it_was is not None
        self.give_back()
        if is_controlled():
            stop_job(number, others=others)
            await self._go_on(say, front=self.is_in_front() and (taken or self.alone))
        else:
            # Nobody could continue this job. An agent that wants to read waits: behind, it would be stopped for ever.
            await self._go_on(say, front=True)

    async def _go_on(self, say: Say, *, front: bool) -> None:
        if front and self.is_in_front():
            self.take()
        self.serial += 1
        await say(step="signal", signal=int(signal.SIGCONT), front=front, serial=self.serial)

    def _come_back(self) -> None:
        """This process was stopped from outside, and its terminal may be set anew by the shell, or another job's."""
        if self._as_it_was is not None and self.is_in_front():
            self.take()
        else:
            self.give_back()


async def _write(descriptor: int, raw: bytes) -> int:
    while True:
        try:
            return os.write(descriptor, raw)
        except BlockingIOError:
            await trio.lowlevel.wait_writable(descriptor)
