"""Who is at the other end of a Unix socket, by the kernel's word (SO_PEERCRED, SO_PEERGROUPS, `man 7 unix`).

Rule 1: it is who connected, as it was then; a name or number that the peer says of itself is never asked for.
Rule 2: an id that has no place in this user namespace is told as the overflow id, and is nobody's then.
"""

from __future__ import annotations

import errno
import socket
import struct
from pathlib import Path

from trio_egress.values import frozen

_CREDENTIALS = struct.Struct("3i")
_SO_PEERGROUPS = 59  # asm-generic/socket.h, since 4.13
_GROUPS_BYTES = 1024
"""As much as Python asks for at once."""

_ALL = ["0", "0", "4294967295"]


@frozen
class Peer:
    """`groups`: all that it is in."""

    pid: int
    uid: int
    gid: int
    groups: frozenset[int]


def read_peer(sock: socket.socket) -> Peer:
    """Raises OSError."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = (number & 0xFFFFFFFF for number in _CREDENTIALS.unpack(raw))
    return Peer(pid, uid, gid, frozenset({gid, *_read_groups(sock)}))


def _read_groups(sock: socket.socket) -> tuple[int, ...]:
    """Nothing where the kernel can't say, or of somebody in more than 256."""
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOPROTOOPT, errno.ERANGE):
            return ()
        raise
    return struct.unpack(f"{len(raw) // 4}I", raw)


def is_unmapped(uid: int) -> bool:
    """Whether an id stands for all those that this user namespace doesn't know."""
    if Path("/proc/self/uid_map").read_text().split() == _ALL:
        return False
    return uid == int(Path("/proc/sys/kernel/overflowuid").read_text())
