"""One detector, ready to find: where exactly it matches in a window, and whether what it matched counts.

Rule 1: what it finds depends on the message and on the window's place in it, on nothing else.
Rule 2: a match is at most LONGEST bytes. One that would be longer ends where it can end earlier, or is none; after
        LONG_TRIES of those in a window it is cut instead: better a finding too many than a way to hide one.
Rule 3: at most MOST findings of a detector are told of a window; the last is then all that is left of the window.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from trio_egress.content.detector import Allowed, Detector
from trio_egress.content.pattern import compile_pattern, loosen
from trio_egress.values import frozen

LONGEST = 4096
"""Bytes of a match: the longest private keys and tokens are some 3,300."""

NEAR = 512
"""Bytes on either side of a match in which a keyword counts, and to which its line reaches."""

MOST = 64

_ESCAPE = r"\\(?:[nrtbf]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})"
LONG_TRIES = 16

Check = Callable[[bytes], bool]
FindCheck = Callable[[str], Check]


@frozen
class Window:
    """A part of a message. What begins in `first` to `last` is its own; around that is what may be looked at.

    `base`: where `text` begins in the message. `whole`: `text` ends where the message does.
    """

    text: bytes
    base: int
    first: int
    last: int
    whole: bool

    @property
    def limit(self) -> int:
        """Where a match ends at most: beyond is only what is near it."""
        return len(self.text) if self.whole else self.last + LONGEST


@frozen
class Hit:
    """Places in a window's text: of the match and of the value in it."""

    start: int
    end: int
    value_start: int
    value_end: int


class Seeker:
    """Compiled on first use: most are never asked."""

    def __init__(self, detector: Detector, find_check: FindCheck) -> None:
        self.detector = detector
        self._check = find_check(detector.check) if detector.check is not None else None
        self._keywords = () if detector.sign else tuple(word.encode() for word in detector.keywords)
        self._sign: Any = None
        self._pattern: Any = None
        self._allowed: tuple[_Allowance, ...] | None = None
        self.loose = loosen(detector.pattern)
        self._behind_escape: Any = None
        self._path = None if detector.path is None else compile_pattern(detector.path, detector.source)

    def takes(self, path: str | None) -> bool:
        """Whether it looks into a file of that path; None: what is looked at is no file."""
        return self._path is None or is_path([self._path], path)

    def is_behind_escape(self, text: bytes) -> bool:
        """Whether an escape's letter may be what keeps it from matching."""
        if self.loose == self.detector.pattern:
            return False
        if self._behind_escape is None:
            self._behind_escape = compile_pattern(rf"{_ESCAPE}(?:{self.loose})", self.detector.source)
        return self._behind_escape.search(text) is not None

    def find(self, window: Window, begin: int, path: str | None) -> Iterator[Hit]:
        """What counts and begins in the window, from `begin` on, in order, none over another."""
        found = 0
        for hit in self._find_matches(window, max(begin, window.first)):
            if self._counts(window.text, hit, path):
                found += 1
                if found == MOST:
                    yield Hit(hit.start, window.last, hit.value_start, max(window.last, hit.value_end))
                    return
                yield hit

    def _find_matches(self, window: Window, begin: int) -> Iterator[Hit]:
        if self._pattern is None:
            self._pattern = compile_pattern(self.detector.pattern, self.detector.source)
        text, limit, last, search = window.text, window.limit, window.last, self._pattern.search
        tries = 0
        at = begin
        while at < last:
            match = search(text, at, limit)
            if match is None:
                return
            start, end = match.span()
            if start >= last:
                return
            if end - start > LONGEST:
                shorter = self._pattern.match(text, start, start + LONGEST)
                if shorter is None:
                    tries += 1
                    if tries <= LONG_TRIES:
                        at = start + 1
                        continue
                    end = start + LONGEST
                    yield Hit(start, end, start, end)
                    at = end
                    continue
                match, end = shorter, shorter.end()
            if end > start:
                yield Hit(start, end, *_find_value(match, self.detector.group))
            at = max(end, start + 1)

    def _counts(self, text: bytes, hit: Hit, path: str | None) -> bool:
        detector = self.detector
        value = text[hit.value_start : hit.value_end]
        if self._keywords:
            near = text[max(0, hit.start - NEAR) : hit.end + NEAR].lower()
            if not any(word in near for word in self._keywords):
                return False
        if detector.sign:
            if self._sign is None:
                self._sign = compile_pattern(detector.sign, detector.source)
            if self._sign.search(text, max(0, hit.start - NEAR), hit.end + NEAR) is None:
                return False
        if detector.entropy is not None and measure_entropy(value) < detector.entropy:
            return False
        if self._check is not None and not self._check(value):
            return False
        if not detector.allowed:
            return True
        if self._allowed is None:
            self._allowed = tuple(_Allowance(allowed, detector.source) for allowed in detector.allowed)
        return not any(allowed.covers(text, hit, value, path) for allowed in self._allowed)


class _Allowance:
    """An `Allowed`, compiled."""

    def __init__(self, allowed: Allowed, source: str) -> None:
        self._allowed = allowed
        self._patterns = [compile_pattern(pattern, source) for pattern in allowed.regexes]
        self._paths = [compile_pattern(pattern, source) for pattern in allowed.paths]
        self._words = [word.encode() for word in allowed.words]

    def covers(self, text: bytes, hit: Hit, value: bytes, path: str | None) -> bool:
        answers: list[bool] = []
        if self._patterns:
            target = self._find_target(text, hit, value)
            answers.append(any(pattern.search(target) is not None for pattern in self._patterns))
        if self._words:
            lower = value.lower()
            answers.append(any(word in lower for word in self._words))
        if self._paths:
            answers.append(is_path(self._paths, path))
        return bool(answers) and (all(answers) if self._allowed.every else any(answers))

    def _find_target(self, text: bytes, hit: Hit, value: bytes) -> bytes:
        match self._allowed.target:
            case "match":
                return text[hit.start : hit.end]
            case "line":
                before = text[max(0, hit.start - NEAR) : hit.start]
                after = text[hit.end : hit.end + NEAR]
                return (
                    before[before.rfind(b"\n") + 1 :] + text[hit.start : hit.end] + after.partition(b"\n")[0]
                )
            case _:
                return value


def is_path(patterns: list[Any], path: str | None) -> bool:
    return path is not None and any(
        pattern.search(path.encode(errors="surrogateescape")) for pattern in patterns
    )


def measure_entropy(value: bytes) -> float:
    """Bits a byte, by Shannon: 0 where all are the same, 8 where each is as frequent as any."""
    size = len(value)
    return -sum(count / size * math.log2(count / size) for count in Counter(value).values())


def _find_value(match: Any, group: int) -> tuple[int, int]:
    """The named group; without one, the first that took part; else all of it."""
    groups = (group,) if group else range(1, match.re.groups + 1)
    for each in groups:
        start, end = match.span(each)
        if end > start:
            return start, end
    start, end = match.span()
    return start, end
