"""The agent's terminal: a pseudo-terminal of the sandbox's own devpts, in a session that PID 1 leads.

PID 1 is the leader so that the agent is a job below it: a leader's own group is orphaned, and Ctrl-Z would do nothing
(`man 2 setpgid`). The other end is the supervisor's (runtime/terminal.py). Part of the launcher: standard library only.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Sequence
from typing import Any

PTMX = "/dev/pts/ptmx"
TIOCSPTLCK = 0x4004_5431
TIOCGPTPEER = 0x5441
TIOCSCTTY = 0x540E
WINDOW_BYTES = 8


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


def open_terminal(streams: Sequence[int], owner: dict[str, Any], *, front: bool) -> tuple[int, Terminal]:
    """Make a terminal like the one of `streams`, and this process the leader of its session; with the other end.

    Where the caller's job has not the foreground, the settings are somebody else's, and only the size is taken over.
    """
    master = os.open(PTMX, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
    slave = fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    if front:
        termios.tcsetattr(slave, termios.TCSANOW, termios.tcgetattr(streams[0]))
    fcntl.ioctl(slave, termios.TIOCSWINSZ, fcntl.ioctl(streams[0], termios.TIOCGWINSZ, bytes(WINDOW_BYTES)))
    os.fchown(slave, owner["uid"], owner["gid"])
    os.setsid()
    fcntl.ioctl(slave, TIOCSCTTY, 0)
    return master, Terminal(slave, streams, front=front)
