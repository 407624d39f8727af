"""Files that a command writes, opened with the caller's rights, and those of a run before it does anything.

Rule 1: no link is followed, at the end of the path or below the working directory: an agent of an earlier run may have
left one there. Where root writes, a file has no other name either. Nothing is cut off before that is known.
Rule 2: what is told of a run from outside is in plain files alone. The others may be a pipe or a device as well, or one
of the caller's own descriptors by its name, which is a link of the kernel's.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress

from trio_egress.errors import UsageError

# Not every system that has a verifier has all of them.
_FILE = sum(getattr(os, name, 0) for name in ("O_CREAT", "O_CLOEXEC", "O_NOFOLLOW", "O_NOCTTY", "O_BINARY"))
_DESCRIPTOR = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_NOCTTY"))
_FOLDER = sum(getattr(os, name, 0) for name in ("O_PATH", "O_DIRECTORY", "O_CLOEXEC", "O_NOFOLLOW"))
_AT_ONCE: int = getattr(os, "O_NONBLOCK", 0)

_OWN = re.compile("/dev/(stdout|stderr|fd/[0-9]+)|/proc/self/fd/[0-9]+")


def open_appended(option: str, path: str) -> int:
    """It ends with a whole line; it is made where it isn't there. Raises UsageError."""
    fd = open_plain(option, path, os.O_RDWR | os.O_APPEND)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            os.write(fd, b"\n")
    except OSError as error:
        os.close(fd)
        raise UsageError(f"{option} {path}: {error.strerror}") from None
    return fd


def open_plain(option: str, path: str, flags: int = os.O_RDWR) -> int:
    """A plain file as it stands. Raises UsageError."""
    try:
        return _check(_open(path, flags | _AT_ONCE), stat.S_ISREG)
    except OSError as error:
        raise UsageError(f"{option} {path}: {error.strerror}") from None


def open_output(path: str, waiting: Callable[[], AbstractContextManager[object]] = nullcontext) -> int:
    """Empty, where it is a file. Raises OSError. `waiting` is for a pipe that has no reader yet."""
    own = _OWN.fullmatch(path) is not None
    with waiting() if _is_pipe(path, follow=own) else nullcontext():
        if own:
            fd = os.open(path, os.O_WRONLY | _DESCRIPTOR)
        else:
            fd = _open(path, os.O_WRONLY | (0 if _is_pipe(path) else _AT_ONCE))
    if not own:
        _check(fd, _is_writable)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        os.ftruncate(fd, 0)
    elif _AT_ONCE:
        os.set_blocking(fd, True)
    return fd


def _open(path: str, flags: int) -> int:
    """See Rule 1. A link above the working directory, or elsewhere, is the caller's own."""
    way = [] if path.endswith("/") else _find_way(path)
    if not way:
        return _open_at(None, path, flags | _FILE)
    *folders, last = way
    at = os.open(".", _FOLDER)
    try:
        for folder in folders:
            inner = _open_at(at, folder, _FOLDER)
            os.close(at)
            at = inner
        return _open_at(at, last, flags | _FILE)
    finally:
        os.close(at)


def _open_at(folder: int | None, name: str, flags: int) -> int:
    try:
        return os.open(name, flags, 0o644, dir_fd=folder)
    except OSError as error:
        # ENOTDIR is what a link gives where a directory is asked for, ELOOP what it gives otherwise.
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and _is_link(folder, name):
            said = f"{name} is a link, which an earlier agent may have left: name the file where it is"
            raise OSError(errno.ELOOP, said) from None
        raise


def _is_link(folder: int | None, name: str) -> bool:
    with suppress(OSError):
        return stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode)
    return False


def _find_way(path: str) -> list[str]:
    """The names from the working directory to it, by whatever name that is gone to; none where it is elsewhere, or the
    directory is gone or can't be held."""
    if os.open not in os.supports_dir_fd:
        return []
    with suppress(OSError):
        names = os.path.abspath(path).split("/")
        for count in range(2, len(names)):  # of a root nothing is below
            if os.path.exists(above := "/".join(names[:count])) and os.path.samefile(above, "."):
                return names[count:]
    return []


def _is_pipe(path: str, *, follow: bool = False) -> bool:
    with suppress(OSError):
        return stat.S_ISFIFO(os.stat(path, follow_symlinks=follow).st_mode)
    return False


def _is_writable(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def _check(fd: int, fits: Callable[[int], bool]) -> int:
    found = os.fstat(fd)
    said = "" if fits(found.st_mode) else "not a plain file"
    if stat.S_ISREG(found.st_mode) and found.st_nlink > 1 and _is_root():
        said = "it has another name (a hard link), and root writes to no such file"
    if said:
        os.close(fd)
        raise OSError(errno.EINVAL, said)
    return fd


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
