"""A packet as one zip: each file stored as it is, so that equal packets have equal bytes, and no other bytes are read.

Rule 1: nothing in it depends on the machine: names are sorted, times and modes fixed, and nothing is compressed,
because compressors differ.
Rule 2: a zip is read only if packing what is in it gives its very bytes: so there are no comments, no second names,
nothing between the files or hidden behind them, and nothing that grows when it is unpacked.
"""

from __future__ import annotations

import io
import re
import shutil
import struct
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, BinaryIO

from trio_egress.errors import EvidenceError
from trio_egress.values import frozen

if TYPE_CHECKING:
    import zipfile

PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""What a file of a packet is called: the same on every system, and never a path."""

ZIP_START = b"PK"
"""No line of evidence starts so, and every zip does."""

DIRECTORY_BYTES = 8 << 20
"""Of a zip's list of files: more than a hundred thousand of our names."""

_MODE = 0o100644
_UNIX = 3
_TIME = (1980, 1, 1, 0, 0, 0)
_CHUNK_BYTES = 1 << 20
_LOCAL_HEADER = struct.Struct("<26xHH")
_CURE = "unpack it, and check the directory"


def write_archive(stream: BinaryIO, files: Iterable[tuple[str, int, BinaryIO]]) -> None:
    """Write files (name, size, bytes), sorted by name, to a seekable stream; each is closed when it is read."""
    import zipfile

    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, size, file in files:
            with file:
                entry = zipfile.ZipInfo(name, _TIME)
                entry.create_system = _UNIX
                entry.external_attr = _MODE << 16
                entry.file_size = size
                with archive.open(entry, "w") as inside:
                    shutil.copyfileobj(file, inside, _CHUNK_BYTES)


@frozen
class Slice:
    """Where in a zip the bytes of a file stand."""

    offset: int
    size: int


def read_index(stream: BinaryIO) -> Mapping[str, Slice]:
    """The files of a zip by name, all of it having been compared. Raises EvidenceError for any other zip than ours."""
    import zipfile

    try:
        with zipfile.ZipFile(_Bounded(stream)) as archive:
            _refuse_foreign(archive.infolist(), stream.seek(0, io.SEEK_END))
            _compare(archive, stream)
            return {entry.filename: _locate(entry, stream) for entry in archive.infolist()}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, struct.error, EOFError) as error:
        raise EvidenceError(f"this is no zip that can be read ({error}): {_CURE}") from None
    except (NotImplementedError, RuntimeError, ValueError, OverflowError) as error:
        raise EvidenceError(f"this zip asks for more than a packet's has ({error}): {_CURE}") from None


def _refuse_foreign(entries: list[zipfile.ZipInfo], length: int) -> None:
    """Each in words; whatever else is unusual shows when the bytes are compared."""
    seen: set[str] = set()
    for entry in entries:
        name = f"{entry.filename[:80]!a} in this zip"
        if PLAIN_NAME.fullmatch(entry.filename) is None:
            raise EvidenceError(
                f"{name} is no name that a file of a packet has: {_CURE} if you know what it is"
            )
        if entry.filename.casefold() in seen:
            raise EvidenceError(f"{name} stands there twice, or differs from another by case alone")
        seen.add(entry.filename.casefold())
        if entry.flag_bits & 1:
            raise EvidenceError(f"{name} is encrypted: {_CURE}")
        if entry.compress_type or entry.compress_size != entry.file_size:
            raise EvidenceError(
                f"{name} is compressed, and `trio-egress packet pack` compresses nothing: {_CURE}"
            )
    if sum(entry.file_size for entry in entries) > length:
        raise EvidenceError("the files in this zip lie over one another")


def _compare(archive: zipfile.ZipFile, stream: BinaryIO) -> None:
    entries = archive.infolist()
    comparison = _Comparison(stream)
    write_archive(comparison, ((e.filename, e.file_size, archive.open(e)) for e in entries))  # type: ignore[misc,arg-type]
    if not comparison.is_equal() or [e.filename for e in entries] != sorted(e.filename for e in entries):
        raise EvidenceError(
            f"this zip is not, byte for byte, what `trio-egress packet pack` makes of its files: {_CURE}"
        )


def _locate(entry: zipfile.ZipInfo, stream: BinaryIO) -> Slice:
    stream.seek(entry.header_offset)
    name_bytes, extra_bytes = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
    return Slice(entry.header_offset + _LOCAL_HEADER.size + name_bytes + extra_bytes, entry.file_size)


class _Bounded:
    """The zip as the standard library may read it: never more at once than a list of files can be long."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        raw = self._stream.read(size if 0 <= size <= DIRECTORY_BYTES else DIRECTORY_BYTES + 1)
        if len(raw) > DIRECTORY_BYTES:
            raise EvidenceError("the list of files in this zip is too long for a packet's")
        return raw

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        """It is the caller's."""


class _Comparison(io.RawIOBase):
    """Takes a zip that is written, and remembers where it differs from the one that is there.

    A writer comes back to each header when it knows the file's sum; what it then writes counts.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._at = 0
        self._end = 0
        self._differing: dict[int, int] = {}

    def write(self, raw: object) -> int:
        written = bytes(raw)  # type: ignore[call-overload]
        self._stream.seek(self._at)
        if self._stream.read(len(written)) == written:
            self._differing.pop(self._at, None)
        else:
            self._differing[self._at] = len(written)
        self._at += len(written)
        self._end = max(self._end, self._at)
        return len(written)

    def is_equal(self) -> bool:
        return not self._differing and self._end == self._stream.seek(0, io.SEEK_END)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        assert whence == io.SEEK_SET
        self._at = offset
        return offset

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True


class SliceReader(io.RawIOBase):
    """The bytes of one file inside a zip. Closing it closes the zip."""

    def __init__(self, stream: BinaryIO, where: Slice) -> None:
        self._stream = stream
        self._left = where.size
        stream.seek(where.offset)

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        raw = self._stream.read(min(len(view), self._left))
        view[: len(raw)] = raw
        self._left -= len(raw)
        return len(raw)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._stream.close()
        super().close()
