"""A reader of requests as they were once, and in places still are: each of its habits is some server's or proxy's.

It is the control: that a request of the corpus is read in two ways is shown by a reader that reads it in the second.
"""

from __future__ import annotations

import re

import attrs


@attrs.frozen
class OldFashioned:
    """Habits. Lengths are read as C's strtol does: blanks, a sign, digits, and whatever follows is no matter."""

    chunks: bool = False
    """Whatever has `chunked` somewhere in something like Transfer-Encoding is chunked; else lengths alone count."""
    last: bool = False
    """Of several lengths the last counts, not the first."""
    bits: int = 512
    """Numbers wrap around at so many."""
    returns: bool = False
    """A carriage return alone ends a line, too."""
    folds: bool = True
    """A line that begins with a blank goes on with the field before."""
    bodies: bool = True
    """Without it, what the method leads one to expect no body of has none, whatever is said."""

    def read(self, raw: bytes) -> list[str]:
        """The targets of all requests, until the first that is none at all."""
        found: list[str] = []
        while raw := raw.lstrip(b"\r\n"):
            head, raw = self._split(raw, rb"\r?\n\r?\n|\r\r" if self.returns else rb"\r?\n\r?\n")
            line, *lines = re.split(rb"\r\n|\n|\r" if self.returns else rb"\r?\n", head)
            words = line.split()
            if len(words) < 2 or not words[0].isalpha():
                break
            found.append(words[1].decode("latin-1"))
            fields = self._read_fields(lines)
            if not self.bodies and words[0] != b"POST":
                continue
            codings = [value for name, value in fields if b"transfer" in name and b"encoding" in name]
            if self.chunks and any(b"chunked" in value for value in codings):
                raw = self._skip_chunks(raw)
            elif lengths := [value for name, value in fields if name == b"content-length"]:
                raw = raw[max(self._read_number(lengths[-1 if self.last else 0], 10), 0) :]
        return found

    def _read_fields(self, lines: list[bytes]) -> list[tuple[bytes, bytes]]:
        fields: list[tuple[bytes, bytes]] = []
        for line in lines:
            if self.folds and line[:1] in (b" ", b"\t") and fields:
                fields[-1] = fields[-1][0], fields[-1][1] + b" " + line.strip().lower()
            else:
                name, _, value = line.partition(b":")
                fields.append((name.strip().lower(), value.strip().lower()))
        return fields

    def _skip_chunks(self, raw: bytes) -> bytes:
        while True:
            line, raw = self._split(raw, rb"\r?\n")
            size = self._read_number(line, 16)
            if size <= 0:
                break
            raw = raw[size:].lstrip(b"\r\n")
        while line:  # trailers
            line, raw = self._split(raw, rb"\r?\n")
        return raw

    def _read_number(self, raw: bytes, base: int) -> int:
        digits = rb"[0-9]+" if base == 10 else rb"(?:0x)?[0-9a-f]+"
        found = re.match(rb"\s*([+-]?" + digits + rb")", raw.lower())
        number = int(found.group(1), base) if found else 0
        return number % (1 << self.bits) if number >= 0 else number

    def _split(self, raw: bytes, at: bytes) -> tuple[bytes, bytes]:
        found = re.search(at, raw)
        return (raw[: found.start()], raw[found.end() :]) if found else (raw, b"")


READERS = {
    "lengths": OldFashioned(),
    "last length": OldFashioned(last=True),
    "32 bits": OldFashioned(bits=32, chunks=True),
    "64 bits": OldFashioned(bits=64, chunks=True),
    "chunks": OldFashioned(chunks=True),
    "unfolded": OldFashioned(chunks=True, folds=False),
    "returns": OldFashioned(chunks=True, returns=True),
    "no bodies": OldFashioned(bodies=False),
}
