"""The two byte forms of a receipt: canonical (what is signed and hashed) and stored (one ASCII line).

Reads nothing and judges no member: values in, bytes out, and back.

Rule 1: canonical is compact JSON in the order of its members, raw UTF-8; `<` `>` `&` U+2028 U+2029 are escaped.
Rule 2: stored is the same with every non-ASCII character escaped, so that no reader can split a line on one.
Rule 3: `ext` is hashed as stored and holds printable ASCII text only, so that a verifier that decodes it before
hashing gets the same bytes as one that does not (both exist).
Rule 4: integers only, never a float; those that we write in `ext` stay within ±(2^53 - 1).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import NoReturn

LINE_BYTES = 1 << 20
"""A line with its LF stays under this (the format's own bound)."""

NESTING = 128
"""Deepest nesting that readers of the format accept."""

FACT_CHARS = 2048
"""Longest text in `ext`; a URL that a browser would still send is about this long."""

FACT_BUDGET = 32_768
"""Characters, plus 8 an item, in one `ext`: even at 12 bytes each, a line stays under LINE_BYTES."""

SAFE_INTEGER = 2**53 - 1
"""RFC 8259 6: integers that every JSON reader keeps exact."""

_ITEM_COST = 8
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


def escape_text(text: str, limit: int = FACT_CHARS) -> str:
    """`text` as it may stand in `ext`: printable ASCII; all else, and a backslash, as its Python escape."""
    if len(text) > limit:
        text = f"{text[:limit]}...({len(text) - limit} more)"
    if is_portable(text) and "\\" not in text:
        return text
    return text.encode("unicode_escape").decode("ascii")


def is_portable(text: str) -> bool:
    """Whether `text` is printable ASCII."""
    return text.isascii() and text.isprintable()


def clean_facts(facts: Mapping[str, object]) -> dict[str, object]:
    """`facts` as they may stand in `ext`: bounded, with portable text.

    Raises TypeError for what has no place there (a float, bytes …) and ValueError for an integer beyond
    SAFE_INTEGER: both are bugs of the caller. No text raises.
    """
    budget = [FACT_BUDGET]
    return _clean_members(facts, budget)


def _clean_members(members: Mapping[str, object], budget: list[int]) -> dict[str, object]:
    cleaned: dict[str, object] = {}
    for name, value in members.items():
        if budget[0] <= 0:
            break
        cleaned[_spend_text(name, budget)] = _clean_fact(value, budget)
    return cleaned


def _clean_fact(value: object, budget: list[int]) -> object:
    budget[0] -= _ITEM_COST
    match value:
        case None | bool():
            return value
        case str():
            return _spend_text(value, budget)
        case int():
            if abs(value) > SAFE_INTEGER:
                raise ValueError(f"an integer in ext must stay within ±{SAFE_INTEGER}, got {value}")
            return int(value)
        case list() | tuple():
            items: list[object] = []
            for item in value:
                if budget[0] <= 0:
                    break
                items.append(_clean_fact(item, budget))
            return items
        case Mapping():
            return _clean_members(value, budget)
    raise TypeError(
        f"ext holds integers, text, lists, mappings, booleans and None, not {type(value).__name__}"
    )


def _spend_text(text: str, budget: list[int]) -> str:
    text = escape_text(text, max(0, min(FACT_CHARS, budget[0])))
    budget[0] -= len(text)
    return text


def _refuse_float(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is not an integer")


_parse = json.JSONDecoder(parse_float=_refuse_float, parse_constant=_refuse_float).decode


def parse_json(raw: bytes) -> object:
    """The JSON value of ASCII bytes, without floats. Raises ValueError with a reason, and nothing else.

    A member that stands twice is not seen here: the later one wins, and rendering gives other bytes.
    """
    try:
        value: object = _parse(raw.decode("ascii"))
    except RecursionError:
        raise ValueError(f"nested deeper than {NESTING}") from None
    if raw.count(b"{") + raw.count(b"[") > NESTING and depth(value) > NESTING:
        raise ValueError(f"nested deeper than {NESTING}")
    return value


def depth(value: object) -> int:
    """How many objects and arrays stand inside one another; a bare value has none."""
    deepest = 0
    pending = [(value, 0)]
    while pending:
        item, level = pending.pop()
        if isinstance(item, dict):
            pending.extend((child, level + 1) for child in item.values())
        elif isinstance(item, list):
            pending.extend((child, level + 1) for child in item)
        else:
            continue
        deepest = max(deepest, level + 1)
    return deepest


def find_repeated(raw: bytes) -> str | None:
    """The first member that stands twice in one object of this (parseable) JSON, or None."""
    repeated: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                repeated.append(name)
            names.add(name)
        return dict(pairs)

    json.JSONDecoder(object_pairs_hook=look).decode(raw.decode("ascii"))
    return repeated[0] if repeated else None
