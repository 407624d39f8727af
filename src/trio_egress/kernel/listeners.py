"""Unix sockets of the host that have a path: a network namespace does not hold them. Looks, changes nothing."""

from __future__ import annotations

import errno
import os
import socket


def find_sockets(raw_table: str) -> tuple[str, ...]:
    """The paths in /proc/net/unix, as they were bound; sockets of other network namespaces are not in it."""
    found = set()
    for line in raw_table.splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[7].startswith("/"):
            found.add(fields[7])
    return tuple(sorted(found))


def is_bound(path: str) -> bool:
    """Whether a socket file is anybody's, by whatever name it was bound; what its last owner left is refused.

    Nobody is disturbed: a stream socket refuses a datagram one before its owner hears of it, and to be connected to is
    nothing to a datagram socket. (`man 7 unix`, tried on 6.18)
    """
    try:
        file = os.open(path, os.O_PATH)
    except OSError:
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(f"/proc/self/fd/{file}")  # paths may be longer than an address
    except OSError as error:
        return error.errno not in (errno.ECONNREFUSED, errno.EACCES)
    finally:
        os.close(file)
    return True
