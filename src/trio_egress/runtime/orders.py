"""The signals that arrive during a run: up to the agent's start they end it, and then they are the agent's.

SIGHUP has two meanings: the terminal has hung up, which is the agent's to hear; else it asks for the policy to be read
again, as of any daemon.
"""

from __future__ import annotations

import contextlib
import enum
import math
import os
import signal
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager

import trio

from trio_egress.runtime.signals import ENDING, ROTATING, STOPPING, find_heeded


@contextmanager
def open_arrivals(earlier: Iterable[int]) -> Iterator[AsyncIterator[int]]:
    """All that arrives for this process, those first that came before there was a run."""
    with trio.open_signal_receiver(*find_heeded()) as arrivals:
        for number in earlier:
            signal.raise_signal(number)
        yield arrivals


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


class _Phase(enum.Enum):
    SETUP = enum.auto()
    RECORDED = enum.auto()
    AGENT = enum.auto()


class Orders:
    """`setup` is cancelled by a signal that ends the run, up to `leave_setup`; `ended_by` is its number."""

    def __init__(self) -> None:
        self.setup = trio.CancelScope()
        self.ended_by: int | None = None
        self._phase = _Phase.SETUP
        self._send, self.for_agent = trio.open_memory_channel[int](math.inf)
        self._reload, self.for_policy = trio.open_memory_channel[None](1)
        self._rotate, self.for_key = trio.open_memory_channel[None](1)
        self._stop, self.for_stop = trio.open_memory_channel[None](1)
        self._terminal = _has_terminal()

    async def keep(self, arrivals: AsyncIterator[int]) -> None:
        """Take what arrives, for as long as the run lives."""
        async for number in arrivals:
            if number == ROTATING:
                with contextlib.suppress(trio.WouldBlock):  # one is waiting already
                    self._rotate.send_nowait(None)
                continue
            if number == STOPPING:
                with contextlib.suppress(trio.WouldBlock):
                    self._stop.send_nowait(None)
                continue
            if number == signal.SIGHUP and self._phase is not _Phase.SETUP and not self._hung_up():
                with contextlib.suppress(
                    trio.WouldBlock
                ):  # one is waiting already, and will read what is there then
                    self._reload.send_nowait(None)
                continue
            if self._phase is _Phase.AGENT or number not in ENDING:
                self._send.send_nowait(number)
                continue
            self.ended_by = self.ended_by or number
            if self._phase is _Phase.SETUP:
                self.setup.cancel()

    def _hung_up(self) -> bool:
        """Whether SIGHUP says what it says by its name: there was a terminal, and there is none any more."""
        return self._terminal and not _has_terminal()

    async def leave_setup(self) -> None:
        """From here on the run is recorded, and takes its way to a close that says what happened."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._phase = _Phase.RECORDED

    def end_agent(self) -> None:
        """As SIGTERM from outside would."""
        self._send.send_nowait(signal.SIGTERM)

    def start_agent(self) -> bool:
        """Whether the agent may start; from here on the signals are in `for_agent`."""
        self._phase = _Phase.AGENT
        return self.ended_by is None
