"""Text as a model reads it, so that one spelling of a phrase stands for all that look like it.

`normalise` gives None where nothing changes. Else letters lose accents, width and style (NFKC, case of what is not
ASCII), look-alikes of Latin letters next to such become them, what is invisible goes, text hidden in tag characters and
variation selectors comes out, and in HTML tags go and references become characters. ASCII keeps its case: patterns
say `(?i)`.

Rule 1: linear in time, and never more than a few times as long as what came in.
Rule 2: what is mostly no UTF-8 is no text: None. Stray bytes in text count as Latin-1.
Rule 3: where a byte of the result is from is worked out only when it is asked for.
"""

from __future__ import annotations

import codecs
import html
import re
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final

import attrs

from trio_egress.content.lookalikes import LATIN_FORMS, LOOKALIKES

HTML_SIGNS: Final = (b"</", b"&#", b"&nbsp;", b"&shy;", b"<!--")
"""One of them is in every HTML of which something would change that is worth a look."""

FEW: Final = 16
"""Kinds of characters that are replaced kind by kind, which is faster than one by one."""

STRAY_SHARE: Final = 8
"""One byte in so many may be no UTF-8: a page in Latin-1 has fewer, an image has a quarter and more."""

TABLE_LIMIT: Final = 0x20000
"""Characters above are Han or have no other form, and are not remembered: the table stays below 20 MB."""

_FOREIGN = re.compile(rb"[\x80-\xff]+")
_ASCII = bytes(range(0x80))
_FOLDING = "trio-egress-fold"
_LOOKALIKES = re.compile(f"[{''.join(LOOKALIKES)}]+")
_MARKUP = re.compile(
    # Each by its first character, so that the rest of a text is passed over quickly; and elements by theirs.
    r"<(?:(?P<inline>/?(?:a(?:bbr)?|b(?:d[io]|ig)?|code|del|em|font|i(?:ns)?|kbd|mark|q"
    r"|s(?:mall|pan|trong|u[bp])?|tt|u|wbr)(?:[\s/][^<>]*)?>)|(?P<tag>/?[a-z][^<>]*>|!--))"
    r"|-(?P<end>->)"
    r"|&(?P<reference>(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8}[0-9]{0,2});)",
    re.IGNORECASE,
)
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u064b-\u065f\u0670\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
)
_KEEPS_MARKS = re.compile("[\u3040-\u30ff\uac00-\ud7af\u0900-\u0dff]")


class _Folds(dict[int, int | str]):
    """What each character becomes, worked out when it is first met."""

    def __missing__(self, code: int) -> int | str:
        folded = fold_character(chr(code))
        value: int | str = ord(folded) if len(folded) == 1 else folded
        if code < TABLE_LIMIT:
            self[code] = value
        return value


_FOLDS: Final = _Folds()


@attrs.frozen
class _Places:
    """Of each character of a text: where it begins in it, and from where to where in the message it is from."""

    at: array[int] = attrs.field(factory=lambda: array("q"))
    starts: array[int] = attrs.field(factory=lambda: array("q"))
    ends: array[int] = attrs.field(factory=lambda: array("q"))

    def add(self, at: int, start: int, end: int) -> None:
        self.at.append(at)
        self.starts.append(start)
        self.ends.append(end)


@attrs.define(eq=False)
class Text:
    """`data` is what detectors of instructions look through, in UTF-8; `find_origin` leads back."""

    data: bytes
    _raw: bytes = attrs.field(repr=False)
    _places: _Places | None = attrs.field(default=None, init=False, repr=False)

    def find_origin(self, start: int, end: int) -> tuple[int, int]:
        """Which bytes of the message made bytes `start` to `end` of `data`, of which there is one at least."""
        if self._places is None:
            self._places = _trace(self._raw)
        places = self._places
        first = bisect_right(places.at, start) - 1
        last = bisect_right(places.at, end - 1) - 1
        return places.starts[first], places.ends[last]


def normalise(data: bytes) -> Text | None:
    """None where the message is its own normal form, or no text. Takes a window or a whole message."""
    marked = _is_marked(data)
    if data.isascii():
        if not marked:
            return None
        text = data.decode("ascii")
    else:
        folded = _fold(data)
        if folded is None:
            return None
        text = folded
    if marked:
        text = _MARKUP.sub(_replace_markup, text)
    normal = text.encode()
    return None if normal == data else Text(normal, data)


def _is_marked(data: bytes) -> bool:
    """Single bytes first, which are looked for ten times as fast."""
    return (b"<" in data and (b"</" in data or b"<!--" in data)) or (
        b"&" in data and (b"&#" in data or b"&nbsp;" in data or b"&shy;" in data)
    )


def _fold(data: bytes) -> str | None:
    """Of what is not ASCII; None: no text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        if len(data.decode("utf-8", "ignore").encode()) * STRAY_SHARE < len(data) * (STRAY_SHARE - 1):
            return None
        return _fold_one_by_one(data)
    kinds = set(_list_foreign(data))
    if len(kinds) > FEW:
        return _fold_one_by_one(data)
    changes = {char: folded for char in kinds if (folded := char.translate(_FOLDS)) != char}
    after = kinds.difference(changes).union(*changes.values())
    if not after.isdisjoint(changes):
        return _fold_one_by_one(data)
    for char, folded in changes.items():
        text = text.replace(char, folded)
    return text if after.isdisjoint(LOOKALIKES) else _fold_lookalikes(text)


def _list_foreign(data: bytes) -> str:
    """Of a long text few characters are foreign: it is looked through for them as bytes."""
    return data.translate(None, _ASCII).decode()


def _fold_one_by_one(data: bytes) -> str:
    text = data.decode("ascii", _FOLDING)
    return _fold_lookalikes(text) if _LOOKALIKES.search(_list_foreign(text.encode())) else text


def fold_character(character: str) -> str:
    """What one character that is not ASCII becomes: nothing, itself, or one or more others."""
    code = ord(character)
    match code:
        case _ if code < 0x80:
            return character
        case _ if 0xDC80 <= code <= 0xDCFF:  # a stray byte
            return fold_character(chr(code - 0xDC00)) if code >= 0xDCA0 else " "
        case _ if 0xE0020 <= code <= 0xE007E:
            return chr(code - 0xE0000)
        case _ if 0xE0110 <= code <= 0xE016E:  # byte 32 to 126 behind a character, as a variation selector
            return chr(code - 0xE0100 + 16)
    if character in LATIN_FORMS:
        return LATIN_FORMS[character]
    folded = unicodedata.normalize("NFKC", character).casefold()
    return "".join(map(_fold_plain, folded))


def _fold_plain(character: str) -> str:
    """Of a character in NFKC and lower case."""
    if character in LATIN_FORMS:
        return LATIN_FORMS[character]
    category = unicodedata.category(character)
    if category in ("Cf", "Cc") or character in _INVISIBLE:
        return character if character in "\t\n\r" else ""
    if category in ("Zs", "Zl", "Zp"):
        return " "
    if _KEEPS_MARKS.match(character):
        return character
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFD", character)))


_INVISIBLE: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\u0640\ufffc" + "".join(map(chr, range(0xFE00, 0xFE10)))
)
"""Drawn as nothing, and of no category that says so; and the stroke that lengthens Arabic words."""


def _fold_run(error: UnicodeError) -> tuple[str, int]:
    """What a run of bytes beyond ASCII becomes, and where it ends: a decoder of ASCII asks for it, and is fast."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    run = _FOREIGN.match(error.object, error.start)
    if run is None:
        raise error
    return run[0].decode("utf-8", "surrogateescape").translate(_FOLDS), run.end()


codecs.register_error(_FOLDING, _fold_run)


def _fold_lookalikes(text: str) -> str:
    """Letters that look Latin become so where they touch a Latin letter; as many characters come out."""

    def replace(found: re.Match[str]) -> str:
        before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
        if text[found.start() - 2 : found.start()] in ("\\n", "\\r", "\\t"):  # a line's end as JSON writes it
            before = ""
        touches = (before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha())
        return found[0].translate(_LATIN) if touches else found[0]

    return _LOOKALIKES.sub(replace, text)


_LATIN: Final = str.maketrans(LOOKALIKES)


_MADE_OF_TAGS: Final[dict[str | None, str]] = {"inline": "", "tag": " ", "end": " "}


def _replace_markup(found: re.Match[str]) -> str:
    made = _MADE_OF_TAGS.get(found.lastgroup)
    if made is not None:
        return made
    meant = html.unescape(found[0])
    return found[0] if meant == found[0] else "".join(map(fold_character, meant))


def _trace(raw: bytes) -> _Places:
    """As `normalise`, a character at a time, with where each is from."""
    pieces: list[str] = []
    folded = _Places()
    here = 0
    for character in raw.decode("utf-8", "surrogateescape"):
        piece = fold_character(character) if character > "\x7f" else character
        size = 1 if "\udc80" <= character <= "\udcff" else len(character.encode())
        pieces.append(piece)
        for _ in piece:
            folded.add(0, here, here + size)
        here += size
    text = _fold_lookalikes("".join(pieces))
    places, at = _Places(), 0
    for made, first, last in _cut_markup(text, _is_marked(raw)):
        for offset, character in enumerate(made):
            origin = first + offset if last - first == len(made) else first
            end = origin if last - first == len(made) else last - 1
            places.add(at, folded.starts[origin], folded.ends[end])
            at += len(character.encode())
    return places


def _cut_markup(text: str, marked: bool) -> Iterator[tuple[str, int, int]]:
    """What becomes of the text, in parts, and which characters each part is from."""
    at = 0
    for found in _MARKUP.finditer(text) if marked else ():
        yield text[at : found.start()], at, found.start()
        yield _replace_markup(found), found.start(), found.end()
        at = found.end()
    yield text[at:], at, len(text)
