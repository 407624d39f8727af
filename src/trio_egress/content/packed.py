"""Compressed streams that begin somewhere in bytes: gzip, zlib, and the members of zip.

Rule 1: at most MOST_UNPACKED of a stream, and as many streams as the budget has: what tells nothing counts, too.
Rule 2: a stream that is cut or broken is unpacked as far as it goes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from trio_egress.content.piece import LEAST_BYTES, MOST_UNPACKED, Budget, Piece

_GZIP: Final = b"\x1f\x8b\x08"
_MEMBER: Final = b"PK\x03\x04"
_MEMBER_BYTES: Final = 30
_DEFLATED: Final = 8
_STEP: Final = 512
_RAW, _ZLIB, _GZIPPED = -15, 15, 31


def decode_gzip(data: bytes, budget: Budget) -> Iterator[Piece]:
    for at in _find_all(data, _GZIP):
        yield from _unpack(data, at, _GZIPPED, budget)


def decode_zlib(data: bytes, budget: Budget) -> Iterator[Piece]:
    if data[:1] == b"x":
        yield from _unpack(data, 0, _ZLIB, budget)


def decode_zip(data: bytes, budget: Budget) -> Iterator[Piece]:
    """The members that are deflated; others stand there as they are."""
    for at in _find_all(data, _MEMBER):
        head = data[at : at + _MEMBER_BYTES]
        if len(head) == _MEMBER_BYTES and head[8] == _DEFLATED and head[9] == 0:
            names = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
            yield from _unpack(data, at + _MEMBER_BYTES + names, _RAW, budget)


def _find_all(data: bytes, mark: bytes) -> Iterator[int]:
    at = data.find(mark)
    while at >= 0:
        yield at
        at = data.find(mark, at + 1)


def _unpack(data: bytes, at: int, form: int, budget: Budget) -> Iterator[Piece]:
    left = min(MOST_UNPACKED, budget.left)
    if not budget.streams or left <= 0:
        return
    budget.streams -= 1
    unpacker = zlib.decompressobj(form)
    given, end = memoryview(data), at
    parts: list[bytes] = []
    try:
        # Little by little: what comes before an error is kept.
        while end < len(given) and left > 0 and not unpacker.eof:
            parts.append(unpacker.decompress(given[end : end + _STEP], left))
            left -= len(parts[-1])
            end += _STEP
    except zlib.error:
        pass
    unpacked = b"".join(parts)
    if len(unpacked) >= LEAST_BYTES and budget.take(len(unpacked)):
        yield Piece(unpacked, at, min(end, len(given)))
