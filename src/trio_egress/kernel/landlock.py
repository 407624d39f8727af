"""Landlock for the agent: writing is held to the writable places of the plan, signals and abstract sockets to itself.

A second wall behind the mount view, and the only one before what a read-only mount lets by: a host's named pipe, a
device node, a descriptor opened anew through /proc/self/fd. Reading and executing are not its business.
Standard library only: part of the launcher.

Rule 1: a kernel without it is left out openly (`explain_absence`); where it exists, a call that fails is an OSError.
Rule 2: every right to change is handled, so what no rule below allows is denied.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterable

from trio_egress.kernel import syscalls

# linux/landlock.h, LANDLOCK_ACCESS_FS_*
WRITE_FILE = 1 << 1
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_CHAR = 1 << 6
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
MAKE_SOCK = 1 << 9
MAKE_FIFO = 1 << 10
MAKE_BLOCK = 1 << 11
MAKE_SYM = 1 << 12
REFER = 1 << 13
TRUNCATE = 1 << 14
IOCTL_DEV = 1 << 15

SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0
SCOPE_SIGNAL = 1 << 1

OLDEST_ABI = 2
"""Linux 5.19. The first version forbids every rename and link between two directories, and programs notice."""

_FIRST = (
    WRITE_FILE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_CHAR
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | MAKE_BLOCK
    | MAKE_SYM
)
_SINCE = {1: _FIRST, 2: REFER, 3: TRUNCATE, 5: IOCTL_DEV}
_SCOPES_SINCE = 6

_NODES = MAKE_CHAR | MAKE_BLOCK  # nobody needs them, and only CAP_MKNOD could make one that means anything
_CONTENT = WRITE_FILE | TRUNCATE
_EVERYWHERE = {"/proc": _CONTENT, "/dev": _CONTENT | IOCTL_DEV}
"""Places where nothing is made or removed: the files there are the kernel's, and /dev is of the run's own."""


def explain_absence(abi: int) -> str:
    """Why Landlock of this version (0: none) is left out of the sandbox; empty where it is used."""
    if abi == 0:
        return "this kernel has no Landlock, or it is switched off (lsm= on the kernel's command line)"
    if abi < OLDEST_ABI:
        return f"this kernel's Landlock, version {abi}, would forbid every rename between two directories"
    return ""


def handled_rights(abi: int) -> int:
    """Every right to change something that this version knows."""
    return sum(rights for since, rights in _SINCE.items() if since <= abi)


def restrict_agent(abi: int, places: Iterable[str]) -> None:
    """Hold this process, which has one thread and no_new_privs, and all that it starts to `places`. For ever."""
    if explain_absence(abi):
        return
    handled = handled_rights(abi)
    scopes = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL if abi >= _SCOPES_SINCE else 0
    ruleset = syscalls.landlock_create_ruleset(handled, scopes)
    try:
        for place in places:
            _allow_place(ruleset, place, handled & ~_NODES & ~IOCTL_DEV)
        for place, rights in _EVERYWHERE.items():
            _allow_place(ruleset, place, handled & rights)
        for descriptor in (0, 1, 2):
            _allow_stream(ruleset, descriptor, handled)
        syscalls.landlock_restrict_self(ruleset)
    finally:
        os.close(ruleset)


def _allow_place(ruleset: int, place: str, rights: int) -> None:
    """A place that is not there, or that the agent can't reach, needs no rule."""
    try:
        descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        syscalls.landlock_add_rule(ruleset, rights, descriptor)
    finally:
        os.close(descriptor)


def _allow_stream(ruleset: int, descriptor: int, handled: int) -> None:
    """`>/dev/stderr` opens the file of descriptor 2 anew: what the agent was given to write to stays writable.

    Pipes and sockets need no rule; the kernel knows them by file systems that no path leads to (EBADFD).
    """
    try:
        flags, mode = fcntl.fcntl(descriptor, fcntl.F_GETFL), os.fstat(descriptor).st_mode
    except OSError as error:
        if error.errno == errno.EBADF:
            return
        raise
    rights = 0
    if flags & os.O_ACCMODE != os.O_RDONLY:
        rights |= _CONTENT
    if stat.S_ISCHR(mode):
        rights |= IOCTL_DEV
    if stat.S_ISDIR(mode) or not rights & handled:
        return
    try:
        syscalls.landlock_add_rule(ruleset, rights & handled, descriptor)
    except OSError as error:
        if error.errno != errno.EBADFD:
            raise
