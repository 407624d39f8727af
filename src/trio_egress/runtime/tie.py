"""A process whose life is tied to that of another, by a pipe that only the other holds the writing end of.

Rule 1: when the other is gone, however it went, the run is ended as by SIGTERM: agent dead, chain closed.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys


def forget_signals() -> None:
    """Nothing that the other did to signals holds here."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, its own children would end without a word


def tie(descriptor: int) -> None:
    """SIGTERM when the last writing end is closed: the kernel sends it, with no thread to wait for that."""
    os.set_inheritable(descriptor, False)
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([descriptor], [], [], 0)[0]:  # it is gone already
        sys.exit(128 + signal.SIGTERM)
