"""What the agent inherits on descriptors 0, 1 and 2: the only things of the host that it holds.

Rule 1: no socket that can still go somewhere. A socket stays in the network namespace where it was made: an
inherited TCP socket can be disconnected (connect to AF_UNSPEC) and connected anew, to anywhere (6.18, tried).
Rule 2: no directory. It leads around every mount that hides something.
"""

from __future__ import annotations

import os
import socket
import stat

from trio_egress.errors import SandboxError

NAMES = ("standard input", "standard output", "standard error")


def check_stdio(descriptors: tuple[int, int, int] = (0, 1, 2)) -> None:
    """SandboxError for the first descriptor that the agent must not get. A closed one is fine."""
    for name, descriptor in zip(NAMES, descriptors, strict=True):
        try:
            mode = os.fstat(descriptor).st_mode
        except OSError:
            continue
        reason = _reason_against(mode, descriptor)
        if reason:
            raise SandboxError(f"{name} is {reason}: give the agent a terminal, a file or a pipe instead")


def _reason_against(mode: int, descriptor: int) -> str:
    if stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        return ""
    if stat.S_ISDIR(mode):
        return "a directory, which leads around the sandbox's view of the file system"
    if not stat.S_ISSOCK(mode):
        return "neither file, pipe, terminal nor socket"
    with socket.socket(fileno=os.dup(descriptor)) as sock:
        if sock.family != socket.AF_UNIX:
            return "a network socket, which the agent could connect to anywhere"
        if sock.type == socket.SOCK_DGRAM or not _is_connected(sock):
            return "a Unix socket that can still be connected to anything on this host"
    return ""


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True
