"""The launcher's process, started before anyone knows what it is to build: it loads its modules, and waits for a plan.

Rule 1: loads nothing but the standard library and the system calls: a run starts it before its own modules are loaded,
so that both load at the same time where there are two cores.
Rule 2: started on the thread that lives as long as the run: the launcher dies with that *thread* (PR_SET_PDEATHSIG,
`man 2 prctl`), and Trio's worker threads come and go.
Rule 3: it holds nothing of this process but the standard streams and its end of the channel; when the other end closes,
it ends.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from trio_egress.kernel import syscalls

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launcher.py")


class Waiting(NamedTuple):
    """A launcher without a plan, and our end of the channel to it."""

    process: subprocess.Popen[bytes]
    control: socket.socket

    def dismiss(self) -> None:
        """There is no run for it. Does nothing where it was taken: who took it ends it."""
        if self.process.returncode is None and self.control.fileno() != -1:
            self.control.close()
            self.process.kill()
            self.process.wait()


def start_early() -> Waiting | None:
    """As the first thing that a run does. None where it can't be started: then the run tries again, and says why."""
    if os.geteuid() == 0:
        # Before there is a second process: nothing that comes of this one gains rights by sudo or a setuid file.
        syscalls.set_no_new_privs()
    try:
        return start_waiting((None, None, None))
    except OSError:
        return None


def start_waiting(streams: Sequence[int | None]) -> Waiting:
    """`streams`: what are 0, 1 and 2 there, and of the agent; None: ours. Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    # An interpreter built elsewhere may need its library path to start at all; nothing else is passed on.
    environment = {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"}
    # A Ctrl-C goes to all of a terminal's job: until the launcher ignores it, it must not be hurt by it.
    heeded = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", PROGRAM, str(theirs.fileno())],
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            pass_fds=(theirs.fileno(),),
            env=environment,
        )
    except OSError:
        ours.close()
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heeded)
        theirs.close()
    return Waiting(process, ours)
