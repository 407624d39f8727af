"""Every spelling in which a value may stand in a text: as it is, percent-encoded, JSON-escaped, hex, base64.

Knows nothing of receipts: bytes in, patterns out, over a text whose ASCII letters are lower case.

Rule 1: each character by itself may be spelt in any of these ways, so no mixture of them gets by.
Rule 2: dots may stand anywhere: a value that is cut into the labels of a DNS name is found.
Rule 3: letters count in either case, in base64 too: by chance that happens once in 2^40 or less.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote_to_bytes

_LOWER = {ord(upper): ord(upper) + 32 for upper in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}

_ESCAPED = re.compile(r"[\\]|[^\x00-\x7f]")
"""What stands in a text in which some character may be spelt otherwise than as it is, or by percents."""

_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")

_DECODINGS = 4
"""So often a text is decoded before it is looked at the slow way."""

_BASE64 = "[a-z0-9+/_-]"

_SHORT = {'"': '"', "/": "/", "'": "'", "\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}
_PIECE = re.compile(r"\\+|.", re.DOTALL)
"""A character, or a run of backslashes, of which nobody can say how often it was escaped."""


def lower(text: str) -> str:
    """ASCII letters in lower case, and every character in its place."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


class Finder:
    """Looks for some values in texts. Cheap where there is none of them, which is nearly always."""

    def __init__(self, values: Mapping[str, bytes]) -> None:
        # The longest first: of a value that has another in it nothing stays.
        self._names = sorted(values, key=lambda name: (-len(values[name]), name))
        self._needles = tuple({needle for value in values.values() for needle in _plain_spellings(value)})
        self._has_percents = any(b"%" in value for value in values.values())
        self._pattern = re.compile(
            "|".join(_render_pattern(values[name], place) for place, name in enumerate(self._names))
        )

    def may_hold(self, text: str) -> bool:
        """False only where `find` finds nothing."""
        bare = self._decode(text)
        if bare is None:
            return self._pattern.search(lower(text)) is not None
        return any(needle in bare for needle in self._needles)

    def find(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Where each begins and ends, and its name."""
        for match in self._pattern.finditer(lower(text)):
            group = match.lastgroup or ""
            # The character before some base64 has bits of the value, too.
            begins = max(0, match.start() - 1) if group[0] == "b" else match.start()
            yield begins, match.end(), self._names[int(group[1:])]

    def _decode(self, text: str) -> str | None:
        """The text without percents, dots and upper case; None where that is not all that there may be to it."""
        if _ESCAPED.search(text) or (self._has_percents and "%" in text):
            return None
        for _ in range(_DECODINGS):
            if "%" not in text:
                break
            text = unquote_to_bytes(text).decode("latin-1")
        if _PERCENT.search(text):
            return None
        return lower(text).replace(".", "")


def list_spellings(value: bytes) -> tuple[bytes, ...]:
    """Whole spellings in lower case, for streams of bytes: what programs make of a value that they pass on.

    As it is, percent-encoded, escaped as in JSON and HTML, hex, base64 wherever it begins. No mixture, and no dots.
    """
    text = _decode(value)
    quoted = (
        quote(value, safe=""),
        quote(value),
        quote_plus(value),
        "".join(f"%{byte:02x}" for byte in value),
    )
    escaped = (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    marked = (html.escape(text), html.escape(text, quote=False), html.escape(text).replace("&#x27;", "&#39;"))
    inner = tuple(re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text) for text in escaped)
    texts = [*quoted, *escaped, *inner, *(text.replace("/", "\\/") for text in escaped), *marked, value.hex()]
    for core in _encode_base64(value):
        texts += [core, core.replace("+", "-").replace("/", "_"), quote(core, safe="")]
    return tuple(dict.fromkeys([value.lower(), *(text.lower().encode() for text in texts)]))


def _decode(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _plain_spellings(value: bytes) -> Iterator[str]:
    """Those without any escape, without dots."""
    for text in (lower(_decode(value)).replace(".", ""), lower(value.decode("latin-1")).replace(".", "")):
        yield from (text, text.replace(" ", "+"))
    yield value.hex()
    for core in _encode_base64(value):
        yield from (core, core.replace("+", "-").replace("/", "_"))


def _encode_base64(value: bytes) -> Iterator[str]:
    """What base64 makes of the value wherever it stands in what is encoded: without the ends that others share."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + value).decode("ascii").rstrip("=")
        shared_at_end = (before + len(value)) % 3 != 0
        yield lower(encoded[(0, 2, 3)[before] : len(encoded) - shared_at_end])


def _render_pattern(value: bytes, place: int) -> str:
    """A group `aN`, and a group `bN` for what begins in the middle of a character of base64."""
    text = _decode(value)
    encoding = "utf-8" if text.encode("utf-8") == value else "latin-1"
    written = _join((piece, _spell(piece, encoding)) for piece in _PIECE.findall(text))
    hexadecimal = _join((digit, digit) for digit in value.hex())
    first, second, third = (
        _join((char, _spell_base64(char)) for char in core) + rf"(?:\.?{_BASE64})?"
        for core in _encode_base64(value)
    )
    return f"(?P<a{place}>{written}|{hexadecimal}|{first})|(?P<b{place}>{second}|{third})"


def _join(parts: Iterable[tuple[str, str]]) -> str:
    """Characters and their patterns, one after the other, with perhaps a dot between any two that are none."""
    joined, before = "", "."
    for char, pattern in parts:
        joined += pattern if "." in (before, char) else rf"\.?{pattern}"
        before = char
    return joined


def _spell_base64(char: str) -> str:
    return {"+": r"(?:\+|-|%2b)", "/": r"(?:/|_|%2f|\\/)"}.get(char, char)


def _spell(char: str, encoding: str) -> str:
    """A character, or a run of backslashes, in every spelling."""
    if char[0] == "\\":
        return rf"(?:\\|%(?:25){{0,4}}5c){{{len(char)},{4 * len(char)}}}"
    raw, low = char.encode(encoding), lower(char)
    both = (low, low.upper()) if low.isascii() else (char,)
    ways = [re.escape(low), "".join(rf"%(?:25){{0,4}}{byte:02x}" for byte in raw)]
    ways += [rf"\\{{1,4}}{kind}" for one in both for kind in (f"x{ord(one):02x}", f"u{ord(one):04x}")]
    ways += [rf"%(?:25){{0,4}}{ord(one):02x}" for one in both if one.isascii()]
    if len(raw) > 1:
        ways += [
            "".join(re.escape(chr(byte)) for byte in raw),
            "".join(rf"\\{{1,4}}x{byte:02x}" for byte in raw),
        ]
    if char in _SHORT:
        ways.append(rf"\\{{1,4}}{re.escape(_SHORT[char])}")
    if ord(char) > 0xFFFF:
        pair = char.encode("utf-16-be").hex()
        ways += [rf"\\{{1,4}}u{pair[:4]}\\{{1,4}}u{pair[4:]}", rf"\\{{1,4}}u{ord(char):08x}"]
    if char == " ":
        ways.append(r"\+")
    return f"(?:{'|'.join(dict.fromkeys(ways))})"
