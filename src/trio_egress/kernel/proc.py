"""The sandbox's own /proc: shows the agent's processes and no other, and has nothing to set.

Standard library only: part of the launcher. What belongs to root there (/proc/sysrq-trigger, almost all of /proc/sys)
is closed by that already: no id of the sandbox is root's.
"""

from __future__ import annotations

import contextlib
import os

from trio_egress.kernel import syscalls

_FLAGS = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC

READ_ONLY = ("/proc/sys", "/proc/pressure")
"""Somebody without rights can open for writing, on 6.18: /proc/sys/kernel/ns_last_pid, and triggers of pressure."""

KEYS = "/proc/keys"
"""Tells the names of keys that the agent's user has outside (`man 7 keyrings`)."""

FIRST = "/proc/1"
"""PID 1 is the sandbox's own, and no business of the agent's."""


def mount_proc() -> None:
    """By a process of the PID namespace that is to be seen."""
    syscalls.mount("proc", "/proc", "proc", _FLAGS)


def cover_proc() -> None:
    """Before anything of the agent runs; what this process itself has to set in /proc comes first."""
    for path in READ_ONLY:
        with contextlib.suppress(FileNotFoundError):
            syscalls.mount(path, path, None, syscalls.MS_BIND)
            syscalls.mount_setattr(path, syscalls.MOUNT_ATTR_RDONLY)
    if os.path.exists(KEYS):
        syscalls.mount(os.devnull, KEYS, None, syscalls.MS_BIND)
    syscalls.mount("tmpfs", FIRST, "tmpfs", _FLAGS | syscalls.MS_RDONLY, "mode=0555,size=4k")
