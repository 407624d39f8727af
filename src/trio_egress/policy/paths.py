"""The normal form of a path, in which paths are judged, and the names in a query.

Rule 1: escapes are decoded once, as UTF-8. What a server could read in two ways has no normal form: dot segments,
        `//`, `;`, a backslash, a control character, a second layer of escapes, and their look-alikes (UTS 15, NFKC).
Rule 2: nothing is mended: what is judged and what is sent on are the same path.
Rule 3: an encoded slash is neither a slash nor a character like others: it stands as SLASH.
Rule 4: ValueError with a reason, and nothing else, is raised for whatever has no normal form.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote_plus, unquote_to_bytes

SLASH = "\x00"
"""An encoded slash in a path in normal form, where NUL itself can't stand."""

_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*)+/?|/", re.ASCII)
"""What is in normal form as it stands: no escapes, and no segment that begins with a dot."""

_ESCAPED_SLASH = re.compile(r"%2f", re.IGNORECASE)
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_AMBIGUOUS = {
    "\\": "a backslash, which some servers take for a slash",
    ";": "a semicolon, after which some servers drop the rest",
    "%": "an escape inside an escape",
    "?": "an encoded question mark",
    "#": "a number sign, after which some servers drop the rest",
}
_PARTS = re.compile(f"[/{SLASH}]")
_SEPARATORS = re.compile(r"[&;]")


def parse_path(raw: str) -> str:
    """The normal form of a path without its query."""
    if not raw.startswith("/"):
        raise ValueError('a path begins with "/"')
    if _PLAIN.fullmatch(raw):
        return raw
    if _BROKEN.search(raw):
        raise ValueError("the path has an escape that is none")
    path = SLASH.join([_decode(part) for part in _ESCAPED_SLASH.split(raw)])
    parts = _PARTS.split(path)[1:]
    if "" in parts[:-1] or (not parts[-1] and path.endswith(SLASH)):
        raise ValueError("the path has an empty segment")
    if any(part and not part.strip(". ") for part in parts):
        raise ValueError("the path has a dot segment")
    return path


def _decode(raw: str) -> str:
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeError:
        raise ValueError("the path is not UTF-8") from None
    for character in text:
        if character in _AMBIGUOUS:
            raise ValueError(f"the path has {_AMBIGUOUS[character]}")
        if not character.isprintable():
            raise ValueError("the path has a control character")
    if not text.isascii():
        _check_look_alikes(text)
    return text


def _check_look_alikes(text: str) -> None:
    for character in text:
        if not character.isascii() and re.search(r"[/\\;%?#.]", unicodedata.normalize("NFKC", character)):
            raise ValueError("the path has a character that some servers take for another")


def find_query_values(raw: str) -> tuple[bytes, ...]:
    """The values of the parameters of a query, in order, without their percents; of one without `=` all of it."""
    pairs = [pair.partition("=") for pair in _SEPARATORS.split(raw) if pair]
    return tuple(unquote_to_bytes(value if equals else name) for name, equals, value in pairs)


def find_query_names(raw: str) -> frozenset[str]:
    """The names of the parameters of a query, decoded, by whichever separator a server may go by."""
    pairs = [pair for pair in _SEPARATORS.split(raw) if pair]
    return frozenset(unquote_plus(pair.partition("=")[0], errors="replace") for pair in pairs)
