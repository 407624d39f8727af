"""Values that are taken out of an answer as it goes by: each character of them becomes a `*`.

Rule 1: what comes out is as long as what went in, so a length that a head has told stays true.
Rule 2: no more is held back than what could still become a value; where nothing could, nothing is.
Rule 3: what is found is what `evidence.spellings` lists; what is compressed or encrypted is not looked into.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trio_egress.evidence.spellings import list_spellings

_STAR = b"*"


class Mask:
    """For one body: pieces in, pieces out, and what was held back at its end. `clean` is for what is whole."""

    def __init__(self, values: Iterable[bytes]) -> None:
        self._needles = tuple({spelling for value in values for spelling in list_spellings(value)})
        self._starts = tuple({needle[:2] for needle in self._needles})
        self._reach = max(map(len, self._needles)) - 1
        self._held = b""
        self._hidden = 0
        """So many of the first bytes held are part of a value."""

    def clean(self, raw: bytes) -> bytes:
        return _hide(raw, self._find(raw.lower()))

    def feed(self, raw: bytes) -> bytes:
        """What of it can't be the beginning of a value any more."""
        raw = self._held + raw
        low = raw.lower()
        spans = [(0, self._hidden), *self._find(low)]
        cut = self._find_open(low)
        self._held = raw[cut:]
        # What begins in what is held is found again.
        self._hidden = max(self._hidden - cut, 0, *(end - cut for begin, end in spans if begin < cut))
        return _hide(raw[:cut], spans)

    def finish(self) -> bytes:
        """What was held back."""
        held, self._held = self._held, b""
        return _hide(held, [(0, self._hidden), *self._find(held.lower())])

    def _find(self, low: bytes) -> Iterator[tuple[int, int]]:
        """Where values begin and end; they may overlap."""
        for needle in self._needles:
            at = low.find(needle)
            while at >= 0:
                yield at, at + len(needle)
                at = low.find(needle, at + 1)

    def _find_open(self, low: bytes) -> int:
        """Where the first begins of what could become a value; the end where nothing could."""
        begin = max(0, len(low) - self._reach)
        last = len(low) - 1
        found = [at for start in self._starts for at in _find_all(low, start, begin)]
        for at in sorted(found):
            if any(needle.startswith(low[at:]) for needle in self._needles if len(needle) > len(low) - at):
                return at
        if last >= begin and any(needle[:1] == low[last:] for needle in self._needles):
            return last
        return len(low)


def _find_all(low: bytes, start: bytes, begin: int) -> Iterator[int]:
    at = low.find(start, begin)
    while at >= 0:
        yield at
        at = low.find(start, at + 1)


def _hide(raw: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    """The spans as stars; what of them is beyond the end is left out."""
    hidden: bytearray | None = None
    for begin, end in spans:
        if begin < min(end, len(raw)):
            hidden = bytearray(raw) if hidden is None else hidden
            hidden[begin:end] = _STAR * (min(end, len(raw)) - begin)
    return raw if hidden is None else bytes(hidden)
