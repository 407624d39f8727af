"""Values of a run, and the detectors of what programs make of them: escaped, base64, base32, hex, UTF-16, reversed.

Rule 1: patterns are of ASCII, bytes as `\\xHH`, and literals but for case: looking for a thousand costs as one.
Rule 2: what is looked for is what encoders make of a whole value. Where only some of it is escaped, or in several ways,
        or where it is encoded twice, a decoded view shows it (`content.decoders`).
Rule 3: a value of more than WHOLE_BYTES is known by two pieces, those that look least like what others have: never its
        beginning, which for tokens and keys is that of all of their kind.
Rule 4: a value of less than LEAST_BYTES is refused, and more than MOST_VALUES are.

`evidence.spellings` lists the like for the texts of receipts, by Python's encoders too; it is an island, and takes no
more than whole texts in lower case.
"""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Final
from urllib.parse import quote, quote_plus

import attrs

from trio_egress.content.detector import Detector, Severity
from trio_egress.model import Kind
from trio_egress.values import frozen

LEAST_BYTES: Final = 8
"""What is shorter stands in too many messages by chance."""

MOST_VALUES: Final = 256
WHOLE_BYTES: Final = 64
PIECE_BYTES: Final = 40
_STEP: Final = 4
"""Pieces of a long value are looked for at multiples of it, but not more than _PLACES."""
_PLACES: Final = 1024

_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_SAFE: Final = ("", "/", "!*'()", ";,/?:@&=+$#!*'()")
"""What encoders of URLs leave as it is, beside RFC 3986's unreserved: Python's two, and JavaScript's two."""

_BASE64: Final = {
    "+": r"(?:[+-]|%(?:25){0,3}2[Bb]|\x5c{1,4}u002[Bb])",
    "/": r"(?:[/_]|%(?:25){0,3}2[Ff]|\x5c{1,4}(?:/|u002[Ff]))",
}
_ESCAPES: Final = re.compile(r"%(?:25)*[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|&#x[0-9A-Fa-f]+;")
_BETWEEN: Final = ("", ":", " ", "-", ", ", ",", "\n", "_", ".")
"""What stands between the bytes of a value in hex or decimal."""


@frozen
class Exact:
    """A value of this run. `name` is what findings call it, and unique; `description` says what it is the value of."""

    name: str
    value: bytes = attrs.field(repr=False)
    kind: Kind = Kind.EXACT
    description: str = ""


def list_detectors(values: Iterable[Exact]) -> tuple[Detector, ...]:
    """Several of each name, one for each way to spell it. Raises ValueError for what can't be looked for (Rule 4)."""
    listed = tuple(values)
    if len(listed) > MOST_VALUES:
        raise ValueError(f"{len(listed)} values are to be looked for, and {MOST_VALUES} are the most")
    for each in listed:
        if len(each.value) < LEAST_BYTES:
            raise ValueError(
                f"{each.name} has fewer than {LEAST_BYTES} bytes, which stand in messages by chance"
            )
    return tuple(detector for each in listed for detector in _list_of(each))


def pick_pieces(value: bytes) -> tuple[bytes, ...]:
    """What a value is known by: itself, or two pieces of its later three quarters."""
    if len(value) <= WHOLE_BYTES:
        return (value,)
    quarter, half, last = len(value) // 4, len(value) // 2, len(value) - PIECE_BYTES
    pieces = (_pick(value, quarter, max(quarter, half - PIECE_BYTES)), _pick(value, min(half, last), last))
    return tuple(dict.fromkeys(pieces))


def _pick(value: bytes, first: int, last: int) -> bytes:
    step = max(_STEP, (last - first) // _PLACES)
    places = sorted({*range(first, last + 1, step), last})
    return _trim(value, max((value[place : place + PIECE_BYTES] for place in places), key=rate_randomness))


def _trim(value: bytes, piece: bytes) -> bytes:
    """Whole characters alone, where the value is of such."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return piece
    return piece.decode(errors="ignore").encode()


def rate_randomness(piece: bytes) -> int:
    """How unlike text: how often it changes from one kind of character to another, without white space at best."""
    kinds = [_classify(byte) for byte in piece]
    return sum(a != b for a, b in pairwise(kinds)) - 8 * kinds.count(4)


def _classify(byte: int) -> int:
    char = chr(byte)
    if char.isspace():
        return 4
    return 0 if char.islower() else 1 if char.isupper() else 2 if char.isdigit() else 3


def _list_of(each: Exact) -> Iterator[Detector]:
    pieces = pick_pieces(each.value)
    for via, spell_piece in _SPELLINGS:
        pattern = "|".join(dict.fromkeys(way for piece in pieces for way in spell_piece(piece)))
        if pattern:
            yield Detector(
                name=each.name,
                description=each.description or f"the value {each.name} of this run",
                kind=each.kind,
                pattern=pattern,
                via=via,
                value=each.value,
                severity=Severity.CRITICAL,
            )


def _spell_plain(piece: bytes) -> Iterator[str]:
    yield _escape(piece)


def _spell_escaped(piece: bytes) -> Iterator[str]:
    """What encoders make of it, and all of it in one kind of escape."""
    text = _decode(piece)
    urls = [quote(piece, safe=safe) for safe in _SAFE] + [quote_plus(piece)]
    texts = [json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]]
    texts += [each.replace("/", "\\/") for each in texts]
    texts += [_escape_units(each, marks) for each in texts for marks in ("<>&", "<>&'", "<>&'+`")]
    texts += [each.replace('\\"', "\\u0022") for each in texts]
    marked = [html.escape(text), html.escape(text, quote=False)]
    marked += [marked[0].replace("&#x27;", other) for other in ("&#39;", "&apos;")]
    marked += [each.replace("&quot;", "&#34;") for each in marked]
    again = [json.dumps(each)[1:-1] for each in texts] + [html.escape(each) for each in marked]
    again += [encode(each) for each in (*urls, *texts) for encode in (quote_plus, quote, _quote_all)]
    whole = ["".join(form.format(byte) for byte in piece) for form in ("%{:02x}", "%25{:02x}", "\\x{:02x}")]
    units = memoryview(text.encode("utf-16")[2:]).cast("H")
    whole += ["".join(form.format(unit) for unit in units) for form in ("\\u{:04x}", "\\\\u{:04x}")]
    whole += [
        "".join(form.format(ord(char)) for char in text) for form in ("&#{};", "&#x{:x};", "&#x{:02x};")
    ]
    plain = {text, piece.decode("latin-1")}
    for spelt in dict.fromkeys((*urls, *texts, *marked, _quote_shell(text), *again, *whole)):
        if spelt not in plain:
            yield _render(spelt)


def _render(spelt: str) -> str:
    """A pattern of it, the digits of its escapes in any case."""
    pieces, at = [], 0
    for found in _ESCAPES.finditer(spelt):
        pieces += [_escape(spelt[at : found.start()].encode()), _fold(found[0])]
        at = found.end()
    return "".join((*pieces, _escape(spelt[at:].encode())))


def _escape_units(text: str, marks: str) -> str:
    """As encoders of JSON for pages do: Go's, those of Ruby and PHP, .NET's."""
    return text.translate({ord(mark): f"\\u{ord(mark):04x}" for mark in marks})


def _quote_shell(text: str) -> str:
    quoted = shlex.quote(text)
    return text if quoted == text else quoted[1:-1]


def _quote_all(text: str) -> str:
    return quote(text, safe="")


def _decode(piece: bytes) -> str:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return piece.decode("latin-1")


def _spell_base64(piece: bytes) -> Iterator[str]:
    for core in list_cores(piece, 6, base64.b64encode):
        yield "".join(_BASE64.get(char, char) for char in core)


def _spell_base32(piece: bytes) -> Iterator[str]:
    for encode in (base64.b32encode, base64.b32hexencode):
        yield from map(_fold, list_cores(piece, 5, encode))


def list_cores(piece: bytes, bits: int, encode: Callable[[bytes], bytes]) -> Iterator[str]:
    """What an encoding of so many bits a character makes of a piece wherever it stands in what is encoded: the
    characters that have no bit of anything else."""
    for before in range(bits if bits % 2 else bits // 2):
        encoded = encode(b"\0" * before + piece).decode("ascii")
        yield encoded[-(-8 * before // bits) : 8 * (before + len(piece)) // bits]


def _spell_hex(piece: bytes) -> Iterator[str]:
    bytewise = [f"{byte:02x}" for byte in piece]
    for between in _BETWEEN:
        yield _fold(between.join(bytewise))
    for between in (",", ", "):
        yield _fold(between.join(f"0x{byte}" for byte in bytewise))
    for first in (1, 2):  # as xxd writes it
        groups = ["".join(bytewise[:first])]
        groups += ["".join(bytewise[at : at + 2]) for at in range(first, len(bytewise), 2)]
        yield _fold(" ".join(groups))


def _spell_decimal(piece: bytes) -> Iterator[str]:
    for between in (",", ", ", " "):
        yield _escape(between.join(map(str, piece)).encode())


def _spell_reversed(piece: bytes) -> Iterator[str]:
    for back in (piece[::-1], _decode(piece)[::-1].encode()):
        if back != piece:
            yield _escape(back)


def _spell_utf16(piece: bytes) -> Iterator[str]:
    text = _decode(piece)
    for order in ("utf-16-le", "utf-16-be"):
        yield _escape(text.encode(order))


def _escape(raw: bytes) -> str:
    """A pattern of nothing else than these bytes."""
    return "".join(chr(byte) if chr(byte) in _PLAIN else f"\\x{byte:02x}" for byte in raw)


def _fold(text: str) -> str:
    """A pattern of this ASCII, its letters in any case. No flag says so: a flag folds what is no ASCII, too."""
    return "".join(
        f"[{char.lower()}{char.upper()}]" if char.isalpha() else _escape(char.encode()) for char in text
    )


_SPELLINGS: Final[tuple[tuple[tuple[str, ...], Callable[[bytes], Iterator[str]]], ...]] = (
    ((), _spell_plain),
    (("escaped",), _spell_escaped),
    (("base64",), _spell_base64),
    (("base32",), _spell_base32),
    (("hex",), _spell_hex),
    (("decimal",), _spell_decimal),
    (("reversed",), _spell_reversed),
    (("utf-16",), _spell_utf16),
)
"""By what findings call each."""
