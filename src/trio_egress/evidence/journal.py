"""The evidence file while a run writes it: append only, durable on request, final after the first failure.

Knows lines, not receipts. Works through a directory descriptor alone, so that it outlives lost rights.

Rule 1: the file is created, never opened again: a second writer on one directory is refused.
Rule 2: a line counts once `sync` has returned; a write that failed or fell short is not tried again.
Rule 3: a file that is no longer what its directory shows (removed, replaced, cut) has failed like a full disk.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NoReturn

from trio_egress.errors import RecorderError

EVIDENCE_NAME = "evidence.jsonl"

FILES_AT_ONCE = 64

Sync = Callable[[Iterable[int]], None]
"""Makes open files durable, in any order. Raises OSError when one of them is not."""


def open_journal(dir_fd: int) -> Journal:
    """Create the evidence file in this directory, durably. Raises RecorderError. The caller closes it."""
    try:
        kept_dir_fd = os.dup(dir_fd)
    except OSError as error:
        raise RecorderError(f"cannot use the evidence directory: {error.strerror}") from error
    fd = -1
    try:
        # Here and not above: the verifier loads this file too, also where there are no such flags.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(EVIDENCE_NAME, flags, 0o644, dir_fd=kept_dir_fd)
        os.fsync(kept_dir_fd)
        lock_log(fd)
    except OSError as error:
        for opened in (fd, kept_dir_fd):
            if opened >= 0:
                os.close(opened)
        if isinstance(error, FileExistsError):
            raise RecorderError(
                f"{EVIDENCE_NAME} is already there: another run writes or wrote here"
            ) from error
        raise RecorderError(f"cannot create {EVIDENCE_NAME}: {error.strerror}") from error
    return Journal(fd, kept_dir_fd)


def lock_log(fd: int) -> bool:
    """Keep everybody else from recovering this log; False where somebody keeps it already. It ends with the process.

    A file system without locks has none: True.
    """
    import fcntl  # not everywhere that this file is loaded

    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


class Journal:
    """The open evidence file. One thread at a time; `write` and `sync` block."""

    def __init__(self, fd: int, dir_fd: int) -> None:
        """Takes over both descriptors."""
        self._fd = fd
        self._dir_fd = dir_fd
        self._written = 0
        self._durable = 0
        self._failure = ""

    @property
    def durable_bytes(self) -> int:
        """How long the file was when it was last known to be on disk: nothing after it may be believed."""
        return self._durable

    @property
    def descriptors(self) -> tuple[int, int]:
        """Of the file and its directory."""
        return self._fd, self._dir_fd

    def learn(self, durable: int) -> None:
        """What another process, which writes with these descriptors, has made durable."""
        self._written = self._durable = durable

    def write(self, lines: Sequence[bytes]) -> None:
        """Append whole lines. Raises RecorderError, and then so does every later call."""
        self._refuse_after_failure()
        raw = b"".join(lines)
        try:
            done = os.write(self._fd, raw) if raw else 0
        except OSError as error:
            self._fail(f"cannot write {EVIDENCE_NAME}: {error.strerror}", error)
        if done != len(raw):
            self._fail(f"wrote {done} of {len(raw)} bytes to {EVIDENCE_NAME} (disk full or over a limit?)")
        self._written += len(raw)

    def sync(self) -> None:
        """Put on disk what was written. Raises RecorderError, and then so does every later call."""
        self._refuse_after_failure()
        try:
            os.fdatasync(self._fd)
            own = os.fstat(self._fd)
            shown = os.stat(EVIDENCE_NAME, dir_fd=self._dir_fd, follow_symlinks=False)
        except OSError as error:
            self._fail(f"cannot make {EVIDENCE_NAME} durable: {error.strerror}", error)
        if (own.st_dev, own.st_ino) != (shown.st_dev, shown.st_ino):
            self._fail(f"{EVIDENCE_NAME} was replaced while the run wrote it")
        if own.st_size != self._written:
            self._fail(f"{EVIDENCE_NAME} is {own.st_size} bytes long where {self._written} were written")
        self._durable = self._written

    def put(self, name: str, raw: bytes) -> None:
        """A whole file beside the evidence, in the place of one of this name: after a crash one of the two is there.

        Raises as `sync` does.
        """
        self._refuse_after_failure()
        try:
            put_file(self._dir_fd, name, raw, settled=False)
        except OSError as error:
            self._fail(f"cannot write {name}: {error.strerror}", error)

    def close(self) -> None:
        """Give the descriptors back; can be called again. Makes nothing durable."""
        fds, self._fd, self._dir_fd = (self._fd, self._dir_fd), -1, -1
        self._failure = self._failure or "the journal is closed"
        for fd in fds:
            if fd >= 0:
                _close_quietly(fd)

    def _refuse_after_failure(self) -> None:
        if self._failure:
            raise RecorderError(self._failure)

    def _fail(self, reason: str, cause: OSError | None = None) -> NoReturn:
        self._failure = f"{reason}; only the first {self._durable} bytes are known to be on disk"
        raise RecorderError(self._failure) from cause


def put_file(dir_fd: int, name: str, raw: bytes, *, settled: bool = True) -> None:
    """Make a file aside, make it durable, then give it its name. Raises OSError; then the name is as it was.

    Not `settled`: a crash soon after may leave the name as it was.
    """
    fd = _write_aside(dir_fd, name, raw)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    _give_name(dir_fd, name)
    if settled:
        os.fsync(dir_fd)


def put_files(dir_fd: int, files: Mapping[str, bytes], sync: Sync) -> None:
    """Make all aside, make all durable, and give them their names in this order: the last when the others' are durable.

    Raises OSError; then the last is not there, and others that could be written may be.
    """
    names = list(files)
    for start in range(0, len(names), FILES_AT_ONCE):
        group = {name: files[name] for name in names[start : start + FILES_AT_ONCE]}
        _put_group(dir_fd, group, names[-1], sync)
    os.fsync(dir_fd)
    _give_name(dir_fd, names[-1])
    os.fsync(dir_fd)


def _put_group(dir_fd: int, files: Mapping[str, bytes], last: str, sync: Sync) -> None:
    opened: dict[str, int] = {}
    try:
        for name, raw in files.items():
            opened[name] = _write_aside(dir_fd, name, raw)
    finally:
        try:
            sync(opened.values())
        finally:
            for fd in opened.values():
                os.close(fd)
        for name in opened:
            if name != last:
                _give_name(dir_fd, name)


def _write_aside(dir_fd: int, name: str, raw: bytes) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(_aside(name), flags, 0o644, dir_fd=dir_fd)
    try:
        with os.fdopen(fd, "wb", closefd=False) as file:
            file.write(raw)
    except OSError:
        os.close(fd)
        raise
    return fd


def sync_each(fds: Iterable[int]) -> None:
    """One after another. Raises OSError."""
    for fd in fds:
        os.fsync(fd)


def _give_name(dir_fd: int, name: str) -> None:
    os.rename(_aside(name), name, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)


def _aside(name: str) -> str:
    return f".{name}.part"


def _close_quietly(fd: int) -> None:
    with contextlib.suppress(
        OSError
    ):  # sync has told what matters; a descriptor closed elsewhere is a failure there
        os.close(fd)
