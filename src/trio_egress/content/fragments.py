"""Values of the run that leave in pieces: over parameters, fields, labels of host names, requests. One memory per run.

A piece is what a part of a request has in common with a value as it is, in hex or in base64 at any alignment; it covers
those bytes of the value that it tells. A value of which the last REQUESTS have told SHARE is found.

Rule 1: a piece has at least PIECE_BYTES: shorter ones pass. What has a value whole is the scanner's to find, not this.
Rule 2: only values that look random are watched: words of a passphrase stand in ordinary text.
Rule 3: false alarms are worked out: in random base64, 1 KiB a request, a whole memory holds 0.002 pieces of a value of
        40 bytes, which needs 6; and 0.0007 of one of 16 bytes, which needs 3 (or 2 longer ones: 1 in 10^8).
Rule 4: the memory is of places in values, never of traffic.
"""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final
from urllib.parse import unquote_to_bytes

import attrs

from trio_egress.content.detector import Detector, Finding, Severity
from trio_egress.content.exact import Exact, list_cores, pick_pieces, rate_randomness
from trio_egress.values import frozen

REQUESTS: Final = 4096
SHARE: Final = 0.8
PIECE_BYTES: Final = 6
LEAST_BYTES: Final = 16
"""Of a value that is watched."""

LEAST_RANDOM: Final = 0.3
"""So often a value changes between lower case, upper case, digits and marks: hex 0.45, base64 0.65, words 0.25."""

MOST_BYTES: Final = 256
"""What is longer is watched by two pieces of it."""

PART_BYTES: Final = 65_536
WORDS: Final = 64
"""Of a part, in which percents are decoded."""
_PERCENTS: Final = re.compile(rb"[^\s&=?/;]*%[^\s&=?/;]*")

PIECES: Final = 256
"""Remembered of one value."""

_GRAM: Final = 4
_EDGES: Final = 2
"""Bytes at the ends of a value of which base64 has only a part."""
_LABELS: Final = ("labels",)
_CANDIDATES: Final = 16

NOTHING: Final[list[Finding]] = []
"""Never to be changed."""


@frozen
class _Form:
    """A value in one encoding. Its first character begins at bit `first` of the value, and each is `bits` of it."""

    value: int
    text: bytes
    bits: int
    first: int

    def cover(self, start: int, end: int) -> tuple[int, int]:
        """The bytes of the value that its characters tell."""
        return -(-(self.first + start * self.bits) // 8), (self.first + end * self.bits) // 8


class _Watched:
    """One value, and what of it was told when."""

    def __init__(self, exact: Exact, value: bytes) -> None:
        self.value = value
        self.size = len(value)
        self.detector = Detector(
            name=exact.name,
            description=exact.description or f"the value {exact.name} of this run",
            kind=exact.kind,
            pattern="",
            via=("pieces",),
            severity=Severity.CRITICAL,
            value=exact.value,
        )
        self._told: dict[tuple[int, int], int] = {}
        """Places in the value, and in which request each was told last, in that order."""

    def add(self, request: int, start: int, end: int) -> bool:
        """Whether enough of it is told now."""
        self._told.pop((start, end), None)
        self._told[start, end] = request
        for place in [place for place, told in self._told.items() if told <= request - REQUESTS]:
            del self._told[place]
        if len(self._told) > PIECES:
            del self._told[next(iter(self._told))]
        covered = reached = 0
        for first, last in sorted(self._told):
            covered += max(0, last - max(first, reached))
            reached = max(reached, last)
        return covered >= SHARE * self.size


class Fragments:
    """Of one run. `begin` before the parts of each request."""

    def __init__(self, values: Iterable[Exact]) -> None:
        self._watched = [_Watched(each, piece) for each in values for piece in _pick(each.value)]
        self._request = 0
        self._parts = _Index(
            form for number, each in enumerate(self._watched) for form in _list_forms(number, each.value)
        )
        self._hosts = _Index(
            form for number, each in enumerate(self._watched) for form in _list_host_forms(number, each.value)
        )

    def begin(self) -> None:
        """Another request."""
        self._request += 1

    def add(self, part: bytes) -> list[Finding]:
        """A part of the request: of each value that is complete now, the pieces that are in it."""
        found = NOTHING if self._parts.misses(part) else self._look(part, self._parts)
        if b"%" in part:
            for word in islice(_PERCENTS.finditer(part, 0, PART_BYTES), WORDS):
                start, end = word.span()
                inside = self._look(unquote_to_bytes(word[0]), self._parts)
                # Places behind a percent are not those of the part: the word is what holds the piece.
                found = found + [attrs.evolve(each, start=start, end=end) for each in inside]
        return found

    def find_in_host(self, name: str) -> list[Finding]:
        """Values, and pieces of them, in the labels of a name, whatever its case: before anybody is asked for it."""
        joined = name.lower().replace(".", "").replace("-", "").encode("ascii", "replace")
        whole = {form.value for form in self._hosts.forms if form.text in joined}
        detectors = [attrs.evolve(self._watched[number].detector, via=_LABELS) for number in sorted(whole)]
        pieces = self._look(joined, self._hosts)
        found = [Finding(each, 0, 0, each.value, _LABELS) for each in detectors] or pieces[:1]
        # All but the domain, which somebody has registered, and which whoever reads of it must know.
        return [attrs.evolve(each, start=0, end=len(name.rsplit(".", 2)[0])) for each in found]

    def _look(self, part: bytes, index: _Index) -> list[Finding]:
        pieces: dict[int, list[tuple[int, int]]] = {}
        complete: set[int] = set()
        for form, start, size, at in index.find(part):
            watched = self._watched[form.value]
            first, last = form.cover(start, start + size)
            if PIECE_BYTES <= last - first < watched.size - _EDGES:
                pieces.setdefault(form.value, []).append((at, at + size))
                if watched.add(self._request, first, last):
                    complete.add(form.value)
        return [
            Finding(watched.detector, start, end, watched.detector.value, watched.detector.via)
            for watched, places in ((self._watched[number], pieces[number]) for number in sorted(complete))
            for start, end in places
        ]


class _Index:
    """Every four characters of some forms. What is looked up of a part is every fourth place: of seven characters in
    common with a form, four are such."""

    def __init__(self, forms: Iterable[_Form]) -> None:
        self.forms = tuple(forms)
        self._places: dict[int, list[tuple[int, int]]] = {}
        for number, form in enumerate(self.forms):
            for at in range(len(form.text) - _GRAM + 1):
                gram = int.from_bytes(form.text[at : at + _GRAM], sys.byteorder)
                places = self._places.setdefault(gram, [])
                if len(places) < _CANDIDATES:
                    places.append((number, at))
        self._grams = frozenset(self._places)

    def misses(self, part: bytes) -> bool:
        """Whether nothing of it can be a piece."""
        return self._grams.isdisjoint(_list_grams(part))

    def find(self, part: bytes) -> Iterator[tuple[_Form, int, int, int]]:
        """Each piece: its form, where it begins there, its length, and where it begins in the part."""
        if self.misses(part):
            return
        reached: dict[tuple[int, int], int] = {}
        for at, gram in zip(range(0, len(part), _GRAM), _list_grams(part), strict=False):
            for number, place in self._places.get(gram, ()):
                if reached.get((number, at - place), 0) > at:
                    continue
                before, after = _extend(part, at, self.forms[number].text, place)
                reached[number, at - place] = at + after
                yield self.forms[number], place - before, before + after, at - before


def _list_grams(part: bytes) -> memoryview:
    return memoryview(part)[: min(len(part), PART_BYTES) // _GRAM * _GRAM].cast("I")


def _extend(part: bytes, at: int, text: bytes, place: int) -> tuple[int, int]:
    """How much they have in common before these places, and from them on."""
    before = 0
    while before < min(at, place) and part[at - before - 1] == text[place - before - 1]:
        before += 1
    after = _GRAM
    while at + after < len(part) and place + after < len(text) and part[at + after] == text[place + after]:
        after += 1
    return before, after


def _pick(value: bytes) -> tuple[bytes, ...]:
    pieces = (value,) if len(value) <= MOST_BYTES else pick_pieces(value)
    return tuple(
        piece
        for piece in pieces
        if len(piece) >= LEAST_BYTES and rate_randomness(piece) >= LEAST_RANDOM * len(piece)
    )


def _list_forms(number: int, value: bytes) -> Iterator[_Form]:
    yield _Form(number, value, 8, 0)
    for text in (value.hex(), value.hex().upper()):
        yield _Form(number, text.encode(), 4, 0)
    for before, core in enumerate(list_cores(value, 6, base64.b64encode)):
        first = -(-8 * before // 6) * 6 - 8 * before
        for text in dict.fromkeys((core, core.replace("+", "-").replace("/", "_"))):
            yield _Form(number, text.encode(), 6, first)


def _list_host_forms(number: int, value: bytes) -> Iterator[_Form]:
    """As in names: lower case, without what stands between labels; hex and base32 as what fits into them."""
    plain = value.lower().replace(b".", b"").replace(b"-", b"")
    if len(plain) >= 0.9 * len(value):
        yield _Form(number, plain, 8, 0)
    yield _Form(number, value.hex().encode(), 4, 0)
    for encode in (base64.b32encode, base64.b32hexencode):
        for before, core in enumerate(list_cores(value, 5, encode)):
            yield _Form(number, core.lower().encode(), 5, -(-8 * before // 5) * 5 - 8 * before)
