"""One message's search: windows in, findings out, of the bytes as they are and of what they stand for.

Rule 1: a finding in a view (decoded bytes, normalised text) stands where the bytes stand that it was made of, and is of
        the window in which those begin.
Rule 2: what is found twice at one place by one detector, in several views, is told once: as it is least spelt.
Rule 3: of several finds of one credential the most specific is told (`content.precedence`).
Rule 4: normalised text is for instructions alone; entropy is of no meaning in a view.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import attrs

from trio_egress.content.detector import Detector, Finding, Way
from trio_egress.content.matcher import Matcher
from trio_egress.content.precedence import keep_foremost
from trio_egress.content.seeker import FindCheck, Seeker, Window
from trio_egress.model import Kind

NORMALISED = ("normalised",)


class View(Protocol):
    """What some bytes stand for."""

    @property
    def data(self) -> bytes: ...

    def find_origin(self, start: int, end: int) -> tuple[int, int]:
        """Which bytes of the window made bytes `start` to `end` of `data`."""


class DecodedView(View, Protocol):
    @property
    def via(self) -> tuple[str, ...]:
        """How it is spelt, the outermost first."""


@attrs.frozen(kw_only=True)
class Views:
    """What makes views of a window. `signs`: patterns of which one matches wherever `decode` may give any."""

    signs: tuple[str, ...] = ()
    decode: Callable[[bytes], Iterable[DecodedView]] | None = None
    normalise: Callable[[bytes], View | None] | None = None


class Part:
    """Detectors that were compiled together. What the matcher names beyond them are signs of views."""

    def __init__(self, detectors: Sequence[Detector], matcher: Matcher, find_check: FindCheck) -> None:
        self.matcher = matcher
        self.seekers = [Seeker(detector, find_check) for detector in detectors]


class Search:
    """Looks through the windows of one message, in their order."""

    def __init__(self, parts: Sequence[Part], views: Views, way: Way, path: str | None) -> None:
        self._parts = parts
        self._views = views
        self._way = way
        self._path = path
        self._reached: dict[Seeker, int] = {}
        """Where the last match of a detector ended; the next begins no earlier."""
        self._told: list[Finding] = []
        """What windows so far have told that reaches beyond them."""

    def look(self, window: Window) -> list[Finding]:
        """What is in the next window, by place."""
        found: list[Finding] = []
        seekers, signed = self._choose(window.text)
        for seeker in seekers:
            begin = self._reached.get(seeker, 0) - window.base
            here = list(_find(seeker, window, begin, self._path))
            if here:
                self._reached[seeker] = here[-1][0]
                found += [finding for _, finding in here]
        joined = self._join(window, found, signed=signed)
        beyond = window.base + window.last
        self._told = [finding for finding in (*self._told, *joined) if finding.end > beyond]
        return joined

    def look_ahead(self, window: Window) -> list[Finding]:
        """What is in a part of a window of which more will come, and of which `look` will be asked again."""
        found: list[Finding] = []
        seekers, signed = self._choose(window.text)
        for seeker in seekers:
            begin = self._reached.get(seeker, 0) - window.base
            found += [finding for _, finding in _find(seeker, window, begin, self._path)]
        return self._join(window, found, signed=signed)

    def _choose(self, text: bytes) -> tuple[list[Seeker], bool]:
        """The detectors to ask, and whether there is a sign of something encoded."""
        chosen: list[Seeker] = []
        signed = False
        for part in self._parts:
            for index in sorted(part.matcher.match(text)):
                if index >= len(part.seekers):
                    signed = True
                    continue
                seeker = part.seekers[index]
                if seeker.detector.ways & self._way and seeker.takes(self._path):
                    chosen.append(seeker)
        return chosen, signed

    def _join(self, window: Window, found: list[Finding], *, signed: bool) -> list[Finding]:
        views = list(self._look_at_views(window, signed=signed))
        if views:
            told = {(finding.detector.name, finding.start, finding.end) for finding in found}
            for finding in views:
                key = (finding.detector.name, finding.start, finding.end)
                if key not in told:
                    told.add(key)
                    found.append(finding)
        if len(found) > 1:
            # Stable: detectors that find the same stand in their own order.
            found.sort(key=lambda finding: (finding.start, finding.end))
        if len(found) + len(self._told) > 1:
            found = keep_foremost(found, self._told, self._rank())
        return found

    def _rank(self) -> dict[str, int]:
        names = (seeker.detector.name for part in self._parts for seeker in part.seekers)
        ranks: dict[str, int] = {}
        for rank, name in enumerate(names):
            ranks.setdefault(name, rank)
        return ranks

    def _look_at_views(self, window: Window, *, signed: bool) -> Iterator[Finding]:
        normalise = self._views.normalise if self._way & Way.IN else None
        if normalise is not None:
            yield from self._look_at_normal(normalise(window.text), NORMALISED, window, _stay)
        if signed and self._views.decode is not None:
            for view in self._views.decode(window.text):
                yield from self._look_at(view, view.via, window, _stay, _SPELT)
                if normalise is not None:
                    yield from self._look_at_normal(
                        normalise(view.data), (*view.via, *NORMALISED), window, view.find_origin
                    )

    def _look_at_normal(
        self, view: View | None, via: tuple[str, ...], window: Window, place: Place
    ) -> Iterator[Finding]:
        if view is not None:
            yield from self._look_at(view, via, window, place, _READ)

    def _look_at(
        self, view: View, via: tuple[str, ...], window: Window, place: Place, kinds: frozenset[Kind]
    ) -> Iterator[Finding]:
        inner = Window(view.data, 0, 0, len(view.data), whole=True)
        for seeker in self._choose(view.data)[0]:
            if seeker.detector.kind not in kinds:
                continue
            for _, finding in _find(seeker, inner, 0, self._path):
                start, end = place(*view.find_origin(finding.start, finding.end))
                if window.first <= start < window.last:
                    yield attrs.evolve(
                        finding, start=window.base + start, end=window.base + end, via=(*via, *finding.via)
                    )


Place = Callable[[int, int], tuple[int, int]]

_READ = frozenset({Kind.INSTRUCTION})
_SPELT = frozenset(Kind) - {Kind.ENTROPY}


def _stay(start: int, end: int) -> tuple[int, int]:
    return start, end


def _find(seeker: Seeker, window: Window, begin: int, path: str | None) -> Iterator[tuple[int, Finding]]:
    """Each with where its match ends in the message."""
    detector, base, text = seeker.detector, window.base, window.text
    for hit in seeker.find(window, begin, path):
        value = detector.value or text[hit.value_start : hit.value_end]
        yield (
            base + hit.end,
            Finding(detector, base + hit.value_start, base + hit.value_end, value, detector.via),
        )
