"""The scanner: bytes of a message in, findings out, the same for every way in which the message came in pieces.

A message is cut into windows at fixed places. Of each, the engine says which detectors may match, and `Seeker` finds
where; so neither the pieces nor the engine can make a difference.

Rule 1: what is held of a message is a window and what is near it, however long it is.
Rule 2: a finding is of the window in which it begins. No window's edge looks like the beginning or end of a message.
Rule 3: everything is imported, and every pattern known to be one, when the scanner is made.
Rule 4: what is found in a decoded view, or in normalised text, stands where its spelling stands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from trio_egress.content.checks import find_check
from trio_egress.content.decoders import ESCAPE, EXACT, NEAR_RUNS, SENT, SIGNS, open_view
from trio_egress.content.detector import Detector, Finding, Way
from trio_egress.content.matcher import Matcher, name_engine, open_matcher
from trio_egress.content.normal import normalise
from trio_egress.content.pattern import check_patterns, is_of_text
from trio_egress.content.search import READ, Group, Part, Search, View, Views, make_signs
from trio_egress.content.seeker import LONGEST, NEAR, FindCheck, Seeker, Window

WINDOW = 64 * 1024
AHEAD = LONGEST + NEAR
"""What a window sees beyond its end; before its beginning it sees NEAR."""

FREE_BYTES = 64 * 1024
"""What may be decoded each time that the end of a message is looked at as it comes."""

PAID_BYTES = 1024
"""Of what is decoded beyond that, so much for each further byte: else a bomb would be unpacked for every one."""

DIRECTIONS = (Way.OUT, Way.IN)
"""Compiled apart: what goes one way is not looked through for what matters in the other."""

_SIZE_BYTES = 8

VIEWS = Views(
    signs=SIGNS,
    exact=EXACT,
    near=NEAR_RUNS,
    sent=SENT,
    escape=ESCAPE,
    decode=open_view,
    normalise=normalise,
)

_LAYOUT = "6"
"""Of databases: another for each change in what is made of the same patterns."""


class OpenMatcher(Protocol):
    """Which engine: `content.matcher.open_matcher`, or one that a test holds against it."""

    def __call__(self, patterns: Sequence[str], database: bytes = b"") -> Matcher: ...


def find_key(detectors: Iterable[Detector], views: Views = VIEWS) -> str:
    """What a database belongs to: by another key it is of no use, and no danger."""
    patterns = [f"{detector.ways.value} {detector.sign or detector.pattern}" for detector in detectors]
    parts = [_LAYOUT, name_engine(), *patterns, *views.signs]
    return hashlib.sha256(b"".join(b"%d:%b," % (len(raw), raw) for raw in map(str.encode, parts))).hexdigest()


class Scanner:
    """Detectors, ready to look. Not for two threads at once.

    `of_run`: detectors that hold this run's secrets; nothing of them gets into `database`.
    `database`: what a scanner of the same `detectors` gave on the same machine, from where nobody else can write.
    """

    def __init__(
        self,
        detectors: Iterable[Detector],
        of_run: Iterable[Detector] = (),
        database: bytes | None = None,
        *,
        find_check: FindCheck = find_check,
        views: Views = VIEWS,
        engine: OpenMatcher = open_matcher,
    ) -> None:
        known, own = tuple(detectors), tuple(of_run)
        if not database:
            check_patterns((detector.pattern, detector.source) for detector in known)
        check_patterns((detector.pattern, detector.source) for detector in own)
        self.detectors = (*known, *own)
        self._views = views
        signs = make_signs(views)
        seekers = [Seeker(detector, find_check) for detector in known]
        self._known: list[Part] = []
        kept = _split(database)
        for way in DIRECTIONS:
            chosen = [seeker for seeker in seekers if seeker.detector.ways & way]
            sought = _count_signs(views, way, chosen)
            patterns = [*(seeker.detector.sign or seeker.loose for seeker in chosen), *views.signs[:sought]]
            read = [place for place, seeker in enumerate(chosen) if seeker.detector.kind in READ]
            others = sorted({*range(len(patterns))}.difference(read))
            groups = [
                Group(places, engine([patterns[place] for place in places], next(kept, b"")))
                if places
                else None
                for places in (read, others)
            ]
            self._known.append(Part(way, chosen, signs[:sought], *groups))
        self._parts = self._known
        if own:
            seekers = [Seeker(detector, find_check) for detector in own]
            group = Group(range(len(seekers)), engine([seeker.loose for seeker in seekers]))
            self._parts = [*self._known, Part(Way.BOTH, seekers, (), None, group)]
        self._by_way = {
            way: [part for part in self._parts if part.way & way] for way in (*DIRECTIONS, Way.BOTH)
        }

    @property
    def database(self) -> bytes:
        """What compiling `detectors` came to, to be kept; b"" where there is nothing worth it."""
        return _join([group.matcher.database for part in self._known for group in part.list_groups()])

    def scan(self, data: bytes, way: Way, path: str | None = None) -> list[Finding]:
        """All that is found in a whole message. `path`: of a file."""
        parts = self._by_way[way]
        if len(data) <= WINDOW:
            # The fast path: nearly all messages end here, and nothing is made for them.
            named = [part.match(data) for part in parts]
            normal = None
            if not any(named):
                normal = self._find_normal(data, way)
                if normal is None:
                    return []
            return Search(parts, self._views, way, path).look(cut_window(data, 0, 0), named, normal)
        search = Search(parts, self._views, way, path)
        found: list[Finding] = []
        for first in range(0, len(data), WINDOW):
            found += search.look(cut_window(data, 0, first))
        return found

    def _find_normal(self, data: bytes, way: Way) -> View | None:
        """The normal form, if there is one in which something may be found."""
        if way is Way.OUT or self._views.normalise is None:
            return None
        normal = self._views.normalise(data)
        if normal is None or not any(part.match_readers(normal.data) for part in self._by_way[way]):
            return None
        return normal

    def open(self, way: Way, path: str | None = None) -> Stream:
        """A message that comes in pieces."""
        return Stream(Search(self._by_way[way], self._views, way, path))


def _count_signs(views: Views, way: Way, seekers: Iterable[Seeker]) -> int:
    """How many of the signs are looked for: all where something is that is read, or has other letters than ASCII's."""
    if views.sent is None or way & Way.IN:
        return len(views.signs)
    wanted = any(is_of_text(each.detector.pattern) or each.detector.kind in READ for each in seekers)
    return len(views.signs) if wanted else views.sent


def _join(databases: Sequence[bytes]) -> bytes:
    if not all(databases):
        return b""
    return b"".join(len(each).to_bytes(_SIZE_BYTES, "big") + each for each in databases)


def _split(database: bytes | None) -> Iterator[bytes]:
    """What `_join` joined."""
    raw = database or b""
    while raw:
        end = _SIZE_BYTES + int.from_bytes(raw[:_SIZE_BYTES], "big")
        yield raw[_SIZE_BYTES:end]
        raw = raw[end:]


class Stream:
    """One message: pieces in, findings out as soon as the window in which they begin is there."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._held = bytearray()
        self._base = 0
        self.settled = 0
        """Before this place of the message no further finding begins: so much can be passed on."""
        self._ahead = 0
        """As far as `look` has been."""
        self._told: set[tuple[str, int]] = set()
        """What `look` has told, and no window yet."""
        self.unsure: int | None = None
        """Where something begins that `look` would tell if the message ended now, or where it has still to look."""
        self._paid = 0
        """Before this place of the message `look` doesn't look again."""

    def feed(self, data: bytes) -> list[Finding]:
        """The next piece; what begins in windows that are complete now, in the order of `Scanner.scan`."""
        self._held += data
        found: list[Finding] = []
        while self._base + len(self._held) >= self.settled + WINDOW + AHEAD:
            found += self._look()
        return found

    def finish(self) -> list[Finding]:
        """The message has ended; what begins in the rest of it."""
        found: list[Finding] = []
        end = self._base + len(self._held)
        while self.settled < end:
            found += self._look()
        self.settled = end
        return found

    def look(self, *, whole: bool = False) -> list[Finding]:
        """Of a message that is passed on as it comes: what is in it so far and isn't told yet, nor will be again.

        Findings at the very end wait for the next byte: more of them may come; `unsure` says where. Where much was
        decoded, the next look waits for more bytes. `whole`: something of its own ends here, so that neither waits. Not
        part of what pieces can't change.
        """
        end = self._base + len(self._held)
        if end < self._paid and not whole:
            self.unsure = self._ahead if self.unsure is None else self.unsure
            return []
        first = max(self.settled, self._ahead - LONGEST)
        begin = max(self._base, first - NEAR)
        text = bytes(self._held[begin - self._base :])
        self._ahead = end
        decoded = self._search.decoded
        found = self._search.look_ahead(Window(text, begin, first - begin, len(text), whole=True))
        self._paid = end + max(0, self._search.decoded - decoded - FREE_BYTES) // PAID_BYTES
        sure = [each for each in found if whole or each.end < end]
        self.unsure = min((each.start for each in found if not whole and each.end >= end), default=None)
        fresh = [each for each in sure if (each.detector.name, each.start) not in self._told]
        self._told.update((each.detector.name, each.start) for each in fresh)
        return fresh

    def _look(self) -> list[Finding]:
        found = self._search.look(cut_window(self._held, self._base, self.settled))
        self.settled += WINDOW
        unneeded = max(0, self.settled - NEAR - self._base)
        del self._held[:unneeded]
        self._base += unneeded
        if self._told:
            found = [each for each in found if (each.detector.name, each.start) not in self._told]
            self._told = {(name, start) for name, start in self._told if start >= self.settled}
        return found


def cut_window(held: bytes | bytearray, base: int, first: int) -> Window:
    """The window that begins at `first` of the message, of which `held` is what stands from `base` on."""
    begin = max(0, first - NEAR)
    end = first + WINDOW + AHEAD
    text = bytes(held[begin - base : end - base])
    whole = begin + len(text) < end
    last = first + WINDOW if not whole else min(first + WINDOW, begin + len(text))
    return Window(text, begin, first - begin, last - begin, whole)
