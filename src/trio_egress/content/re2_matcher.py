"""The engine that is always there: google-re2's filter, which looks for the literals that patterns can't do without.

Rule 1: patterns whose literals aren't ASCII bytes and those of text are apart, as RE2 wants it.
Rule 2: RE2 answers "none" when memory runs out; that can only be from the start, so the start tries it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import re2

from trio_egress.content.pattern import is_of_text, make_options

_CLASS = re.compile(r"\[[^\]]*\]")
_HIGH_BYTE = re.compile(r"\\x[89A-Fa-f][0-9A-Fa-f]")

CANARY = "trio-egress looks for this in vain"


class Re2Matcher:
    """A `Matcher`."""

    def __init__(self, patterns: Sequence[str]) -> None:
        groups: dict[str, list[int]] = {"bytes": [], "text": [], "odd": []}
        for index, pattern in enumerate(patterns):
            groups[_choose_group(pattern)].append(index)
        self._filters = [
            (_Filter([patterns[index] for index in groups[name]]), groups[name])
            for name in ("bytes", "text")
            if groups[name]
        ]
        self._odd = [
            (index, re2.compile(patterns[index].encode(), make_options(patterns[index])))
            for index in groups["odd"]
        ]

    @property
    def database(self) -> bytes:
        return b""

    def match(self, data: bytes) -> Sequence[int]:
        found: list[int] = []
        for filter_, indexes in self._filters:
            here = filter_.match(data)
            if here:
                found += [indexes[index] for index in here]
        for index, pattern in self._odd:
            if pattern.search(data) is not None:
                found.append(index)
        return found


class _Filter:
    """Patterns of one encoding, and a last one that shows whether it works at all."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._filter = re2.Filter()
        for pattern in patterns:
            self._filter.Add(pattern.encode(), make_options(pattern))
        self._filter.Add(CANARY.encode(), make_options(patterns[0]))
        self._filter.Compile()
        self._count = len(patterns)
        if self._count not in (self._filter.Match(CANARY.encode(), True) or ()):
            raise MemoryError(f"RE2 has no room for {self._count} patterns")
        # What has no literals of its own would be named for every message.
        bare = self._filter.Match(b"", True) or ()
        self._bare = frozenset(bare)
        self._set = _Set([(index, patterns[index]) for index in sorted(bare)]) if bare else None

    def match(self, data: bytes) -> list[int]:
        """Whether a pattern's literals are there is all that is asked: its place is looked for anyhow."""
        named: list[int] = self._filter.Match(data, True) or []
        if len(named) == len(self._bare):
            return [] if self._set is None else self._set.match(data)
        found = [index for index in named if index < self._count and index not in self._bare]
        return found if self._set is None else found + self._set.match(data)


class _Set:
    """Patterns that are looked for themselves, and one that always matches: where it doesn't, RE2 couldn't look."""

    def __init__(self, patterns: Sequence[tuple[int, str]]) -> None:
        self._indexes = [index for index, _ in patterns]
        self._set = re2.Set.SearchSet(make_options(patterns[0][1]))
        for _, pattern in patterns:
            self._set.Add(pattern.encode())
        self._set.Add(b"")
        self._set.Compile()

    def match(self, data: bytes) -> list[int]:
        found: list[int] = self._set.Match(data) or []
        last = len(self._indexes)
        if last not in found:
            return self._indexes
        return [self._indexes[index] for index in found if index != last] if len(found) > 1 else []


def _choose_group(pattern: str) -> str:
    if is_of_text(pattern):
        return "text"
    return "bytes" if _is_filtered(pattern) else "odd"


def _is_filtered(pattern: str) -> bool:
    """Whether a filter takes it: literals of bytes beyond ASCII are none that it can look for."""
    if "\\" not in pattern:
        return True
    if _HIGH_BYTE.search(
        _CLASS.sub("", pattern)
    ):  # known without a try, of which RE2 would complain on stderr
        return False
    alone: Any = re2.Filter()
    alone.Add(pattern.encode(), make_options(pattern))
    try:
        alone.Compile()
    except re2.error:
        return False
    return True
