"""A cursor over untrusted bytes that cannot read past their end.

It knows no protocol: integers are big-endian, as TLS (RFC 8446 3.4) and DNS (RFC 1035 2.3.2) write them.

Rule 1: a read that wants more than there is raises PeerError, and nothing else is raised.
Rule 2: whoever has read what it expects calls `end`, so that no byte goes unjudged.
"""

from __future__ import annotations

from trio_egress.errors import PeerError


class Reader:
    """Reads `raw` from `start` on. `what` names it in messages."""

    __slots__ = ("_at", "_raw", "_what")

    def __init__(self, raw: bytes, what: str, start: int = 0) -> None:
        self._raw = raw
        self._what = what
        self._at = start

    @property
    def at(self) -> int:
        """Offset of the next byte."""
        return self._at

    def more(self) -> bool:
        """Whether a byte is left."""
        return self._at < len(self._raw)

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        end = self._at + size
        if end > len(self._raw):
            raise PeerError(
                f"{self._what} is cut short: {size} bytes expected, {len(self._raw) - self._at} left"
            )
        piece = self._raw[self._at : end]
        self._at = end
        return piece

    def integer(self, size: int) -> int:
        """An unsigned integer of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def vector(self, length_size: int) -> bytes:
        """Bytes behind their own length, which is an integer of `length_size` bytes."""
        return self.take(self.integer(length_size))

    def end(self) -> None:
        """Raise PeerError unless every byte was read."""
        if self.more():
            raise PeerError(f"{self._what} has {len(self._raw) - self._at} bytes too many")
