"""A file of the sandbox, read or written for the supervisor by a process that has a command's rights and view.

Standard library only, part of the launcher.

Rule 1: what is named is reached by no link of any kind, and is below the directory that the way begins in.
Rule 2: regular files alone: nothing that waits (FIFOs), acts (devices) or speaks (sockets) is opened, but looked at.
Rule 3: what is written replaces what was there at once and whole, or nothing of it is there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from typing import Any

from trio_egress.kernel import syscalls

CHUNK_BYTES = 1 << 20
NEW_MODE = 0o644


def do(message: dict[str, Any], channel: int) -> None:
    """Raises OSError. Of a relative path the way begins in the working directory, of an absolute one in `/`."""
    path = message["path"]
    root = os.open("/" if path.startswith("/") else ".", os.O_PATH | os.O_DIRECTORY)
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or path.endswith("/"):
        raise OSError(errno.EINVAL, "it names no file below the directory")
    given = [] if message["writes"] else [read(root, parts)]
    if message["writes"]:
        write(root, parts)
    with socket.socket(fileno=os.dup(channel)) as sock:
        socket.send_fds(sock, [b'{"done": true}\n'], given)


def read(root: int, parts: list[str]) -> int:
    """A descriptor to read it by. It is looked at before it is opened: opening a device can be an act."""
    check(syscalls.open_beneath(root, "/".join(parts), os.O_PATH))
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
    return check(syscalls.open_beneath(root, "/".join(parts), flags))


def check(descriptor: int) -> int:
    check_mode(os.fstat(descriptor).st_mode)
    return descriptor


def check_mode(mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    found = "a directory" if stat.S_ISDIR(mode) else "no regular file"
    raise OSError(errno.EISDIR if stat.S_ISDIR(mode) else errno.EPERM, f"it is {found}")


def write(root: int, parts: list[str]) -> None:
    """What standard input has, under a name of its own in the same directory first."""
    directory = root
    if len(parts) > 1:
        directory = syscalls.open_beneath(root, "/".join(parts[:-1]), os.O_PATH | os.O_DIRECTORY)
    name = parts[-1]
    mode = NEW_MODE
    with contextlib.suppress(FileNotFoundError):
        there = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(there.st_mode):
            raise OSError(errno.ELOOP, "it is a link")
        check_mode(there.st_mode)
        mode = stat.S_IMODE(there.st_mode) & 0o777
    passing = f".{os.urandom(8).hex()}.trio-egress"
    descriptor = os.open(
        passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=directory
    )
    try:
        while raw := os.read(0, CHUNK_BYTES):
            while raw:
                raw = raw[os.write(descriptor, raw) :]
        os.fchmod(descriptor, mode)
        os.rename(passing, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(passing, dir_fd=directory)
        raise
