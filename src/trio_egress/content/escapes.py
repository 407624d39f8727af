"""Texts in which characters are escaped: percents, backslashes of JSON and languages, entities of HTML.

Rule 1: what is no escape stays as it is.
Rule 2: a run of up to four backslashes is one, as in JSON within JSON.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final
from urllib.parse import unquote_to_bytes

from trio_egress.content.piece import Budget, Piece
from trio_egress.content.signatures import WORD

_PERCENTS: Final = re.compile(rb"%[2-7][0-9A-Fa-f]")
_WORD: Final = re.compile(WORD.encode() + rb"*")
_KINDS: Final = bytes(ord("a") if _WORD.fullmatch(bytes([byte])) else ord(".") for byte in range(256))
_NEAR: Final = 64
"""So far back a word's beginning is looked for at first."""

_PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_ENTITY: Final = re.compile(
    rb"&(?:amp;){0,2}(?:#(?:[0-9]{1,7}|[xX][0-9A-Fa-f]{1,6})|[A-Za-z][A-Za-z0-9]{1,30});?"
)
_BACKSLASH: Final = re.compile(
    rb"\\{1,4}(?:u([dD][89abAB][0-9A-Fa-f]{2})\\{1,4}u([dD][c-fC-F][0-9A-Fa-f]{2})"
    rb"|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([nrtbf])|([/\"'\\]))"
)
_UNIT: Final = re.compile(
    rb"\\(?:u([dD][89abAB][0-9A-Fa-f]{2})\\{1,4}u([dD][c-fC-F][0-9A-Fa-f]{2})"
    rb"|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([nrtbf])|([/\"'\\]))"
)
"""As `_BACKSLASH` where no backslash stands before another: it is found by its first character, ten times as fast."""

_SHORT: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}

_RUN: Final = b"\\" * 5
_ESCAPES: Final = tuple(
    (b"\\" + short, char) for short, char in (*_SHORT.items(), (b"/", b"/"), (b'"', b'"'), (b"'", b"'"))
)

_Spell = Callable[["re.Match[bytes]"], bytes]


def decode_percent(data: bytes, budget: Budget) -> Iterator[Piece]:
    """Each word with percents in it. A plus is a space where it can be nothing else than a form's."""
    form = b"+" in data and b" " not in data
    at = 0
    while (found := _PERCENTS.search(data, at)) is not None:
        start, end = _find_word(data, at, found.start())
        at, raw = end, data[start:end]
        if not budget.take(end - start):
            return
        decoded = unquote_to_bytes(raw.replace(b"+", b" ") if form else raw)
        yield Piece(decoded, start, end, _make_places(raw, start, _PERCENT, lambda _: b"x"))


def _find_word(data: bytes, first: int, at: int) -> tuple[int, int]:
    """What stands around a place up to what is no part of a word; it begins no earlier than `first`."""
    size = _NEAR
    while (edge := data[max(first, at - size) : at].translate(_KINDS).rfind(b".")) < 0 and at - size > first:
        size *= 2
    word = _WORD.match(data, at)
    return max(first, at - size) + edge + 1, at if word is None else word.end()


def decode_backslash(data: bytes, budget: Budget) -> Iterator[Piece]:
    if budget.take(len(data)):
        yield from make_piece(data, _replace_backslashes(data), _BACKSLASH, _spell_backslash)


def decode_html(data: bytes, budget: Budget) -> Iterator[Piece]:
    if budget.take(len(data)):
        yield from make_piece(data, _ENTITY.sub(_spell_entity, data), _ENTITY, _spell_entity)


def make_piece(data: bytes, decoded: bytes, pattern: re.Pattern[bytes], spell: _Spell) -> Iterator[Piece]:
    if decoded and decoded != data:
        yield Piece(decoded, 0, len(data), _make_places(data, 0, pattern, spell))


def _replace_backslashes(data: bytes) -> bytes:
    """What `_BACKSLASH.sub` makes of it; ten times as fast, where there is no run of more than four."""
    if _RUN in data:
        return _BACKSLASH.sub(_spell_backslash, data)
    for _ in range(2):
        data = data.replace(b"\\\\", b"\\")
    for escape, char in _ESCAPES:
        data = data.replace(escape, char)
    if b"\\u" not in data and b"\\x" not in data:
        return data
    if b"\\\\" in data:
        return _BACKSLASH.sub(_spell_backslash, data)
    spelt = _Spelt()
    return _UNIT.sub(lambda found: spelt[found[0]], data)


class _Spelt(dict[bytes, bytes]):
    """What each escape of a text stands for: few are many times in it."""

    def __missing__(self, raw: bytes) -> bytes:
        found = _BACKSLASH.fullmatch(raw)
        self[raw] = spelt = raw if found is None else _spell_backslash(found)
        return spelt


def _make_places(
    raw: bytes, start: int, pattern: re.Pattern[bytes], spell: _Spell
) -> Callable[[], list[int]]:
    def list_places() -> list[int]:
        parts: list[range | list[int]] = []
        at = 0
        for found in pattern.finditer(raw):
            parts += [range(start + at, start + found.start()), [start + found.start()] * len(spell(found))]
            at = found.end()
        parts.append(range(start + at, start + len(raw) + 1))
        return list(chain.from_iterable(parts))

    return list_places


def _spell_backslash(found: re.Match[bytes]) -> bytes:
    high, low, unit, byte, short, itself = found.groups()
    if high is not None:
        # By hand: Python would load the codec of UTF-16 for it, and nothing is loaded while an agent runs.
        return chr(0x10000 + ((int(high, 16) & 0x3FF) << 10) + (int(low, 16) & 0x3FF)).encode()
    if unit is not None:
        return chr(int(unit, 16)).encode("utf-8", "surrogatepass")
    if byte is not None:
        return bytes([int(byte, 16)])
    return _SHORT[short] if short is not None else bytes(itself)


def _spell_entity(found: re.Match[bytes]) -> bytes:
    text = found[0].decode()
    for _ in range(3):
        text = html.unescape(text)
    return text.encode("utf-8", "replace")
