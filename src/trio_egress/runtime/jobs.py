"""This process as a job of a shell's, at its terminal: whether one watches over it, and how it stops as jobs do."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def not_stopped() -> Iterator[None]:
    """Setting a terminal that has just become another job's would stop this one."""
    previous = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGTTOU, previous)


def stop_job(number: signal.Signals, *, others: bool) -> None:
    """Returns when somebody continues it.

    Started as root, this process may signal no other user's any more: a script that waits for it is then stopped by a
    second Ctrl-Z, of which the caller's terminal makes a signal again.
    """
    previous = signal.signal(number, signal.SIG_DFL)
    try:
        os.kill(0 if others else os.getpid(), number)
    finally:
        signal.signal(number, previous)


def is_controlled() -> bool:
    """Whether a shell watches over this job: its group is not an orphaned one, whose stops the kernel ignores."""
    process = os.getppid()
    try:
        while os.getpgid(process) == os.getpgrp():  # a script, make, sudo
            with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
                process = int(file.read().rpartition(")")[2].split()[1])
        return process > 0 and os.getsid(process) == os.getsid(0)
    except (OSError, ValueError):
        return False


def has_job(number: int) -> bool:
    """Only the controlling terminal tells which job is in front (`man 3 tcgetpgrp`)."""
    try:
        os.tcgetpgrp(number)
    except OSError:
        return False
    return True


def is_piped(number: int) -> bool:
    try:
        mode = os.fstat(number).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
