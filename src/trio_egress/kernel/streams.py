"""What the caller's descriptors 0, 1 and 2 may be: they are the only ones that the agent inherits.

A socket keeps the network namespace in which it was made, and a directory its mount namespace: as a stream, either one
would be a way around the sandbox, because the agent can connect a socket anew (AF_UNSPEC, `man 2 connect`).

Rule 1: pipes, files, terminals and other character devices, and connected Unix stream sockets (containers, journald, a
remote shell); nothing else. What is closed stays closed. (Given a directory, Python itself ends with status 1.)
Rule 2: what is changed of them is the mode of a pipe without a name, and that in the direction that was given alone.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress

from trio_egress.errors import SandboxError

STREAMS = (0, 1, 2)
_NAMES = ("standard input", "standard output", "standard error")
_SO_DOMAIN = 39  # asm-generic/socket.h
_CONNECTION_ORIENTED = (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)
_CURE = "give it a pipe, as in `cat | trio-egress run … | cat`, or /dev/null"


def check_streams() -> None:
    """Raises SandboxError for a standard stream that would lead out."""
    for number, name in enumerate(_NAMES):
        trouble = find_trouble(number)
        if trouble:
            raise SandboxError(f"{name} is {trouble}, by which the agent could leave the sandbox: {_CURE}")


def find_trouble(number: int) -> str:
    """What a descriptor is, if it is something that no agent may inherit; else nothing."""
    try:
        mode = os.fstat(number).st_mode
    except OSError as error:
        if error.errno == errno.EBADF:
            return ""
        raise
    if stat.S_ISSOCK(mode):
        with socket.socket(socket.AF_UNIX, fileno=os.dup(number)) as sock:
            return _find_socket_trouble(sock)
    if stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISCHR(mode):
        return ""
    return "a directory" if stat.S_ISDIR(mode) else "neither a pipe nor a file nor a terminal"


def open_pipes(agent_uid: int, numbers: Sequence[int] = STREAMS) -> None:
    """Let an agent that is another user than the caller open these pipes by name: `echo … >/dev/stderr`.

    A pipe is its maker's alone (0600), and /dev/stderr opens it anew. Nobody else comes near it: the way leads through
    /proc of a process that has it. Where that can't be changed, the agent is told as in any container without root.
    """
    for number in numbers:
        with suppress(OSError):
            status = os.fstat(number)
            if status.st_uid != agent_uid and os.readlink(f"/proc/self/fd/{number}").startswith("pipe:"):
                reads = fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
                os.fchmod(number, stat.S_IMODE(status.st_mode) | (stat.S_IROTH if reads else stat.S_IWOTH))


def _find_socket_trouble(sock: socket.socket) -> str:
    if sock.getsockopt(socket.SOL_SOCKET, _SO_DOMAIN) != socket.AF_UNIX:
        return "a socket of the host's network"
    if sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) not in _CONNECTION_ORIENTED:
        return "a datagram socket"  # can be connected anew, to an abstract name of the host
    try:
        sock.getpeername()
    except OSError:
        return "a socket that is not connected"
    return ""
