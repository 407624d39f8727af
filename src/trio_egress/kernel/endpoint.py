"""A Unix socket at a path, for others to connect to: made where nobody listens, and taken away at the end.

Rule 1: what is at the path stays, unless it is a socket that nobody listens at any more. A link is never followed.
Rule 2: two that start at once don't take the path from each other: they wait for the lock of its directory.
Rule 3: nobody connects before its mode and group say who may: nobody listens until then.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trio_egress.errors import UsageError

BACKLOG = 128
FIRST_PASSED = 3
"""SD_LISTEN_FDS_START (`man 3 sd_listen_fds`)."""


@contextmanager
def open_endpoint(path: str, mode: int, gid: int | None) -> Iterator[socket.socket]:
    """Listening, for whole packets (SOCK_SEQPACKET). Raises UsageError."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with listener:
        try:
            with _locked(Path(path).parent):
                _clear(path)
                own = _bind(listener, path, mode)
                if gid is not None:
                    os.chown(path, -1, gid, follow_symlinks=False)
                listener.listen(BACKLOG)
        except OSError as error:
            raise UsageError(f"--socket {path}: {error.strerror or error}") from None
        try:
            yield listener
        finally:
            with suppress(OSError), _locked(Path(path).parent):
                found = os.lstat(path)
                if (found.st_dev, found.st_ino) == own:
                    os.unlink(path)


def take_passed(environ: dict[str, str]) -> socket.socket | None:
    """The socket at which systemd listens for this process; None where it doesn't. Raises UsageError."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = environ.get("LISTEN_FDS", "")
    if count != "1":
        raise UsageError(f"LISTEN_FDS is {count!r}: one socket is taken, of ListenSequentialPacket=")
    os.set_inheritable(FIRST_PASSED, False)
    try:
        passed = socket.socket(fileno=FIRST_PASSED)
    except OSError as error:
        raise UsageError(f"LISTEN_FDS: {error.strerror}") from None
    listens = passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if (passed.family, passed.type, listens) != (socket.AF_UNIX, socket.SOCK_SEQPACKET, 1):
        raise UsageError(
            "LISTEN_FDS: not a listening Unix socket for packets: ListenSequentialPacket= makes one"
        )
    return passed


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _clear(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise UsageError(f"--socket {path}: something else is there, and stays")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            pass  # of another type, or too many wait there: it is somebody's
    raise UsageError(f"--socket {path}: somebody listens there already")


def _bind(listener: socket.socket, path: str, mode: int) -> tuple[int, int]:
    """With its mode from the start, which `chmod` would give to wherever a link leads that has taken its place."""
    os.fchmod(listener.fileno(), mode)
    before = os.umask(0)
    try:
        listener.bind(path)
    finally:
        os.umask(before)
    found = os.lstat(path)
    return found.st_dev, found.st_ino
