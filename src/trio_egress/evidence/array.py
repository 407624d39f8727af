"""A JSON array of receipts, read as if it were lines of receipts.

Programs that make such an array spell it in their own way, so its spelling is not judged: each object is spelled as a
stored line, with its members in the order that they have, and then judged like any other line.

Rule 1: one object in memory at a time, of at most OBJECT_CHARS as it is spelled.
Rule 2: what is not exactly an array of objects, to its last byte, raises EvidenceError: a torn array proves nothing.
"""

from __future__ import annotations

import codecs
import io
import json
from typing import BinaryIO, NoReturn

from trio_egress.errors import EvidenceError
from trio_egress.evidence.canonical import LINE_BYTES, render_stored

ARRAY_START = b"["

OBJECT_CHARS = 4 * LINE_BYTES
"""As much as a line may have, and room for spaces."""

_CHUNK_BYTES = 1 << 16
_SPACES = " \t\n\r"


class ArrayReader(io.RawIOBase, BinaryIO):
    """The lines of an array, whose `[` has been read. Closing it closes the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text = ""
        self._at = 0
        self._read_all = False
        self._count = 0
        self._rest = b""
        self._over = False

    def readline(self, size: int | None = -1, /) -> bytes:
        """The next object as a line, or as much of it as `size` says; then the rest of it."""
        if not self._rest and not self._over:
            self._rest = self._next_line()
        end = len(self._rest) if size is None or size < 0 else size
        line, self._rest = self._rest[:end], self._rest[end:]
        return line

    def readinto(self, buffer: object) -> int:
        """What is left of a line, or the next one, as far as there is room."""
        view = memoryview(buffer)  # type: ignore[arg-type]
        raw = self.readline(len(view))
        view[: len(raw)] = raw
        return len(raw)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def _next_line(self) -> bytes:
        separator = self._next_mark()
        if separator == "]":
            return self._finish()
        if self._count:
            if separator != ",":
                self._fail("a comma or the end of the array")
            self._at += 1
            separator = self._next_mark()
        if separator != "{":
            self._fail("an object")
        self._count += 1
        value = self._next_object()
        try:
            return render_stored(value) + b"\n"
        except RecursionError:
            self._fail("a receipt, not something as deep as this")

    def _finish(self) -> bytes:
        self._over = True
        self._at += 1
        if self._next_mark():
            self._fail("nothing after the array")
        return b""

    def _next_mark(self) -> str:
        """The next character that is no space, which stays; nothing at the end of the file."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACES:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def _next_object(self) -> object:
        while True:
            try:
                value, self._at = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if len(self._text) - self._at > OBJECT_CHARS or not self._more():
                    self._fail(f"a JSON object of at most {OBJECT_CHARS} characters")
            except (ValueError, RecursionError) as error:
                self._fail(f"a receipt ({str(error)[:80]})")
            else:
                return value

    def _more(self) -> bool:
        """Read as much again as there is, so that a long object is not looked at too often."""
        if self._read_all:
            return False
        self._text = self._text[self._at :]
        self._at = 0
        raw = self._file.read(max(_CHUNK_BYTES, len(self._text)))
        self._read_all = not raw
        try:
            self._text += self._decode(raw, final=self._read_all)
        except UnicodeDecodeError:
            self._fail("UTF-8")
        return not self._read_all

    def _fail(self, expected: str) -> NoReturn:
        raise EvidenceError(
            f"this JSON array of receipts is not as it must be after its object {self._count}: expected {expected}"
        )


def _refuse_float(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is not an integer")


def _refuse_repeated(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member that stands twice")
    return members


_DECODER = json.JSONDecoder(
    parse_float=_refuse_float, parse_constant=_refuse_float, object_pairs_hook=_refuse_repeated
)
