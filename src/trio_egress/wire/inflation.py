"""What permessage-deflate compressed, piece by piece (RFC 7692). zlib does it.

Rule 1: one piece of what a message inflates to has at most PIECE_BYTES; the next is made when it is asked for.
Rule 2: what receivers read differently is refused: a stream that ends (a final block) where later messages build on it,
        or with more behind its end than its sender has to add (RFC 7692 7.2.3.4).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

PIECE_BYTES: Final = 64 * 1024

RATIO: Final = 200
"""Of what a message says to its bytes (Apache's DeflateInflateRatioLimit)."""

FREE_BYTES: Final = 1 << 20
"""What may come out at any ratio."""

_TAIL: Final = b"\x00\x00\xff\xff"
"""What a sender leaves out at a message's end (RFC 7692 7.2.1)."""
_ENDED: Final = b"\x00" + _TAIL
"""What is left of a message whose last block is final: the byte that a sender adds, and what was put back."""


class NotDeflated(Exception):
    """Bytes that are no DEFLATE, or not such as every receiver reads alike."""


class Inflater:
    """One side's messages, one after the other. `takes_over`: each may repeat what stood in those before it."""

    def __init__(self, *, takes_over: bool) -> None:
        self._takes_over = takes_over
        self._stream = _open()
        self._behind = b""
        self._taken = self._given = 0

    def feed(self, raw: bytes, *, last: bool) -> Iterator[bytes]:
        """What the next bytes of a message say; iterate to the end. `last`: they are its last. Raises NotDeflated."""
        rest = raw + _TAIL if last else raw
        self._taken += len(raw)
        stream = self._stream
        if stream.eof:
            self._behind += rest
        else:
            for piece in _inflate(stream, rest):
                self._check_ratio(piece)
                yield piece
            self._behind = stream.unused_data
        if stream.eof:
            self._check_end(last=last)
        if last:
            self._taken = self._given = 0
            if not self._takes_over:
                self._stream, self._behind = _open(), b""

    def _check_ratio(self, piece: bytes) -> None:
        self._given += len(piece)
        if self._given > max(FREE_BYTES, RATIO * self._taken):
            raise NotDeflated(f"a compressed message says more than {RATIO} times what came of it")

    def _check_end(self, *, last: bool) -> None:
        if self._takes_over:
            raise NotDeflated("a compressed message ends the stream that later ones build on")
        if len(self._behind) > len(_ENDED) or (last and self._behind not in (_ENDED, _TAIL)):
            raise NotDeflated("a compressed message has more behind its final block")


def _inflate(stream: zlib._Decompress, rest: bytes) -> Iterator[bytes]:
    """Until all of it is read, or the stream has ended."""
    try:
        while not stream.eof:
            piece = stream.decompress(rest, PIECE_BYTES)
            rest = stream.unconsumed_tail
            if not piece and not rest:
                return
            yield piece
    except zlib.error:
        raise NotDeflated("a compressed message isn't DEFLATE (RFC 7692 7.2.2)") from None


def _open() -> zlib._Decompress:
    return zlib.decompressobj(wbits=-zlib.MAX_WBITS)
