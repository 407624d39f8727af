"""Patterns with `*`, over one word or over a path.

Rule 1: `*` in a word stands for any characters; in a path for characters of one segment, at least one where it is the
whole segment. `**` is a whole segment, and stands for any number of segments, none too: `/a/**` is `/a` and
all below it.
Rule 2: time is linear in what is matched, whatever the pattern: no regular expression, nothing is tried twice.
Rule 3: the encoded slash of a path (`paths.SLASH`) is matched by itself alone, never by a wildcard.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from trio_egress.policy.paths import SLASH, parse_path
from trio_egress.values import frozen

_Pieces = tuple[str, ...]
"""A text cut at each `*`."""

MANY = "**"


@frozen
class Glob:
    """Over a word: the name of a tool, a method, an operation."""

    text: str
    _pieces: _Pieces = attrs.field(init=False, repr=False)

    @_pieces.default
    def _cut(self) -> _Pieces:
        return tuple(self.text.split("*"))

    def matches(self, word: str) -> bool:
        return _fits(self._pieces, word)


@frozen
class PathGlob:
    """Over a path in normal form. `text` is as the policy has it; made by `parse_glob`."""

    text: str
    _runs: tuple[tuple[_Pieces, ...], ...] = attrs.field(repr=False)
    """What stands between one `**` and the next, a tuple of pieces for each segment."""

    def matches(self, path: str) -> bool:
        """`path` is in normal form."""
        segments = path.split("/")
        first, *others = self._runs
        if not others:
            return len(segments) == len(first) and _run_fits(first, segments, 0)
        *middle, last = others
        if len(segments) < len(first) + len(last) or not _run_fits(first, segments, 0):
            return False
        at, end = len(first), len(segments) - len(last)
        for run in middle:
            while at + len(run) <= end and not _run_fits(run, segments, at):
                at += 1
            if at + len(run) > end:
                return False
            at += len(run)
        return _run_fits(last, segments, end)

    def folded(self, fold: Callable[[str], str] = str.casefold) -> PathGlob:
        """The same without regard to case, or to whatever else `fold` takes away."""
        return PathGlob(self.text, tuple(tuple(tuple(map(fold, cut)) for cut in run) for run in self._runs))


def parse_glob(raw: str) -> PathGlob:
    """Raises ValueError with a reason: what no path in normal form could ever match is an error."""
    if "?" in raw:
        raise ValueError("a path ends before its query: what may stand in that is said by `query`")
    path = parse_path(raw)
    runs: list[list[_Pieces]] = [[]]
    for segment in path.split("/"):
        if segment == MANY:
            runs.append([])
        elif MANY in segment:
            raise ValueError(f'"{MANY}" stands for whole segments, as in "/a/{MANY}" or "/a/{MANY}/b"')
        else:
            runs[-1].append(tuple(segment.split("*")))
    return PathGlob(raw, tuple(tuple(run) for run in runs))


def _run_fits(run: tuple[_Pieces, ...], segments: list[str], at: int) -> bool:
    return all(_segment_fits(cut, segments[at + place]) for place, cut in enumerate(run))


def _segment_fits(cut: _Pieces, segment: str) -> bool:
    if len(cut) == 1:
        return segment == cut[0]
    if not segment and not any(cut):
        return False
    # Each encoded slash of the segment is in a piece, so that none is left for a wildcard.
    return segment.count(SLASH) == sum(piece.count(SLASH) for piece in cut) and _fits(cut, segment)


def _fits(cut: _Pieces, text: str) -> bool:
    first, *others = cut
    if not others:
        return text == first
    *middle, last = others
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True
