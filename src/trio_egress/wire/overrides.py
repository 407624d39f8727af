"""Fields by which a request asks to be carried out by another method than its own (a habit of frameworks, no standard).

Rule 1: what can't be read as a method could be any.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product
from typing import Final

from trio_egress.model import ANY_METHOD

METHODS: Final = 8
"""So many of one request; more could be any."""

_NAMES = ("x-http-method-override", "x-http-method", "x-method-override")
_WORD = re.compile(rb"[A-Z-]{1,32}")

OVERRIDES: Final = frozenset(
    "".join(signs).encode("ascii")
    for name in _NAMES
    for signs in product(*("-_" if sign == "-" else sign for sign in name))
)
"""In lower case; with `_` for `-`, too, which CGI can't tell from it (RFC 3875 4.1.18)."""


def find_overrides(fields: Iterable[tuple[bytes, bytes]]) -> frozenset[str]:
    """The methods that are asked for, in upper case, ANY_METHOD among them."""
    values = [value for name, value in fields if name.lower() in OVERRIDES]
    if not values:
        return frozenset()
    words = {word.strip().upper() for word in b",".join(values).split(b",")}
    if len(words) > METHODS:
        return frozenset({ANY_METHOD})
    return frozenset(word.decode("ascii") if _WORD.fullmatch(word) else ANY_METHOD for word in words)
