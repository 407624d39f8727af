"""The scanner: bytes of a message in, findings out, the same for every way in which the message came in pieces.

A message is cut into windows at fixed places. Of each, the engine says which detectors may match, and `Seeker` finds
where; so neither the pieces nor the engine can make a difference.

Rule 1: what is held of a message is a window and what is near it, however long it is.
Rule 2: a finding is of the window in which it begins. No window's edge looks like the beginning or end of a message.
Rule 3: everything is imported, and every pattern known to be one, when the scanner is made.
Rule 4: what is found in a decoded view, or in normalised text, stands where its spelling stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from trio_egress.content.detector import Detector, Finding, Way
from trio_egress.content.matcher import Matcher, open_matcher
from trio_egress.content.pattern import check_patterns
from trio_egress.content.seeker import LONGEST, NEAR, Check, FindCheck, Seeker, Window

WINDOW = 64 * 1024
AHEAD = LONGEST + NEAR
"""What a window sees beyond its end; before its beginning it sees NEAR."""


class OpenMatcher(Protocol):
    """Which engine: `content.matcher.open_matcher`, or one that a test holds against it."""

    def __call__(self, patterns: Sequence[str], database: bytes = b"") -> Matcher: ...


def find_no_check(name: str) -> Check:
    """In place of `content.checks.find_check`, for detectors that name none."""
    raise LookupError(f"no check is called {name!r}")


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
        find_check: FindCheck = find_no_check,
        engine: OpenMatcher = open_matcher,
    ) -> None:
        known, own = list(detectors), list(of_run)
        if not database:
            check_patterns((detector.pattern, detector.source) for detector in known)
        check_patterns((detector.pattern, detector.source) for detector in own)
        self._parts = [
            _Part(each, engine([detector.pattern for detector in each], given), find_check)
            for each, given in ((known, database or b""), (own, b""))
            if each
        ]
        self._known = self._parts[0].matcher if known else None

    @property
    def database(self) -> bytes:
        """What compiling `detectors` came to, to be kept; b"" where there is nothing worth it."""
        return self._known.database if self._known is not None else b""

    def scan(self, data: bytes, way: Way, path: str | None = None) -> list[Finding]:
        """All that is found in a whole message. `path`: of a file."""
        if len(data) <= WINDOW:
            for part in self._parts:
                named = part.matcher.match(data)
                if named:
                    break
            else:
                return []
        search = _Search(self._parts, way, path)
        found: list[Finding] = []
        for first in range(0, len(data), WINDOW):
            found += search.look(cut_window(data, 0, first))
        return found

    def open(self, way: Way, path: str | None = None) -> Stream:
        """A message that comes in pieces."""
        return Stream(_Search(self._parts, way, path))


class Stream:
    """One message: pieces in, findings out as soon as the window in which they begin is there."""

    def __init__(self, search: _Search) -> None:
        self._search = search
        self._held = bytearray()
        self._base = 0
        self.settled = 0
        """Before this place of the message no further finding begins: so much can be passed on."""

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

    def _look(self) -> list[Finding]:
        found = self._search.look(cut_window(self._held, self._base, self.settled))
        self.settled += WINDOW
        unneeded = max(0, self.settled - NEAR - self._base)
        del self._held[:unneeded]
        self._base += unneeded
        return found


def cut_window(held: bytes | bytearray, base: int, first: int) -> Window:
    """The window that begins at `first` of the message, of which `held` is what stands from `base` on."""
    begin = max(0, first - NEAR)
    end = first + WINDOW + AHEAD
    text = bytes(held[begin - base : end - base])
    whole = begin + len(text) < end
    last = first + WINDOW if not whole else min(first + WINDOW, begin + len(text))
    return Window(text, begin, first - begin, last - begin, whole)


class _Part:
    """Detectors that were compiled together."""

    def __init__(self, detectors: Sequence[Detector], matcher: Matcher, find_check: FindCheck) -> None:
        self.matcher = matcher
        self.seekers = [Seeker(detector, find_check) for detector in detectors]


class _Search:
    """Looks through the windows of one message, in their order."""

    def __init__(self, parts: Sequence[_Part], way: Way, path: str | None) -> None:
        self._parts = parts
        self._way = way
        self._path = path
        self._reached: dict[Seeker, int] = {}
        """Where the last match of a detector ended; the next begins no earlier."""

    def look(self, window: Window) -> list[Finding]:
        found: list[Finding] = []
        for part in self._parts:
            for index in sorted(part.matcher.match(window.text)):
                seeker = part.seekers[index]
                if seeker.detector.ways & self._way and seeker.takes(self._path):
                    found += self._find(seeker, window)
        # Stable: detectors that find the same stand in their own order.
        found.sort(key=lambda finding: (finding.start, finding.end))
        return found

    def _find(self, seeker: Seeker, window: Window) -> list[Finding]:
        found: list[Finding] = []
        base, text = window.base, window.text
        for hit in seeker.find(window, self._reached.get(seeker, 0) - base, self._path):
            self._reached[seeker] = base + hit.end
            value = seeker.detector.value or text[hit.value_start : hit.value_end]
            found.append(
                Finding(
                    seeker.detector,
                    base + hit.value_start,
                    base + hit.value_end,
                    value,
                    seeker.detector.via,
                )
            )
        return found
