"""A run of bytes that was decoded, and how much more may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from trio_egress.values import define

VIEW_BYTES: Final = 1 << 20
MOST_UNPACKED: Final = 256 << 10
MOST_STREAMS: Final = 64
LEAST_BYTES: Final = 12
"""What is shorter when it is decoded holds nothing that is looked for."""


@define
class Budget:
    """What is left to be decoded of one window."""

    left: int = VIEW_BYTES
    streams: int = MOST_STREAMS

    def take(self, size: int) -> bool:
        """False where there is not that much."""
        if size > self.left:
            return False
        self.left -= size
        return True


@define(eq=False)
class Piece:
    """What stood from `start` to `end`, decoded.

    `places`: where each byte of it begins, and where the last ends; asked only if something is found. None: who knows.
    """

    data: bytes
    start: int
    end: int
    places: Callable[[], Sequence[int]] | None = None
    _known: Sequence[int] | None = None

    def place(self, at: int) -> tuple[int, int]:
        """Where one byte is encoded. The byte behind the last one is none, and stands at its end."""
        if self.places is None:
            return self.start, self.end
        if self._known is None:
            self._known = self.places()
        at = min(at, len(self.data) - 1)
        return self._known[at], min(self.end, max(self._known[at + 1], self._known[at] + 1))
