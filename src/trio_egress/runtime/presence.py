"""Which process keeps a run, as long as it lives: a file in its evidence directory, which the agent never sees.

For `trio-egress policy reload`, which finds the run by its evidence. What a killed run leaves of it names a process
that is gone.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trio_egress.errors import UsageError

PRESENCE_NAME = "supervisor.pid"


@contextmanager
def show_presence(directory: int) -> Iterator[None]:
    """Say in this directory that this process keeps a run."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    words = f"{os.getpid()} {_find_start(os.getpid())}\n"
    try:
        with contextlib.suppress(OSError):  # a run that nobody finds can't be reloaded, and is a run
            file = os.open(PRESENCE_NAME, flags, 0o644, dir_fd=directory)
            with open(file, "w", encoding="ascii") as presence:
                presence.write(words)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(PRESENCE_NAME, dir_fd=directory)


def send_signal(evidence: Path, number: signal.Signals) -> None:
    """To the process that keeps the run of this directory, and to no other. Raises UsageError."""
    try:
        pid, start = (evidence / PRESENCE_NAME).read_text("ascii").split()
        process = os.pidfd_open(int(pid))
    except FileNotFoundError:
        raise UsageError(f"no run lives in {evidence}: there is no {PRESENCE_NAME}") from None
    except (OSError, ValueError):
        raise UsageError(f"no run lives in {evidence}: its process is gone") from None
    try:
        if _find_start(int(pid)) != start:  # the number is another process's by now
            raise UsageError(f"no run lives in {evidence}: its process is gone")
        signal.pidfd_send_signal(process, number)
    except PermissionError:
        raise UsageError(f"the run of {evidence} is another user's: ask as root, or as that user") from None
    except ProcessLookupError:
        raise UsageError(f"no run lives in {evidence}: its process is gone") from None
    finally:
        os.close(process)


def is_kept(evidence: Path) -> bool:
    """Whether the process that said so still keeps the run of this directory."""
    try:
        pid, start = (evidence / PRESENCE_NAME).read_text("ascii").split()
    except (OSError, ValueError):
        return False
    return start == _find_start(int(pid)) if pid.isdecimal() else False


def _find_start(pid: int) -> str:
    """When a process started, in ticks since the boot: with its number, its identity (`man 5 proc_pid_stat`)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
