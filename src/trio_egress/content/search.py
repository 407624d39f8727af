"""One message's search: windows in, findings out, of the bytes as they are and of what they stand for.

Rule 1: a finding in a view (decoded bytes, normalised text) stands where the bytes stand that it was made of, and is of
        the window in which those begin.
Rule 2: what one detector finds at one place in several views is told once: as it is least spelt.
Rule 3: of several finds of one credential the most specific is told (`content.precedence`).
Rule 4: normalised text is for instructions alone; entropy is of no meaning in a view.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

import attrs

from trio_egress.content.detector import Finding, Way
from trio_egress.content.markup import is_hidden
from trio_egress.content.matcher import Matcher
from trio_egress.content.nearby import find_near
from trio_egress.content.pattern import compile_pattern
from trio_egress.content.precedence import keep_foremost
from trio_egress.content.seeker import Seeker, Window
from trio_egress.model import Kind
from trio_egress.values import frozen

NORMALISED = ("normalised",)
HIDDEN = ("hidden",)
READ = frozenset({Kind.INSTRUCTION})
"""What is looked for in normalised text."""

MOST_MARKED = 16
"""Findings of a window of which is looked whether a page hides them: it takes milliseconds each."""


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

    @property
    def is_to_be_read(self) -> bool:
        """Whether only orders are looked for in it."""

    def decode(self, signs: Collection[int]) -> Iterable[DecodedView]:
        """What is encoded in it, by the places in `Views.signs` of those that match in it."""


@frozen(kw_only=True)
class Views:
    """What makes views. `decode`: of a window the view that is itself; `signs`: patterns of what may be encoded.

    `exact`: for each sign what decides, if something else than itself; of those in `near`, near runs of letters and
    digits (`content.nearby`). `sent`: how many, the first, say something of ASCII; None: all. `escape`: the
    sign of escapes, which is also there where something is found but for an escape before it, as in `\\ntok_1`.
    """

    signs: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    near: frozenset[int] = frozenset()
    sent: int | None = None
    escape: int | None = None
    decode: Callable[[bytes], DecodedView] | None = None
    normalise: Callable[[bytes], View | None] | None = None


@frozen
class Sign:
    """What decides whether there is something encoded: of views nothing else does, whatever the engine."""

    pattern: Any
    is_near_runs: bool

    def is_in(self, text: bytes) -> bool:
        return self.pattern.search(find_near(text) if self.is_near_runs else text) is not None


def make_signs(views: Views) -> list[Sign]:
    patterns = views.exact or views.signs
    return [Sign(compile_pattern(pattern, ""), place in views.near) for place, pattern in enumerate(patterns)]


@frozen
class Group:
    """Patterns that were compiled together, by their places in a part: all of them, if there is no other group."""

    places: Sequence[int]
    matcher: Matcher


class Part:
    """Detectors, and behind them the signs of views. `way`: for what passes so.

    Their patterns were compiled as `loosen` has them. `readers`: of those that look at normalised text; `others`: of
    all else. Either may be missing.
    """

    def __init__(
        self,
        way: Way,
        seekers: Sequence[Seeker],
        signs: Sequence[Sign],
        readers: Group | None,
        others: Group | None,
    ) -> None:
        self.way = way
        self.seekers = seekers
        self.signs = signs
        self.readers = readers
        self.others = others
        self.match: Callable[[bytes], Sequence[int]] = self._match
        """Of `seekers`, and behind them of `signs`, those that may match."""
        if readers is None and others is not None:
            self.match = others.matcher.match  # all that there is: a short message has no time for more

    def _match(self, text: bytes) -> Sequence[int]:
        read, other = _match(self.readers, text), _match(self.others, text)
        return [*read, *other] if read or other else ()

    def match_readers(self, text: bytes) -> Sequence[int]:
        return _match(self.readers, text)

    def list_groups(self) -> list[Group]:
        return [group for group in (self.readers, self.others) if group is not None]


def _match(group: Group | None, text: bytes) -> Sequence[int]:
    named = group.matcher.match(text) if group is not None else ()
    return [group.places[index] for index in named] if group is not None and named else ()


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
        self.decoded = 0
        """Bytes of views, of all that was looked at."""

    def look(
        self, window: Window, named: Sequence[Sequence[int]] | None = None, normal: View | None = None
    ) -> list[Finding]:
        """What is in the next window, by place. `named`: what each part says of it, if it was asked; `normal`: its
        normal form, if that is known."""
        found: list[Finding] = []
        seekers, signs = self._choose(window.text, named)
        for seeker in seekers:
            begin = self._reached.get(seeker, 0) - window.base
            here = list(_find(seeker, window, begin, self._path))
            if here:
                self._reached[seeker] = here[-1][0]
                found += [finding for _, finding in here]
        joined = self._join(window, found, signs, normal)
        beyond = window.base + window.last
        self._told = [finding for finding in (*self._told, *joined) if finding.end > beyond]
        return joined

    def look_ahead(self, window: Window) -> list[Finding]:
        """What is in a part of a window of which more will come, and of which `look` will be asked again."""
        found: list[Finding] = []
        seekers, signs = self._choose(window.text)
        for seeker in seekers:
            begin = self._reached.get(seeker, 0) - window.base
            found += [finding for _, finding in _find(seeker, window, begin, self._path)]
        return self._join(window, found, signs)

    def _choose(
        self, text: bytes, named: Sequence[Sequence[int]] | None = None
    ) -> tuple[list[Seeker], list[int]]:
        """The detectors to ask, and the signs of something encoded."""
        chosen: dict[Seeker, None] = {}
        signs: set[int] = set()
        if named is None:
            named = [part.match(text) for part in self._parts]
        for part, indexes in zip(self._parts, named, strict=True):
            for index in sorted(indexes):
                if index >= len(part.seekers):
                    sign = index - len(part.seekers)
                    if sign not in signs and part.signs[sign].is_in(text):
                        signs.add(sign)
                    continue
                seeker = part.seekers[index]
                if seeker.detector.ways & self._way and seeker.takes(self._path):
                    chosen[seeker] = None
        escape = self._views.escape
        if (
            escape is not None
            and chosen
            and b"\\" in text
            and any(each.is_behind_escape(text) for each in chosen)
        ):
            signs.add(escape)
        return list(chosen), sorted(signs)

    def _choose_readers(self, text: bytes) -> list[Seeker]:
        """Of normalised text."""
        named = ((part, index) for part in self._parts for index in sorted(part.match_readers(text)))
        seekers = dict.fromkeys(part.seekers[index] for part, index in named)
        return [each for each in seekers if each.detector.ways & self._way and each.takes(self._path)]

    def _join(
        self, window: Window, found: list[Finding], signs: Collection[int], normal: View | None = None
    ) -> list[Finding]:
        views = list(self._look_at_views(window, signs, normal))
        if views:
            told = _Told(found)
            found += [finding for finding in views if told.add(finding)]
        if len(found) > 1:
            # Stable: detectors that find the same stand in their own order.
            found.sort(key=lambda finding: (finding.start, finding.end))
        if len(found) + len(self._told) > 1:
            found = keep_foremost(found, self._told, self._rank())
        if self._way & Way.IN:
            found[:MOST_MARKED] = [_mark_hidden(finding, window) for finding in found[:MOST_MARKED]]
        return found

    def _rank(self) -> dict[str, int]:
        """What was given beside the packaged detectors comes first: it is somebody's own."""
        names = (seeker.detector.name for part in reversed(self._parts) for seeker in part.seekers)
        ranks: dict[str, int] = {}
        for rank, name in enumerate(names):
            ranks.setdefault(name, rank)
        return ranks

    def _look_at_views(
        self, window: Window, signs: Collection[int], normal: View | None = None
    ) -> Iterator[Finding]:
        normalise = self._views.normalise if self._way & Way.IN else None
        if normalise is not None:
            yield from self._look_at_normal(normal or normalise(window.text), NORMALISED, window, _stay)
        if signs and self._views.decode is not None:
            yield from self._look_at_decoded(self._views.decode(window.text), signs, window, normalise)

    def _look_at_decoded(
        self, origin: DecodedView, signs: Collection[int], window: Window, normalise: Normalise | None
    ) -> Iterator[Finding]:
        """What is encoded in a view, and in that again, as far as views go."""
        for view in origin.decode(signs):
            self.decoded += len(view.data)
            seekers, within = self._choose(view.data)
            kinds = READ if view.is_to_be_read else _SPELT
            yield from self._look_at(view, seekers, view.via, window, _stay, kinds)
            if normalise is not None:
                via = (*view.via, *NORMALISED)
                yield from self._look_at_normal(normalise(view.data), via, window, view.find_origin)
            if within:
                yield from self._look_at_decoded(view, within, window, normalise)

    def _look_at_normal(
        self, view: View | None, via: tuple[str, ...], window: Window, place: Place
    ) -> Iterator[Finding]:
        if view is not None:
            yield from self._look_at(view, self._choose_readers(view.data), via, window, place, READ)

    def _look_at(
        self,
        view: View,
        seekers: Iterable[Seeker],
        via: tuple[str, ...],
        window: Window,
        place: Place,
        kinds: frozenset[Kind],
    ) -> Iterator[Finding]:
        inner = Window(view.data, 0, 0, len(view.data), whole=True)
        for seeker in seekers:
            if seeker.detector.kind not in kinds:
                continue
            for _, finding in _find(seeker, inner, 0, self._path):
                start, end = place(*view.find_origin(finding.start, finding.end))
                if window.first <= start < window.last:
                    yield attrs.evolve(
                        finding, start=window.base + start, end=window.base + end, via=(*via, *finding.via)
                    )


Place = Callable[[int, int], tuple[int, int]]
Normalise = Callable[[bytes], View | None]

_SPELT = frozenset(Kind) - {Kind.ENTROPY}


class _Told:
    """Findings by detector and place. A view shows what is not encoded, too, and of an encoding all, where a pattern of
    the encoded has its core: what overlaps is one."""

    def __init__(self, found: Iterable[Finding]) -> None:
        self._places: dict[str, list[tuple[int, int]]] = {}
        for finding in found:
            self._places.setdefault(finding.detector.name, []).append((finding.start, finding.end))

    def add(self, finding: Finding) -> bool:
        """False where it is told."""
        places = self._places.setdefault(finding.detector.name, [])
        if any(finding.start < end and start < finding.end for start, end in places):
            return False
        places.append((finding.start, finding.end))
        return True


def _mark_hidden(finding: Finding, window: Window) -> Finding:
    """An order that a page hides from who reads it says so."""
    if finding.detector.kind is not Kind.INSTRUCTION or not is_hidden(
        window.text, finding.start - window.base
    ):
        return finding
    return attrs.evolve(finding, via=(*HIDDEN, *finding.via))


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
