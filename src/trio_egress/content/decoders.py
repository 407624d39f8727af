"""Decoded views of a window: what is encoded in it, for detectors to look at, each byte with its place outside.

What a sign names, the signatures of `content.signatures` look at again: what only looks encoded is left alone.

Rule 1: at most DEPTH encodings one in another, and of a window what its Budget has: no bomb costs more, nor any nest.
Rule 2: bad input is decoded as far as it goes. Nothing raises, and nothing takes more than linear time.
Rule 3: a byte of a view stands where its first bit is encoded, wherever the window was cut; what was compressed stands
        where its stream does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import accumulate
from typing import Final

from trio_egress.content import disguise, escapes, packed, runs, signatures
from trio_egress.content.piece import Budget, Piece
from trio_egress.content.signatures import TRIGGERS, TRIGGERS_OF_TEXT, Encoding

DEPTH: Final = 3
BETWEEN: Final = b"\n"
"""What stands between the pieces of a view, so that no word is made of two."""

_ALL: Final = {**TRIGGERS, **TRIGGERS_OF_TEXT}

SIGNS: Final = tuple(_ALL)
"""Patterns; `View.decode` is told by their places here which of them match."""

EXACT: Final = tuple(signatures.SIGNS.get(trigger, trigger) for trigger in SIGNS)
"""For each of these, the pattern that decides."""

NEAR_RUNS: Final = frozenset(place for place, trigger in enumerate(SIGNS) if trigger in signatures.NEAR_RUNS)
"""Of which it decides near runs alone."""

SENT: Final = len(TRIGGERS)
"""So many of them, the first, are looked for in what is sent."""

ESCAPE: Final = next(place for place, kinds in enumerate(_ALL.values()) if Encoding.BACKSLASH in kinds)

READ: Final = frozenset({Encoding.APART.value, Encoding.DIGITS.value})
"""Disguises of what is to be read, and no encodings: what is made of them says nothing of other things."""

_SIGNED: Final = tuple(_ALL.values())

_DECODERS: Final[dict[Encoding, Callable[[bytes, Budget], Iterator[Piece]]]] = {
    Encoding.PERCENT: escapes.decode_percent,
    Encoding.BACKSLASH: escapes.decode_backslash,
    Encoding.HTML: escapes.decode_html,
    Encoding.BASE64: runs.decode_base64,
    Encoding.BASE32: runs.decode_base32,
    Encoding.HEX: runs.decode_hex,
    Encoding.DECIMAL: runs.decode_decimal,
    Encoding.UTF16: runs.decode_utf16,
    Encoding.APART: disguise.decode_apart,
    Encoding.DIGITS: disguise.decode_digits,
    Encoding.GZIP: packed.decode_gzip,
    Encoding.ZLIB: packed.decode_zlib,
    Encoding.ZIP: packed.decode_zip,
}
"""In this order: what can grow comes last, so that it takes nothing of the others' share."""


class View:
    """Bytes that were decoded, of another view or of a window."""

    def __init__(
        self, pieces: Sequence[Piece], via: tuple[str, ...], parent: View | None, budget: Budget
    ) -> None:
        self.data = BETWEEN.join(piece.data for piece in pieces)
        self.via = via
        self._parent = parent
        self._budget = budget
        self._pieces = pieces
        self._starts = [0, *accumulate(len(piece.data) + len(BETWEEN) for piece in pieces[:-1])]

    def decode(self, signs: Collection[int]) -> Iterator[View]:
        """What is encoded in it, where these signs are: each to be looked through, and decoded in its turn."""
        if len(self.via) >= DEPTH or self.is_to_be_read:
            return
        encodings = {encoding for sign in signs for encoding in _SIGNED[sign]}
        for encoding, decoder in _DECODERS.items():
            if encoding in encodings and (pieces := list(decoder(self.data, self._budget))):
                yield View(pieces, (*self.via, encoding.value), self, self._budget)

    @property
    def is_to_be_read(self) -> bool:
        return bool(self.via) and self.via[-1] in READ

    def find_origin(self, start: int, end: int) -> tuple[int, int]:
        """Where in the window that stands which stands here from `start` to `end`."""
        if self._parent is None:
            return start, end
        return self._parent.find_origin(self._place(start)[0], self._place(max(start, end - 1))[1])

    def _place(self, at: int) -> tuple[int, int]:
        number = bisect_right(self._starts, at) - 1
        return self._pieces[number].place(at - self._starts[number])


def open_view(window: bytes) -> View:
    """A window as it is, with a budget of its own."""
    return View([Piece(window, 0, len(window))], (), None, Budget())
