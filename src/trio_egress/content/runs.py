"""Runs of encoded text that stand in other text: base64, base32, hex, arrays of numbers, UTF-16.

Rule 1: a run is decoded by the alignment of what in it is certainly encoded ASCII; where there are several alignments
        in one run, from each on.
Rule 2: a run of base64 or base32 goes on in the next line where its line is a long one.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate, takewhile
from typing import Any, Final

from trio_egress.content import signatures
from trio_egress.content.pattern import compile_pattern
from trio_egress.content.piece import Budget, Piece
from trio_egress.values import frozen

LINE_CHARS: Final = 40
"""In lines of at least so many characters encoders wrap."""

_HEX: Final = compile_pattern(signatures.HEX, __name__)
_HEX_RUN: Final = compile_pattern(signatures.HEX_RUN, __name__)
_HEX_PAIR: Final = re.compile(rb"(?:0x|\\x)?([0-9A-Fa-f]{2})")
_DECIMAL: Final = compile_pattern(signatures.DECIMAL, __name__)
_DECIMAL_RUN: Final = compile_pattern(signatures.DECIMAL_RUN, __name__)
_NUMBER: Final = re.compile(rb"[0-9]+")
_UTF16: Final = compile_pattern(signatures.UTF16_RUN, __name__)
_BREAK: Final = re.compile(rb"[ \t]*\r?\n[ \t>]*")

_URL64: Final = bytes.maketrans(b"-_", b"+/")


def _decode64(chars: bytes) -> bytes:
    whole = chars.translate(_URL64)
    # One character more than whole groups says nothing.
    whole = whole[:-1] if len(whole) % 4 == 1 else whole + b"=" * (-len(whole) % 4)
    return binascii.a2b_base64(whole)


def _decode32(chars: bytes) -> bytes:
    whole = chars.upper()
    whole = whole[: len(whole) - (1 if len(whole) % 8 in (1, 3, 6) else 0)]
    return base64.b32decode(whole + b"=" * (-len(whole) % 8))


@frozen
class _Alphabet:
    """`bits` of a character, `group` characters to whole bytes; `kinds` makes of its characters "a", of others "."."""

    bits: int
    group: int
    kinds: bytes
    signature: Any
    decode: Callable[[bytes], bytes]


def _make_kinds(chars: bytes) -> bytes:
    return bytes(ord("a") if byte in chars else ord(".") for byte in range(256))


_LETTERS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KINDS64: Final = _make_kinds(_LETTERS + b"0123456789+/-_")
_KINDS32: Final = _make_kinds(_LETTERS + b"234567")
_BASE64: Final = _Alphabet(6, 4, _KINDS64, compile_pattern(signatures.BASE64, __name__), _decode64)
_BASE64_ZLIB: Final = _Alphabet(6, 4, _KINDS64, compile_pattern(signatures.BASE64_ZLIB, __name__), _decode64)
_BASE32: Final = _Alphabet(5, 8, _KINDS32, compile_pattern(signatures.BASE32, __name__), _decode32)


def decode_base64(data: bytes, budget: Budget) -> Iterator[Piece]:
    yield from _decode_runs(data, budget, _BASE64)
    yield from _decode_runs(data, budget, _BASE64_ZLIB)


def decode_base32(data: bytes, budget: Budget) -> Iterator[Piece]:
    yield from _decode_runs(data, budget, _BASE32)


def _decode_runs(data: bytes, budget: Budget, alphabet: _Alphabet) -> Iterator[Piece]:
    kinds = b""
    run: _Run | None = None
    at = 0
    while (found := alphabet.signature.search(data, at)) is not None:
        sign, at = found.start(alphabet.signature.groups), found.end()
        kinds = kinds or data.translate(alphabet.kinds)
        if run is None or sign >= run.end:
            run = _Run(_list_lines(data, kinds, kinds.rfind(b".", 0, sign) + 1), alphabet.group)
        first = run.align(sign)
        if first is None:
            continue
        chars = b"".join(data[start:end] for start, end in run.lines)[first:]
        if not budget.take(len(chars)):
            return
        decoded = alphabet.decode(chars)
        yield Piece(decoded, run.place(first), run.end, run.make_places(first, len(decoded), alphabet.bits))


class _Run:
    """Lines of one alphabet, and by which alignments they were decoded."""

    def __init__(self, lines: list[tuple[int, int]], group: int) -> None:
        self.lines = lines
        self.end = lines[-1][1]
        self._group = group
        self._begins = [0, *accumulate(end - start for start, end in lines[:-1])]
        self._known: set[int] = set()

    def align(self, sign: int) -> int | None:
        """From which character on to decode for what begins at a sign; None where that was done."""
        number = bisect_right(self.lines, (sign, self.end + 1)) - 1
        char = self._begins[number] + sign - self.lines[number][0]
        phase = char % self._group
        if phase in self._known:
            return None
        first = char if self._known else phase
        self._known.add(phase)
        return first

    def place(self, char: int) -> int:
        number = bisect_right(self._begins, char) - 1
        return self.lines[number][0] + char - self._begins[number]

    def make_places(self, first: int, size: int, bits: int) -> Callable[[], list[int]]:
        return lambda: [*(self.place(first + 8 * at // bits) for at in range(size)), self.end]


def _list_lines(data: bytes, kinds: bytes, start: int) -> list[tuple[int, int]]:
    lines = []
    while True:
        end = kinds.find(b".", start)
        end = len(kinds) if end < 0 else end
        lines.append((start, end))
        between = _BREAK.match(data, end) if end - start >= LINE_CHARS else None
        if between is None or kinds[between.end() : between.end() + 1] != b"a":
            return lines
        start = between.end()


def decode_hex(data: bytes, budget: Budget) -> Iterator[Piece]:
    at = 0
    while (found := _HEX.search(data, at)) is not None:
        start, at = _HEX_RUN.match(data, found.start()).span()
        if not budget.take(at - start):
            return
        decoded = bytes.fromhex(b"".join(_HEX_PAIR.findall(data, start, at)).decode())
        yield Piece(decoded, start, at, _make_places(data, start, at, _HEX_PAIR))


def decode_decimal(data: bytes, budget: Budget) -> Iterator[Piece]:
    """What is more than a byte ends the run."""
    at = 0
    while (found := _DECIMAL.search(data, at)) is not None:
        start, at = _DECIMAL_RUN.match(data, found.start()).span()
        if not budget.take(at - start):
            return
        numbers = takewhile(lambda number: number < 256, map(int, _NUMBER.findall(data, start, at)))
        yield Piece(bytes(numbers), start, at, _make_places(data, start, at, _NUMBER))


def decode_utf16(data: bytes, budget: Budget) -> Iterator[Piece]:
    """The ASCII of it, little and big endian."""
    for found in _UTF16.finditer(data):
        start, end = found.span()
        if not budget.take(end - start):
            return
        decoded = found[0][::2]
        yield Piece(decoded, start, end, partial(range, start, start + 2 * len(decoded) + 1, 2))


def _make_places(data: bytes, start: int, end: int, unit: re.Pattern[bytes]) -> Callable[[], list[int]]:
    return lambda: [*(found.start() for found in unit.finditer(data, start, end)), end]
