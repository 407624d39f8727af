"""Whether a place in HTML is one that a reader of the page sees.

Looks back from the place, no further than REACH: comments, tags and what attributes say. Style sheets and scripts are
not read, so "seen" is no promise.
"""

from __future__ import annotations

import re
from typing import Final

REACH: Final = 8 * 1024
NESTED: Final = 64
"""So many open elements are looked through for the one that a tag closes."""

_TAG = re.compile(rb"<(/?)([a-zA-Z][a-zA-Z0-9-]*)([^<>]*)>")
_INSIDE_TAG = re.compile(rb"</?[a-zA-Z][^<>]*\Z")
_HIDES = re.compile(
    rb"display\s*:\s*none|visibility\s*:\s*hidden|(?:font-size|opacity|max-height)\s*:\s*0(?:\.0+)?(?:px|em|pt|%)?\s*(?:[;\"'!]|$)"
    rb"|(?:^|[\s\"'])hidden(?:[\s=/]|$)|aria-hidden\s*=\s*[\"']?true|(?:left|top|text-indent)\s*:\s*-\d{3}"
    rb"|(?<![a-z-])color\s*:\s*(?:#fff(?:fff)?\b|white\b|transparent\b)",
    re.IGNORECASE,
)
_VOID: Final = frozenset(b"area base br col embed hr img input link meta param source track wbr".split())


def is_hidden(data: bytes, at: int) -> bool:
    """Whether what stands there is in a comment, in a tag, or in an element whose attributes hide it."""
    before = data[max(0, at - REACH) : at]
    if before.rfind(b"<!--") > before.rfind(b"-->") or _INSIDE_TAG.search(before, max(0, before.rfind(b"<"))):
        return True
    opened: list[tuple[bytes, bool]] = []
    for tag in _TAG.finditer(before):
        closes, name, rest = tag.groups()
        name = name.lower()
        if not closes and name not in _VOID and not rest.endswith(b"/"):
            opened.append((name, _HIDES.search(rest) is not None))
        elif closes:
            for place in range(len(opened) - 1, max(-1, len(opened) - 1 - NESTED), -1):
                if opened[place][0] == name:
                    del opened[place:]
                    break
    return any(hides for _, hides in opened)
