"""The agent's terminal: a pseudo-terminal of the sandbox's own devpts, in a session that PID 1 leads.

PID 1 is the leader so that the agent is a job below it: a leader's own group is orphaned, and Ctrl-Z would do nothing
(`man 2 setpgid`). The other end is the supervisor's (runtime/terminal.py). Part of the launcher: standard library only.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import termios
from collections.abc import Sequence
from typing import Any

PTMX = "/dev/pts/ptmx"
TIOCSPTLCK = 0x4004_5431
TIOCGPTPEER = 0x5441
TIOCSCTTY = 0x540E
WINDOW_BYTES = 8
TYPED_BYTES = 254
"""VMIN is a byte."""

IFLAG, LFLAG, CONTROLS = 0, 3, 6  # of what tcgetattr gives


class Terminal:
    """The agent's end, as PID 1 holds it. `streams`: which of 0, 1, 2 the agent has on it. `serial`: how often the
    supervisor has said that the agent goes on."""

    def __init__(self, slave: int, streams: Sequence[int], *, front: bool) -> None:
        self.slave = slave
        self.streams = streams
        self.front = front
        self.serial = 0

    def give(self) -> None:
        """In the agent's process: a job of its own, in front where it is to be, with its streams."""
        os.setpgid(0, 0)
        if self.front:
            os.tcsetpgrp(self.slave, os.getpgrp())
        for number in self.streams:
            os.dup2(self.slave, number)

    def put_in_front(self, group: int, *, front: bool) -> None:
        """Behind is where nobody is but PID 1: the kernel stops whoever reads or sets the terminal there."""
        os.tcsetpgrp(self.slave, group if front else os.getpgrp())


def open_terminal(asked: dict[str, Any], owner: dict[str, Any]) -> tuple[int, Terminal]:
    """Make a terminal like the caller's, and this process the leader of its session; with the other end.

    `asked`: `streams`, `front`, and, where the agent starts in front, `settings` and what was `typed` before.
    """
    streams = asked["streams"]
    master = os.open(PTMX, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
    slave = fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    if asked["front"]:
        if asked["typed"]:
            put_typed(master, slave, asked["typed"].encode("latin-1"))
        termios.tcsetattr(slave, termios.TCSANOW, asked["settings"])
    fcntl.ioctl(slave, termios.TIOCSWINSZ, fcntl.ioctl(streams[0], termios.TIOCGWINSZ, bytes(WINDOW_BYTES)))
    os.fchown(slave, owner["uid"], owner["gid"])
    os.setsid()
    fcntl.ioctl(slave, TIOCSCTTY, 0)
    return master, Terminal(slave, streams, front=asked["front"])


def put_typed(master: int, slave: int, raw: bytes) -> None:
    """Keys that the caller's terminal has taken in and shown already: they are not to be shown again.

    A kernel thread brings them. To wait for more keys than these passes on whatever is on its way (n_tty_poll, 6.18).
    """
    quiet = termios.tcgetattr(slave)
    quiet[IFLAG] = quiet[LFLAG] = 0
    quiet[CONTROLS][termios.VMIN], quiet[CONTROLS][termios.VTIME] = TYPED_BYTES + 1, 0
    termios.tcsetattr(slave, termios.TCSANOW, quiet)
    os.write(master, raw[:TYPED_BYTES])
    poll = select.poll()
    poll.register(slave, select.POLLIN)
    poll.poll(0)
