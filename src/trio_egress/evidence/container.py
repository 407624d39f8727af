"""A packet as it is read: its files by name, without trust in any of them.

With journal.py and packet.py the only code of this floor that opens files. What is in them is judged elsewhere.

Rule 1: reading takes plain files inside the packet, never a link, never more than its bound.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Protocol, Union

import attrs

from trio_egress.errors import EvidenceError
from trio_egress.evidence.archive import PLAIN_NAME, ZIP_START, Slice, SliceReader, read_index
from trio_egress.evidence.array import ARRAY_START, ArrayReader
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.manifest import FILES_MAX, Entry
from trio_egress.evidence.quick import follow_links
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.stream import Checker, replay_stream
from trio_egress.values import frozen

FilePath = Union[str, "os.PathLike[str]"]

FILE_BYTES = 4 << 20
"""Longest file that is read as a whole: a manifest of 20,000 files is 3 MB, a packet.json of 10,000 hosts 1 MB."""

HASHED_BYTES = 64 << 20
"""Longest file that is compared by its hash and not listed in a manifest: a policy has 16 MiB at most."""

_CHUNK_BYTES = 1 << 20
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_BLOCK = getattr(os, "O_NONBLOCK", 0)
_BINARY = getattr(os, "O_BINARY", 0)


def open_plain(path: FilePath, *, follow: bool = False) -> BinaryIO:
    """Open a plain file. Raises EvidenceError for anything else; a link only where `follow`."""
    flags = os.O_RDONLY | _BINARY | _NO_BLOCK | (0 if follow else _NO_FOLLOW)
    try:
        if not follow and stat.S_ISLNK(os.lstat(path).st_mode):
            raise EvidenceError(f"{path} is a link")
        fd = os.open(path, flags)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise EvidenceError(f"cannot open {path}: {reason}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise EvidenceError(f"{path} is not a plain file")
    return os.fdopen(fd, "rb")


def read_plain(path: FilePath, limit: int) -> bytes:
    """All of a plain file, which may be reached by a link and is no longer than that. Raises EvidenceError."""
    with open_plain(path, follow=True) as file:
        try:
            raw = file.read(limit + 1)
        except OSError as error:
            raise EvidenceError(f"cannot read {os.fspath(path)}: {error.strerror}") from error
    if len(raw) > limit:
        raise EvidenceError(f"{os.fspath(path)} is longer than {limit} bytes")
    return raw


def list_packet(directory: FilePath) -> list[str]:
    """The names of a packet's files, sorted. Raises EvidenceError where anything else is in its directory."""
    try:
        with os.scandir(directory) as entries:
            found = sorted((entry.name, entry.is_file(follow_symlinks=False)) for entry in entries)
    except OSError as error:
        raise EvidenceError(f"cannot read {os.fspath(directory)}: {error.strerror}") from None
    for name, is_file in found:
        if not is_file:
            raise EvidenceError(f"{name!r} in {os.fspath(directory)} is not a plain file: no packet has such")
        if PLAIN_NAME.fullmatch(name) is None:
            raise EvidenceError(f"{name!r} in {os.fspath(directory)} is no name that a file of a packet has")
    return [name for name, _ in found]


class Packet(Protocol):
    """The files of a packet by name, which nobody vouches for."""

    def __contains__(self, name: str) -> bool:
        """Whether anything stands under this name."""

    def list_names(self) -> list[str]:
        """What stands there, whatever it is; no more than FILES_MAX + 1 names. Raises EvidenceError."""

    def open(self, name: str) -> BinaryIO:
        """A plain file, to be read from its beginning. Raises EvidenceError."""


@frozen
class Folder:
    """A packet as a directory."""

    directory: Path

    def __contains__(self, name: str) -> bool:
        return os.path.lexists(self.directory / name)  # a dangling link too

    def list_names(self) -> list[str]:
        try:
            with os.scandir(self.directory) as entries:
                return sorted(entry.name for entry in islice(entries, FILES_MAX + 1))
        except OSError as error:
            raise EvidenceError(f"cannot read {self.directory}: {error.strerror}") from None

    def open(self, name: str) -> BinaryIO:
        """`name` is relative, and no part of it may be a link."""
        parts = name.split("/")
        for depth in range(1, len(parts)):
            if self.directory.joinpath(*parts[:depth]).is_symlink():
                raise EvidenceError(f"{name} leads through a link")
        try:
            return open_plain(self.directory.joinpath(*parts))
        except EvidenceError as error:
            if name == EVIDENCE_NAME and isinstance(error.__cause__, FileNotFoundError):
                raise EvidenceError(self._explain_absence()) from None
            raise

    def _explain_absence(self) -> str:
        """Runs leave their packets below one directory, which is easily taken for one of them."""
        below = min(self.directory.glob(f"*/{EVIDENCE_NAME}"), default=None)
        hint = f"; name one of those in it, such as {below.parent}" if below else ""
        return f"{self.directory} is no packet: there is no {EVIDENCE_NAME} in it{hint}"


@frozen
class Zip:
    """A packet as the zip that `packet pack` makes, read where it is; with `trouble` it is another, and not read."""

    path: FilePath
    index: Mapping[str, Slice] = attrs.field(factory=dict)
    trouble: str = ""

    def __contains__(self, name: str) -> bool:
        return name in self.index

    def list_names(self) -> list[str]:
        return sorted(self.index)

    def open(self, name: str) -> BinaryIO:
        if self.trouble or name not in self.index:
            raise EvidenceError(
                f"{os.fspath(self.path)}: {self.trouble or f'there is no {name} in this zip'}"
            )
        reader = SliceReader(open_plain(self.path, follow=True), self.index[name])
        return io.BufferedReader(reader, _CHUNK_BYTES)


def find_packet(path: FilePath) -> Packet | None:
    """The packet at this path, a directory or a zip; None where there is a bare file of evidence.

    Raises nothing: where nothing can be read, or it is another zip than ours, opening its files says so.
    """
    if os.path.isdir(path):
        return Folder(Path(path))
    try:
        stream = open_plain(path, follow=True)
    except EvidenceError:
        return None
    with stream:
        try:
            return Zip(path, read_index(stream)) if stream.read(len(ZIP_START)) == ZIP_START else None
        except EvidenceError as error:
            return Zip(path, trouble=str(error))
        except OSError:
            return None


def read_file(packet: Packet, name: str, limit: int = FILE_BYTES) -> bytes:
    """All of a file. Raises EvidenceError; also where it is longer than `limit`."""
    with packet.open(name) as file:
        raw = _read(file, name, limit + 1)
    if len(raw) > limit:
        raise EvidenceError(f"{name} is longer than {limit} bytes")
    return raw


def hash_file(packet: Packet, name: str) -> str:
    """Its hex SHA-256, read a piece at a time. Raises EvidenceError; also where it is longer than HASHED_BYTES."""
    found = measure_file(packet, name, HASHED_BYTES)
    if found.size > HASHED_BYTES:
        raise EvidenceError(f"{name} is longer than {HASHED_BYTES} bytes")
    return found.sha256


def measure_file(packet: Packet, name: str, most: int) -> Entry:
    """Its size and hash; of a file that is longer than `most` bytes no more than shows that. Raises EvidenceError."""
    digest, size = hashlib.sha256(), 0
    with packet.open(name) as file:
        while size <= most and (raw := _read(file, name, _CHUNK_BYTES)):
            digest.update(raw)
            size += len(raw)
    return Entry(name, digest.hexdigest(), size)


def _read(file: BinaryIO, name: str, size: int) -> bytes:
    try:
        return file.read(size)
    except OSError as error:
        raise EvidenceError(f"cannot read {name}: {error.strerror or error}") from error


def replay_evidence(
    path: FilePath, replay: Replay, checker: Checker | None = None, *, quick: bool = False
) -> Packet | None:
    """Replay the evidence file at `path`, or in the packet there, which is then given back.

    Raises EvidenceError where it cannot be read.
    """
    packet = find_packet(path)
    with open_bare(path) if packet is None else packet.open(EVIDENCE_NAME) as evidence:
        try:
            if quick:
                follow_links(evidence, replay)
            else:
                replay_stream(evidence, replay, checker)
        except OSError as error:
            raise EvidenceError(f"cannot read {path}: {error.strerror or error}") from error
    return packet


def open_bare(path: FilePath) -> BinaryIO:
    """Receipts outside of any packet: lines, or a JSON array, which is read as if it were lines."""
    file = open_plain(path, follow=True)
    try:
        if file.read(len(ARRAY_START)) == ARRAY_START:
            return ArrayReader(file)
        file.seek(0)
    except OSError as error:
        file.close()
        raise EvidenceError(f"cannot read {os.fspath(path)}: {error.strerror}") from error
    return file
