"""Files that a run writes while it lives, opened with the caller's rights before it does. Raises UsageError.

Rule 1: a plain file alone, and no link: an agent of an earlier run may have left one there.
"""

from __future__ import annotations

import os
import stat

from trio_egress.errors import UsageError

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def open_appended(option: str, path: str) -> int:
    """It ends with a whole line; it is made where it isn't there."""
    fd = open_plain(option, path, os.O_APPEND)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            os.write(fd, b"\n")
    except OSError as error:
        os.close(fd)
        raise UsageError(f"{option} {path}: {error.strerror}") from None
    return fd


def open_plain(option: str, path: str, flags: int = 0) -> int:
    try:
        fd = os.open(path, _FLAGS | flags, 0o644)
    except OSError as error:
        raise UsageError(f"{option} {path}: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise UsageError(f"{option} {path}: not a plain file")
    return fd
