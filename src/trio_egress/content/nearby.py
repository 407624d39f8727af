"""Long runs of letters and digits: rare in ordinary text, and in every match of many a pattern.

To look for any such run is cheap, so what must have one is looked for about runs alone.

Rule 1: `must_have_run` says so only of patterns whose matches are short: all of a match is then in `find_near`.
Rule 2: what is near is the same whoever asks; what is far from all runs is not in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

RUN_BYTES: Final = 24
RUN: Final = f"[A-Za-z0-9]{{{RUN_BYTES}}}"

REACH: Final = 192
"""Bytes on either side of a run that are near it."""

BETWEEN: Final = b"\n"

BEFORE_WORD: Final = 8
BEHIND_WORD: Final = 20
"""Characters of a run that are enough beside a word."""

_KINDS: Final = bytes(ord("a") if byte < 128 and chr(byte).isalnum() else ord(".") for byte in range(256))
_RUN: Final = b"a" * RUN_BYTES
"""Of what `_KINDS` makes of a text: five times as fast as a pattern that tells each run."""

_ITEM: Final = re.compile(
    r"\\b|(?:(?P<plain>[A-Za-z0-9_:/@!#%&=,;<>~ -]|\\[^\w])|\[(?P<members>(?:[A-Za-z0-9_+/=.%~]-?|-)+)\])"
    r"(?:\{(?P<least>\d+)(?:,(?P<most>\d+))?\})?(?![?*+{|])"
)
_CLASS: Final = re.compile(r"\[[^\]]*\](?:\{[0-9,]*\})?|\\b")
_OPTIONAL: Final = re.compile(r"\(\?:([^()|\\]*)\)\?(?![?+*])")
_WORD: Final = re.compile(r"(?:[^\s\\]|\\[^\w]){4}")
_ALPHANUMERIC: Final = re.compile(r"(?:[a-z]-[a-z]|[A-Z]-[A-Z]|[0-9]-[0-9]|[A-Za-z0-9](?!-))+")


def must_have_run(pattern: str) -> bool:
    """Whether all that it matches has RUN in it, and is shorter than REACH; False where that is hard to say.

    Only of sequences of characters and classes, each so many times, and of such that may be missing: no other groups,
    alternatives, or flags. False, too, where there is a word by which it is found as fast.
    """
    whole = _OPTIONAL.sub(r"\1", pattern)
    if _WORD.search(_CLASS.sub(" ", whole)) is not None:
        return False
    size, _ = _measure(whole)
    _, longest = _measure(_cut_optional(pattern))
    return longest >= RUN_BYTES and size < REACH


def _cut_optional(pattern: str) -> str:
    """What stands behind the last part that may be missing."""
    return pattern[max((found.end() for found in _OPTIONAL.finditer(pattern)), default=0) :]


def _measure(pattern: str) -> tuple[int, int]:
    """The most bytes of a match, and of its longest run the fewest; REACH and 0 of what is no such sequence."""
    at = size = run = longest = 0
    while at < len(pattern):
        item = _ITEM.match(pattern, at)
        if item is None:
            return REACH, 0
        at = item.end()
        if item[0] == r"\b":
            continue
        least = int(item["least"] or 1)
        size += int(item["most"] or least)
        among = item["members"] or item["plain"]
        run = run + least if _ALPHANUMERIC.fullmatch(among) else 0
        longest = max(longest, run)
    return size, longest


def shorten(pattern: str) -> str:
    """Of a pattern that must have a run: a part of it that is in every match, and that is found fast.

    From its first word to its last, with so much of what stands around as tells it from others; without words, its run.
    """
    items = [item for item in _ITEM.finditer(_cut_optional(pattern)) if item[0] != r"\b"]
    words = [place for place, item in enumerate(items) if item["plain"]]
    if not words:
        longest = max(items, key=lambda item: int(item["least"] or 1))
        return _cut(longest, REACH)
    before, behind = items[: words[0]][-1:], items[words[-1] + 1 :][:1]
    parts = [_cut(item, BEFORE_WORD) for item in before]
    parts += [item[0] for item in items[words[0] : words[-1] + 1]]
    return "".join((*parts, *(_cut(item, BEHIND_WORD) for item in behind)))


def _cut(item: re.Match[str], most: int) -> str:
    return f"[{item['members']}]{{{min(int(item['least'] or 1), most)}}}"


def find_near(data: bytes) -> bytes:
    """What is near runs, one place after another."""
    return BETWEEN.join(data[start:end] for start, end in _list_places(data))


def _list_places(data: bytes) -> Iterator[tuple[int, int]]:
    kinds = data.translate(_KINDS)
    begin = end = 0
    at = kinds.find(_RUN)
    while at >= 0:
        start = max(0, at - REACH)
        stop = kinds.find(b".", at + RUN_BYTES)
        stop = len(data) if stop < 0 else stop
        if end and start > end:
            yield begin, end
        if not end or start > end:
            begin = start
        end = stop + REACH
        at = kinds.find(_RUN, stop)
    if end:
        yield begin, end
