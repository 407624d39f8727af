"""What is in archives, and in archives in them: zip (wheels, jars, office files), tar, and files that are compressed.

What an archive is, its first bytes say, not its name. The archive's own bytes are looked through besides: what stands
before or between its members is in no list of it.

Rule 1: bounded, whatever an archive says of itself: so deep, so many members, so many bytes in all and so many for each
        that it has itself. Beyond a bound nothing more of it is read, and that is told as something unread.
Rule 2: nothing is written anywhere, and a member's name is a name: it leads nowhere.
"""

from __future__ import annotations

import bz2
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, Protocol

from trio_egress.static.source import PIECE_BYTES, Source, Unread
from trio_egress.values import define

INSIDE = "!"
"""Between an archive's path and a member's name."""

DEPTH = 3
MEMBERS = 100_000
TOTAL_BYTES = 2 << 30
"""That come out of one file, at all depths."""

RATIO = 200
"""As that of coded bodies (wire/coding.py)."""

FREE_BYTES = 64 << 20
"""That come out at any ratio."""

NESTED_BYTES = 256 << 20
"""Of an archive in an archive, which is held."""

HEADER_BYTES = 1 << 20
"""Of tar's extended headers and long names, which are held."""

XZ_BYTES = 128 << 20
"""Of memory (`xz -9` needs 65 MiB)."""

ZSTD_WINDOW = 128 << 20
"""`zstd --long`."""

ZSTD_STEP = 64
"""Bytes, which stand for 2 MiB at most (wire/coding.py)."""

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_TAR_AT, _TAR = 257, b"ustar"
_PACKED = {b"\x1f\x8b\x08": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_HEAD_BYTES = 512


class Bomb(OSError):
    """A bound is passed."""


@define
class _Budget:
    """What one file may still give. What is unpacked and then taken out counts twice."""

    left: int
    members: int

    @classmethod
    def of(cls, size: int) -> _Budget:
        return cls(min(TOTAL_BYTES, max(FREE_BYTES, size * RATIO)), MEMBERS)

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise Bomb("more comes out of it than is looked at")

    def take_member(self) -> None:
        self.members -= 1
        if self.members < 0:
            raise Bomb(f"it has more than {MEMBERS} members")


def open_archive(path: str, file: IO[bytes], size: int) -> Iterator[Source | Unread]:
    """The members of an archive; none where the file is no archive. `file` can be sought, and is read from its start.

    Each source is to be read before the next is asked for.
    """
    yield from _open(path, file, _Budget.of(size), 0)


def is_archive(head: bytes) -> bool:
    """By its first bytes."""
    return head.startswith((*_ZIP, *_PACKED)) or _is_tar(head)


def _is_tar(head: bytes) -> bool:
    return head[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR


def _open(path: str, file: IO[bytes], budget: _Budget, depth: int) -> Iterator[Source | Unread]:
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if not is_archive(head):
        return
    if depth == DEPTH:
        yield Unread(path, f"it is an archive in {DEPTH} archives")
        return
    try:
        if head.startswith(_ZIP):
            yield from _open_zip(path, file, budget, depth)
        elif _is_tar(head):
            yield from _open_tar(path, file, budget, depth)
        else:
            yield from _open_packed(path, file, head, budget, depth)
    except Bomb as error:
        yield Unread(path, str(error))
    except _find_faults() as error:
        yield Unread(path, f"as an archive it is broken: {error}")


def _open_zip(path: str, file: IO[bytes], budget: _Budget, depth: int) -> Iterator[Source | Unread]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            budget.take_member()
            if member.is_dir():
                continue
            name = f"{path}{INSIDE}{member.filename}"
            if member.flag_bits & 1:
                yield Unread(name, "it is encrypted")
                continue
            try:
                opened = archive.open(member)
            except (NotImplementedError, zipfile.BadZipFile) as error:
                yield Unread(name, str(error))
                continue
            with opened:
                yield from _open_member(name, opened, budget, depth)


class _Member(tarfile.TarInfo):
    """A member whose header is no longer than may be held."""

    _EXTENDED = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
    _LONG = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in (*self._EXTENDED, *self._LONG) and self.size > HEADER_BYTES:
            raise Bomb(f"a header of it has more than {HEADER_BYTES} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


def _open_tar(path: str, file: IO[bytes], budget: _Budget, depth: int) -> Iterator[Source | Unread]:
    # As a stream: no member is gone back to, and none is remembered.
    with tarfile.open(fileobj=file, mode="r|", tarinfo=_Member, bufsize=PIECE_BYTES) as archive:
        for member in archive:
            budget.take_member()
            archive.members = []  # type: ignore[attr-defined]
            opened = archive.extractfile(member) if member.isreg() else None
            if opened is not None:
                yield from _open_member(f"{path}{INSIDE}{member.name}", opened, budget, depth)


def _open_packed(
    path: str, file: IO[bytes], head: bytes, budget: _Budget, depth: int
) -> Iterator[Source | Unread]:
    kind = next(kind for magic, kind in _PACKED.items() if head.startswith(magic))
    with io.BufferedReader(_Unpacker(kind, file, budget), PIECE_BYTES) as plain:
        if _is_tar(plain.peek(_HEAD_BYTES)[:_HEAD_BYTES]):
            yield from _open_tar(path, plain, budget, depth)
        else:
            yield from _open_member(f"{path}{INSIDE}{kind}", plain, budget, depth)


def _open_member(name: str, opened: IO[bytes], budget: _Budget, depth: int) -> Iterator[Source | Unread]:
    """A member that is an archive is held, so that it can be gone about in."""
    try:
        head = opened.read(_HEAD_BYTES)
        budget.take(len(head))
    except Bomb:
        raise
    except _find_faults() as error:
        yield Unread(name, f"as a member it is broken: {error}")
        return
    if not is_archive(head):
        yield Source(name, _read(name, head, opened, budget))
        return
    held = io.BytesIO(head)
    held.seek(0, io.SEEK_END)
    for piece in _read_pieces(opened, budget):
        if held.tell() + len(piece) > NESTED_BYTES:
            yield Unread(name, f"it is an archive of more than {NESTED_BYTES} bytes in an archive")
            return
        held.write(piece)
    held.seek(0)
    yield Source(name, [held.getvalue()])
    yield from _open(name, held, budget, depth + 1)


def _read(name: str, head: bytes, opened: IO[bytes], budget: _Budget) -> Iterator[bytes]:
    yield head
    try:
        yield from _read_pieces(opened, budget)
    except Bomb:
        raise
    except _find_faults() as error:
        raise OSError(f"as a member it is broken: {error}") from error


def _read_pieces(opened: IO[bytes], budget: _Budget) -> Iterator[bytes]:
    while piece := opened.read(PIECE_BYTES):
        budget.take(len(piece))
        yield piece


class _Decompressor(Protocol):
    """What bz2 and lzma give."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflater:
    """zlib's in the same form."""

    def __init__(self) -> None:
        self._inflating = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inflating.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflating.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflating.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflating.decompress(self._inflating.unconsumed_tail + data, max_length)


class _Unzstd:
    """zstandard's in the same form: it has no bound of its own, so it is given few bytes at a time."""

    def __init__(self) -> None:
        import zstandard

        self._frame = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW).decompressobj()
        self._given, self._at, self._plain = b"", 0, b""

    @property
    def eof(self) -> bool:
        return self._frame.eof and not self._plain

    @property
    def needs_input(self) -> bool:
        return not self._plain and self._at == len(self._given)

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data + self._given[self._at :]

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if data:
            self._given, self._at = data, 0
        while not self._plain and self._at < len(self._given) and not self._frame.eof:
            step = self._given[self._at : self._at + ZSTD_STEP]
            self._at += len(step)
            self._plain = self._frame.decompress(step)
        piece, self._plain = self._plain[:max_length], self._plain[max_length:]
        return piece


class _Unpacker(io.RawIOBase):
    """What a compressed file says, as a file: of all of its streams, one after the other."""

    def __init__(self, kind: str, file: IO[bytes], budget: _Budget) -> None:
        self._kind, self._file, self._budget = kind, file, budget
        self._decoder: _Decompressor | None = None
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._unpack(len(buffer))
        self._budget.take(len(piece))
        buffer[: len(piece)] = piece
        return len(piece)

    def _unpack(self, most: int) -> bytes:
        while True:
            decoder = self._decoder
            if decoder is None or decoder.eof:
                rest = decoder.unused_data if decoder else b""
                self._rest = rest.lstrip(b"\0") or self._file.read(PIECE_BYTES).lstrip(b"\0")
                if not self._rest:
                    return b""  # blanks may be behind the end, as tape drives and xz leave them
                decoder = self._decoder = _open_decoder(self._kind)
            given = self._rest if decoder.needs_input else b""
            if decoder.needs_input and not given:
                given = self._file.read(PIECE_BYTES)
            self._rest = b"" if decoder.needs_input else self._rest
            starved = decoder.needs_input and not given
            if piece := decoder.decompress(given, most):
                return piece
            if starved and not decoder.eof:
                raise EOFError("it is cut off")


def _open_decoder(kind: str) -> _Decompressor:
    match kind:
        case "gzip":
            return _Inflater()
        case "bzip2":
            return bz2.BZ2Decompressor()
        case "zstd":
            return _Unzstd()
        case _:
            return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_BYTES)


def _find_faults() -> tuple[type[Exception], ...]:
    """What broken archives raise, from libraries that each have errors of their own."""
    faults: tuple[type[Exception], ...] = (
        *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError),
        *(
            NotImplementedError,
            IndexError,
            KeyError,
            ArithmeticError,
            RuntimeError,
            struct.error,
            MemoryError,
        ),
    )
    try:
        import zstandard
    except ImportError:
        return faults
    return (*faults, zstandard.ZstdError)
