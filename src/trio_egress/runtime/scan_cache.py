"""Compiled detectors, kept on disk between runs: `~/.cache/trio-egress`, or below XDG_CACHE_HOME.

A database that somebody else made could take over whoever loads it. What keeps it from that is who can write there; the
hash in each file is against accidents.

Rule 1: nothing is read that another than this user (and root) could have written: the folder and the files are this
        user's alone, and no directory on the way can be written by anybody else. When in doubt it is compiled anew.
Rule 2: an agent of the same user is another. Where it may write, every run protects the folder (`protect_cache`).
Rule 3: what can't be read or written costs time, nothing else: no error, no message.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from trio_egress.kernel.mountinfo import is_in

if TYPE_CHECKING:
    from trio_egress.content.detector import Detector
    from trio_egress.content.scanner import Scanner

KEPT = 8
"""Databases: of several versions, and of rule files that change."""

MOST_BYTES = 64 << 20

_MAGIC = b"trio-egress scan database 1\n"
_SUFFIX = ".scan"
_FOLDER = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def open_scanner(
    detectors: Iterable[Detector],
    of_run: Iterable[Detector] = (),
    environment: Mapping[str, str] = os.environ,
) -> Scanner:
    """A scanner, its detectors compiled already if that was done before on this machine."""
    from trio_egress.content.scanner import Scanner, find_key

    known = tuple(detectors)
    folder = find_folder(environment)
    if not folder:
        return Scanner(known, of_run)
    key = _add_processor(find_key(known))
    kept = read_database(folder, key)
    scanner = Scanner(known, of_run, kept)
    if kept is None and scanner.database:
        keep_database(folder, key, scanner.database)
    return scanner


def find_folder(environment: Mapping[str, str]) -> str:
    """Where databases are kept, with no link on the way; "" where nobody says where."""
    caches = environment.get("XDG_CACHE_HOME", "")
    if not caches.startswith("/"):
        home = environment.get("HOME", "") or _find_home()
        if not home.startswith("/"):
            return ""
        caches = f"{home}/.cache"
    return os.path.join(os.path.realpath(caches), "trio-egress")


def protect_cache(environment: Mapping[str, str], writable: Sequence[str]) -> tuple[str, ...]:
    """The folder, if an agent may write there and it would be trusted. It is made, since it is to be mounted over."""
    folder = find_folder(environment)
    if not any(is_in(folder, os.path.realpath(root)) for root in writable):
        return ()
    there = folder
    while not os.path.lexists(there):
        there = os.path.dirname(there)
    try:
        _check_way(there)
        os.makedirs(folder, 0o700, exist_ok=True)
    except OSError:
        return ()
    return (folder,)


def read_database(folder: str, key: str) -> bytes | None:
    """What was kept by that key, if nobody else can have written it."""
    try:
        with _open_folder(folder) as directory:
            return _check(_read(directory, f"{key}{_SUFFIX}"), key)
    except OSError:
        return None


def keep_database(folder: str, key: str, database: bytes) -> None:
    """Put it there for the next run, if that is a place for it."""
    raw = _MAGIC + _digest(key, database) + database
    name, temporary = f"{key}{_SUFFIX}", f"{key}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(folder), 0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        with _open_folder(folder) as directory:
            with os.fdopen(os.open(temporary, _MAKE, 0o600, dir_fd=directory), "wb") as file:
                file.write(raw)
            os.replace(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            _prune(directory, name)
    except OSError:
        return


@contextlib.contextmanager
def _open_folder(folder: str) -> Iterator[int]:
    """Raises OSError unless it is this user's alone and is where it is by nobody else's doing."""
    _check_way(os.path.dirname(folder))
    directory = os.open(folder, _FOLDER)
    try:
        found = os.fstat(directory)
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PermissionError(f"{folder} is not this user's alone")
        yield directory
    finally:
        os.close(directory)


def _check_way(way: str) -> None:
    """Raises OSError if another than this user and root can change where a path leads."""
    found = os.lstat(way)
    if found.st_uid not in (0, os.geteuid()) or _is_open(found.st_mode):
        raise PermissionError(f"others can write in {way}")
    if way != "/":
        _check_way(os.path.dirname(way))


def _is_open(mode: int) -> bool:
    """Whether others can put something else in the place of what is there: not in a /tmp, with its sticky bit."""
    return not stat.S_ISDIR(mode) or bool(mode & 0o022 and not mode & stat.S_ISVTX)


def _read(directory: int, name: str) -> bytes:
    with os.fdopen(os.open(name, _READ, dir_fd=directory), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise PermissionError(f"{name} is not this user's alone")
        if found.st_nlink != 1 or found.st_size > MOST_BYTES:
            raise PermissionError(f"{name} is not what was put there")
        return file.read(MOST_BYTES + 1)


def _check(raw: bytes, key: str) -> bytes | None:
    begin = len(_MAGIC) + hashlib.sha256().digest_size
    database = raw[begin:]
    return database if raw[:begin] == _MAGIC + _digest(key, database) and database else None


def _digest(key: str, database: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\n" + database).digest()


def _prune(directory: int, newest: str) -> None:
    """The oldest go, and what a run that was killed left behind."""
    ages = sorted(
        (os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime_ns, name)
        for name in os.listdir(directory)
        if name != newest
    )
    for _, name in ages[: max(0, len(ages) - KEPT + 1)]:
        os.unlink(name, dir_fd=directory)


def _add_processor(key: str) -> str:
    """What the processor can do is part of what was compiled for it."""
    try:
        with open("/proc/cpuinfo", "rb") as file:
            lines = [line for line in file if line.startswith((b"flags", b"Features"))]
    except OSError:
        lines = []
    return hashlib.sha256(key.encode() + b"".join(lines[:1])).hexdigest()


def _find_home() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return ""
