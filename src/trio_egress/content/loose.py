"""Patterns of sentences, written so that people can read them: `loose = true` in a rule.

A blank in such a pattern stands for what text puts between two words, a `~` for whatever else stands between them in
the line, or up to the end of the next.

Rule 1: what comes out is an ordinary pattern, which takes linear time like any. Neither sign has another meaning but
        in a class (`[ -]`); a blank that is meant itself is `\\x20`. A blank with `?` may also be nothing.
Rule 2: one of ASCII is of whatever case, and its `\\b` is also where JSON writes a line's end before a word. One of
        text is taken as it stands: `(?i)` and `\\b` know ASCII alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_BETWEEN: Final = r"(?:[\s\x22\x27*_,.:;>#~\x60-]|\\[nrt])"
"""Blanks, punctuation, Markdown's marks, and line ends as JSON writes them."""

_REST: Final = r"(?:[^\x00-\x08\n-\x1f\x22<>{};\\]|\\[^n\x22])*"
"""Of a line, as it is or in JSON, and no further than a quote, a tag or a brace."""

_SIGN: Final = re.compile(r"\\b|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]| \?|[ ~]")


def expand(pattern: str) -> str:
    """The pattern that is meant."""
    if not pattern.isascii():
        return _SIGN.sub(lambda sign: _spell(sign[0], _REST, sign[0]), pattern)
    rest = f"(?:{_BETWEEN}{_REST})?"
    return "(?i)" + _SIGN.sub(lambda sign: _spell(sign[0], rest, r"(?:\b|\\[nrt])"), pattern)


def make_sign(keywords: Iterable[str]) -> str:
    """Of a rule whose matches have one of these words near them: words cost next to nothing, sentences do.

    A blank in one is that of patterns: behind a word it keeps longer words out.
    """
    words = "|".join(f"{_BETWEEN}+".join(map(re.escape, keyword.split(" "))) for keyword in keywords)
    return f"(?i:{words})" if words.isascii() else f"(?:{words})"


def _spell(sign: str, rest: str, edge: str) -> str:
    match sign:
        case " ":
            return f"{_BETWEEN}+"
        case " ?":
            return f"{_BETWEEN}*"
        case "~":
            return rest
        case r"\b":
            return edge
        case _:
            return sign
