"""Files in the working directory that would run as their owner, for whoever starts them when the agent is gone."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable

from tests.escapes.frame import ANSWERED_ALONE, WORK, Ways, add, refused

SET_ID = 0o4755
AT_FDCWD = -100

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


def _name(w: Ways) -> str:
    return f"{WORK}/{w.token}"


def _chmod(w: Ways) -> None:
    open(_name(w), "x").close()
    os.chmod(_name(w), SET_ID)


def _fchmod(w: Ways) -> None:
    with open(_name(w), "x") as file:
        os.fchmod(file.fileno(), SET_ID)


def _create(w: Ways) -> None:
    os.open(_name(w), os.O_CREAT | os.O_WRONLY, SET_ID)


def _make_node(w: Ways) -> None:
    os.mknod(_name(w), 0o100000 | SET_ID)


def _link_unnamed(w: Ways) -> None:
    made = os.open(WORK, os.O_TMPFILE | os.O_WRONLY, SET_ID)
    if libc.linkat(AT_FDCWD, f"/proc/self/fd/{made}".encode(), AT_FDCWD, _name(w).encode(), 0x400):
        raise OSError(ctypes.get_errno(), "linkat")


def _openat2(w: Ways) -> None:
    """The mode is behind a pointer."""
    how = struct.pack("=QQQ", os.O_CREAT | os.O_WRONLY, SET_ID, 0)
    words = (437, AT_FDCWD, _name(w).encode(), how, len(how))
    if libc.syscall(*(ctypes.c_long(word) if isinstance(word, int) else word for word in words)) < 0:
        raise OSError(ctypes.get_errno(), "openat2")


def _fchmodat2(w: Ways) -> None:
    open(_name(w), "x").close()
    words = (452, AT_FDCWD, _name(w).encode(), SET_ID, 0)
    if libc.syscall(*(ctypes.c_long(word) if isinstance(word, int) else word for word in words)) < 0:
        raise OSError(ctypes.get_errno(), "fchmodat2")


def _with_high_bits(w: Ways) -> None:
    """The kernel takes sixteen bits of a mode."""
    open(_name(w), "x").close()
    number = {"x86_64": 268, "aarch64": 53}[w.machine]
    words = (number, AT_FDCWD, _name(w).encode(), 1 << 40 | 1 << 20 | SET_ID)
    if libc.syscall(*(ctypes.c_long(word) if isinstance(word, int) else word for word in words)) < 0:
        raise OSError(ctypes.get_errno(), "fchmodat")


_TRIES: dict[str, Callable[[Ways], None]] = {
    "chmod": _chmod,
    "fchmod": _fchmod,
    "creating": _create,
    "making_a_node": _make_node,
    "linking_an_unnamed_file": _link_unnamed,
    "openat2": _openat2,
    "fchmodat2": _fchmodat2,
    "a_mode_with_high_bits": _with_high_bits,
}

CALLS = {
    "chmod": "(chmod|fchmodat)",
    "fchmod": "fchmod",
    "creating": "openat",
    "making_a_node": "(mknod|mknodat)",
    "linking_an_unnamed_file": "openat",
    "fchmodat2": "fchmodat2",
    "a_mode_with_high_bits": "fchmodat",
}
"""By which call each is tried; openat2 is answered by the kernel alone."""

for _how, _attempt in _TRIES.items():
    add(
        f"set_user_id_by_{_how}",
        _attempt,
        "seccomp",
        proof="set-id",
        receipt=refused(CALLS[_how], "04755") if _how in CALLS else "",
        silent="" if _how in CALLS else ANSWERED_ALONE,
    )
