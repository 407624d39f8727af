"""The two byte forms of a receipt: canonical (what is signed and hashed) and stored (one ASCII line).

Reads nothing and judges no member: values in, bytes out, and back.

Rule 1: canonical is compact JSON in the order of its members, raw UTF-8; `<` `>` `&` U+2028 U+2029 are
escaped.
Rule 2: stored is the same with every non-ASCII character escaped, so that no reader splits a line on one.
Rule 3: integers only, never a float.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections import Counter
from typing import Any, NoReturn

LINE_BYTES = 1 << 20
"""A line with its LF stays under this (the format's own bound)."""

NESTING = 128
"""Deepest nesting that readers of the format accept."""

DOCUMENT_COST = 32 << 20
"""Memory that reading one JSON file of a packet may take. The longest that a run writes, a manifest of twenty thousand
files, takes nearly as much; a hostile one takes fifty times its own length."""

_VALUE_COST = 120
"""Of a value, or a name, at most: `{"a":1}` is an object of 184 bytes, and three of these."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_canonical = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode
_stored = json.JSONEncoder(
    ensure_ascii=True, check_circular=False, allow_nan=False, separators=(",", ":")
).encode


def render_canonical(value: object) -> bytes:
    """The bytes that are signed or hashed. Raises UnicodeEncodeError for text that is not valid Unicode."""
    text = _escape_markup(_canonical(value))
    if not text.isascii():
        text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return text.encode()


def render_stored(value: object) -> bytes:
    """The bytes of a line, without its LF."""
    return _escape_markup(_stored(value)).encode("ascii")


def is_plain(stored: bytes) -> bool:
    """Whether stored bytes are the canonical bytes too, because nothing in them is escaped by number."""
    return b"\\u" not in stored


def _escape_markup(text: str) -> str:
    # A markup character can only stand inside a string, so a plain replacement is right.
    if "<" in text:
        text = text.replace("<", "\\u003c")
    if ">" in text:
        text = text.replace(">", "\\u003e")
    if "&" in text:
        text = text.replace("&", "\\u0026")
    return text


def clean_text(text: str, limit: int) -> str:
    """`text` as it may be signed: invalid Unicode becomes U+FFFD, what is beyond `limit` a count."""
    if len(text) > limit:
        text = f"{text[:limit]}...({len(text) - limit} more)"
    if text.isascii():
        return text
    return _SURROGATE.sub("\ufffd", text)


def _refuse_float(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is not an integer")


_parse = json.JSONDecoder(parse_float=_refuse_float, parse_constant=_refuse_float).decode


def parse_json(raw: bytes, encoding: str = "ascii") -> object:
    """The JSON value of these bytes, without floats. Raises ValueError with a reason, and nothing else.

    A member that stands twice is not seen here: the later one wins, and rendering gives other bytes.
    """
    try:
        value: object = _parse(raw.decode(encoding))
    except RecursionError:
        raise ValueError(f"nested deeper than {NESTING}") from None
    return value


def parse_document(raw: bytes) -> tuple[object, str | None]:
    """The JSON value of a file in UTF-8, and a member that stands twice in one object of it, or None.

    Raises ValueError with a reason, and nothing else; also for what would take more memory than DOCUMENT_COST.
    """
    text = raw.decode("utf-8")
    # Signs in texts count too: it is never less than what is needed.
    cost = 3 * sys.getsizeof(text) + _VALUE_COST * sum(map(text.count, ",:[{"))
    if cost > DOCUMENT_COST:
        raise ValueError(
            f"too large: reading it could take {cost >> 20} MiB, and may take {DOCUMENT_COST >> 20}"
        )
    repeated: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> dict[str, object]:
        value = dict(pairs)
        if len(value) < len(pairs) and not repeated:
            counted = Counter(name for name, _ in pairs)
            repeated.append(next(name for name in counted if counted[name] > 1))
        return value

    decoder = json.JSONDecoder(
        object_pairs_hook=look, parse_float=_refuse_float, parse_constant=_refuse_float
    )
    try:
        return decoder.decode(text), repeated[0] if repeated else None
    except RecursionError:
        raise ValueError(f"nested deeper than {NESTING}") from None


def is_nested(value: object, limit: int) -> bool:
    """Whether more than `limit` objects and arrays stand inside one another; a bare value is none."""
    level: list[Any] = [value]
    for _ in range(limit + 1):
        level = [item for item in level if type(item) is dict or type(item) is list]
        if not level:
            return False
        level = [child for item in level for child in (item.values() if type(item) is dict else item)]
    return True


def find_repeated(raw: bytes, encoding: str = "ascii") -> str | None:
    """The first member that stands twice in one object of this (parseable) JSON, or None."""
    repeated: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                repeated.append(name)
            names.add(name)
        return dict(pairs)

    with contextlib.suppress(RecursionError):  # then it is refused as too deep, whatever it repeats
        json.JSONDecoder(object_pairs_hook=look).decode(raw.decode(encoding))
    return repeated[0] if repeated else None
