"""The supervisor's process, as a program starts it: the command line, tied to the life of that program.

Rule 1: when the program is gone, however it went, the run is ended as by SIGTERM: agent dead, chain closed.
Rule 2: nothing that the program did to signals or to its import path holds here.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys


def main() -> int:
    """Arguments: the reading end of a pipe that only the program holds the other end of, and the command line's."""
    forget_signals()
    tie(int(sys.argv.pop(1)))
    from trio_egress.cli.main import main as run

    return run()


def forget_signals() -> None:
    """Rule 2."""
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
