"""Where in a text a finding stands, as line and column, and the line around it, from a bounded part of the text.

Rule 1: asked from front to back, so that each byte is counted once, however many findings there are.
Rule 2: columns are code points of UTF-8, from 1, as editors and SARIF have them; bytes that are none count as one each.
"""

from __future__ import annotations

from trio_egress.values import frozen

_CONTINUING = bytes(range(0x80, 0xC0))


@frozen
class Place:
    """Lines and columns from 1; the end is behind the last character."""

    line: int
    column: int
    end_line: int
    end_column: int


class Text:
    """A part of a message, from `start` on, that grows behind and is let go before."""

    def __init__(self, first_line: int = 1) -> None:
        self.start = 0
        self._held = bytearray()
        self._line, self._column = first_line, 1

    @property
    def end(self) -> int:
        return self.start + len(self._held)

    def feed(self, piece: bytes) -> None:
        self._held += piece

    def drop(self, before: int) -> None:
        """Let go what stands before this offset."""
        count = max(0, min(before, self.end) - self.start)
        if count:
            self._line, self._column = self._count(count)
            del self._held[:count]
            self.start += count

    def locate(self, start: int, end: int) -> Place:
        line, column = self._count(start - self.start)
        within = bytes(self._held[start - self.start : end - self.start]).rstrip(b"\r\n")
        breaks = within.count(b"\n")
        last = _count_characters(within[within.rfind(b"\n") + 1 :])
        return Place(line, column, line + breaks, last + (1 if breaks else column))

    def cut(self, start: int, end: int) -> bytes:
        """The bytes between two offsets, of what is held."""
        return bytes(self._held[max(0, start - self.start) : max(0, end - self.start)])

    def find_line(self, start: int, end: int, most: int) -> tuple[int, int]:
        """Where the lines that `start` to `end` stand in begin and end: at most so many bytes before and behind it."""
        low = max(0, start - self.start - most)
        above = self._held.rfind(b"\n", low, start - self.start)
        below = self._held.find(b"\n", max(end - 1, start) - self.start, end - self.start + most)
        begin = self.start + (low if above < 0 else above + 1)
        return begin, min(self.end, end + most) if below < 0 else self.start + below

    def _count(self, count: int) -> tuple[int, int]:
        """Line and column so many bytes behind the start."""
        breaks = self._held.count(b"\n", 0, count)
        if not breaks:
            return self._line, self._column + _count_characters(self._held[:count])
        last = self._held.rfind(b"\n", 0, count)
        return self._line + breaks, 1 + _count_characters(self._held[last + 1 : count])


def _count_characters(text: bytes | bytearray) -> int:
    return len(text.translate(None, _CONTINUING))
