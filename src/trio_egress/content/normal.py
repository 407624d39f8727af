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
from functools import lru_cache
from typing import Final

import attrs

from trio_egress.content.lookalikes import LATIN_FORMS, LOOKALIKES
from trio_egress.values import define, frozen

_TAG_SIGNS: Final = (b"</", b"<!--")
_REFERENCE_SIGNS: Final = (b"&#", b"&nbsp;", b"&shy;")
HTML_SIGNS: Final = (*_TAG_SIGNS, *_REFERENCE_SIGNS)
"""One of them is in every HTML of which something would change that is worth a look."""

FEW: Final = 16
"""Kinds of characters that are replaced kind by kind, which is faster than one by one."""

FEWEST: Final = 4
"""Of these so many that a look at each is faster than one at all that is not ASCII."""

SCATTERED: Final = 32
"""Characters that are replaced where they stand, which is faster than to look at all others, too."""

STRAY_SHARE: Final = 8
"""One byte in so many may be no UTF-8: a page in Latin-1 has fewer, an image has a quarter and more."""

REFERENCES: Final = 1024
"""Of HTML, whose meaning is remembered: a page has few, many times."""

TABLE_LIMIT: Final = 0x20000
"""Characters above are Han or have no other form, and are not remembered: the table stays below 20 MB."""

_FOREIGN = re.compile(rb"[\x80-\xff]+")
_ASCII = bytes(range(0x80))
_FOLDING = "trio-egress-fold"
_LOOKS = "trio-egress-look"
_LOOKALIKES = re.compile(f"[{''.join(LOOKALIKES)}]+")
_INLINE = (
    r"</?(?:a(?:bbr)?|b(?:d[io]|ig)?|code|del|em|font|i(?:ns)?|kbd|mark|q"
    r"|s(?:mall|pan|trong|u[bp])?|tt|u|wbr)(?:>|[\s\x1c-\x1f/][^<>]*>)"
)
_TAG = r"<(?:/?[a-z][^<>]*>|!--)"
_REFERENCE = r"&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8}[0-9]{0,2});"
_MARKUP = re.compile(
    f"(?P<inline>{_INLINE})|(?P<tag>{_TAG})|(?P<end>-->)|(?P<reference>{_REFERENCE})", re.IGNORECASE
)
_INLINES = re.compile(_INLINE.encode(), re.IGNORECASE)
_TAGS = re.compile(_TAG.encode(), re.IGNORECASE)
_REFERENCES = re.compile(_REFERENCE.encode(), re.IGNORECASE)
_GONE = b"<\x01"
"""In the place of what leaves nothing, until all is replaced: it ends whatever its tag would end."""
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


@frozen
class _Places:
    """Of each character of a text: where it begins in it, and from where to where in the message it is from."""

    at: array[int] = attrs.field(factory=lambda: array("q"))
    starts: array[int] = attrs.field(factory=lambda: array("q"))
    ends: array[int] = attrs.field(factory=lambda: array("q"))

    def add(self, at: int, start: int, end: int) -> None:
        self.at.append(at)
        self.starts.append(start)
        self.ends.append(end)


@define(eq=False)
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
        normal = data
    else:
        folded = _fold(data)
        if folded is None:
            return None
        normal = folded
    if marked:
        normal = _strip_markup(normal)
    return None if normal == data else Text(normal, data)


def _is_marked(data: bytes) -> bool:
    """Single bytes first, which are looked for ten times as fast; signs then from there on."""
    at = data.find(b"<")
    if at >= 0 and any(data.find(sign, at) >= 0 for sign in _TAG_SIGNS):
        return True
    at = data.find(b"&")
    return at >= 0 and any(data.find(sign, at) >= 0 for sign in _REFERENCE_SIGNS)


def _strip_markup(data: bytes) -> bytes:
    """As `_MARKUP.sub(_replace_markup, ...)`, one kind after another: each is looked for by its first character."""
    if b"\x01" in data:
        return _MARKUP.sub(_replace_markup, data.decode()).encode()
    data = _TAGS.sub(b" ", _INLINES.sub(_GONE, data)).replace(b"-->", b" ")
    if b"&" in data:
        data = _REFERENCES.sub(_replace_reference, data)
    return data.replace(_GONE, b"")


def _replace_reference(found: re.Match[bytes]) -> bytes:
    return _read_raw_reference(found[0])


@lru_cache(maxsize=REFERENCES)
def _read_raw_reference(reference: bytes) -> bytes:
    return _read_reference(reference.decode()).encode()


def _fold(data: bytes) -> bytes | None:
    """Of what is not ASCII; None: no text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        if len(data.decode("utf-8", "ignore").encode()) * STRAY_SHARE < len(data) * (STRAY_SHARE - 1):
            return None
        return _fold_one_by_one(data)
    foreign = _list_foreign(data)
    kinds = set(foreign)
    if len(kinds) > FEW:
        return _fold_one_by_one(data)
    changes = {char: folded for char in kinds if (folded := char.translate(_FOLDS)) != char}
    if not changes and kinds.isdisjoint(LOOKALIKES):
        return data
    if len(changes) > FEWEST and len(foreign) <= SCATTERED:
        return _fold_one_by_one(data)
    after = kinds.difference(changes).union(*changes.values())
    if not after.isdisjoint(changes):
        return _fold_one_by_one(data)
    if after.isdisjoint(LOOKALIKES):
        for char, folded in changes.items():
            data = data.replace(char.encode(), folded.encode())
        return data
    if len(foreign) <= SCATTERED:
        return _fold_one_by_one(data)
    for char, folded in changes.items():
        text = text.replace(char, folded)
    return _fold_lookalikes(text).encode()


def _list_foreign(data: bytes) -> str:
    """Of a long text few characters are foreign: it is looked through for them as bytes."""
    return data.translate(None, _ASCII).decode()


def _fold_one_by_one(data: bytes) -> bytes:
    text = data.decode("ascii", _FOLDING)
    folded = text.encode()
    foreign = _list_foreign(folded)
    if not _LOOKALIKES.search(foreign):
        return folded
    return text.encode("ascii", _LOOKS) if len(foreign) <= SCATTERED else _fold_lookalikes(text).encode()


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


def _look_at_run(error: UnicodeError) -> tuple[bytes, int]:
    """What a run of characters beyond ASCII becomes, which an encoder to ASCII asks for, and where it ends."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text, at, parts = error.object, error.start, []
    for found in _LOOKALIKES.finditer(text, at, error.end):
        parts += [text[at : found.start()], _replace_lookalikes(found)]
        at = found.end()
    return "".join((*parts, text[at : error.end])).encode(), error.end


codecs.register_error(_LOOKS, _look_at_run)


def _fold_lookalikes(text: str) -> str:
    """Letters that look Latin become so where they touch a Latin letter; as many characters come out."""
    return _LOOKALIKES.sub(_replace_lookalikes, text)


def _replace_lookalikes(found: re.Match[str]) -> str:
    text, start, end = found.string, found.start(), found.end()
    before, after = text[start - 1 : start], text[end : end + 1]
    if text[start - 2 : start] in ("\\n", "\\r", "\\t"):  # a line's end as JSON writes it
        before = ""
    touches = (before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha())
    return found[0].translate(_LATIN) if touches else found[0]


_LATIN: Final = str.maketrans(LOOKALIKES)


_MADE_OF_TAGS: Final[dict[str | None, str]] = {"inline": "", "tag": " ", "end": " "}


def _replace_markup(found: re.Match[str]) -> str:
    made = _MADE_OF_TAGS.get(found.lastgroup)
    if made is not None:
        return made
    return _read_reference(found[0])


def _read_reference(reference: str) -> str:
    meant = html.unescape(reference)
    return reference if meant == reference else "".join(map(fold_character, meant))


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
