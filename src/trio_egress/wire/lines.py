"""Messages that stand in a line each, as MCP carries them over standard streams: bytes in, lines out.

Knows no JSON: what a line says is another parser's affair.

Rule 1: a line ends with LF, or CR LF. A CR anywhere else is a fault: readers differ in whether it ends a line (Python's
        text streams and Node's readline say so), and one message here would be several there.
Rule 2: of a line that is longer than `limit` nothing is kept, and what follows it is read again.
Rule 3: what is cut does not matter: the same bytes give the same lines, in whatever pieces they come.
"""

from __future__ import annotations

from trio_egress.values import frozen

LINE_BYTES = 4 << 20
"""One message (the official SDK in TypeScript reads 4 MiB)."""


@frozen
class Line:
    """One line, without its end; or, with `fault`, why it is none. `size`: its bytes, with its end, as far as read."""

    raw: bytes
    size: int
    fault: str = ""


class Lines:
    """Those of one stream. Keeps no more than one line."""

    def __init__(self, limit: int = LINE_BYTES) -> None:
        self._limit = limit
        self._held = bytearray()
        self._skipping = False

    def feed(self, raw: bytes) -> list[Line]:
        """The lines that end in these bytes; of one that is too long, as soon as it is."""
        found = []
        begin = 0
        while (end := raw.find(b"\n", begin)) >= 0:
            found += self._end_line(raw[begin : end + 1])
            begin = end + 1
        found += self._hold(raw[begin:])
        return found

    def finish(self) -> list[Line]:
        """What was begun and never ended."""
        held, self._held = bytes(self._held), bytearray()
        return [Line(b"", len(held), "it ends in the middle of a line")] if held else []

    def _end_line(self, rest: bytes) -> list[Line]:
        if self._skipping:
            self._skipping = False
            return []
        held, self._held = bytes(self._held) + rest, bytearray()
        return [self._judge(held)]

    def _hold(self, rest: bytes) -> list[Line]:
        if self._skipping:
            return []
        self._held += rest
        if len(self._held) <= self._limit + 1:  # a CR may be part of its end
            return []
        self._skipping, self._held = True, bytearray()
        return [self._refuse_long()]

    def _judge(self, ended: bytes) -> Line:
        raw = ended[:-2] if ended.endswith(b"\r\n") else ended[:-1]
        if len(raw) > self._limit:
            return self._refuse_long()
        if b"\r" in raw:
            return Line(b"", len(ended), "a carriage return within it ends a line for some readers")
        return Line(raw, len(ended))

    def _refuse_long(self) -> Line:
        return Line(b"", self._limit + 1, f"it is longer than {self._limit} bytes")
