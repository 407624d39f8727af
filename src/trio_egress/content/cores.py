"""Of a pattern a part that every match has in it, by which an engine that looks for words is faster.

Rule 1: a part is what stands in a row in the pattern, with its flags: it matches within every match.
Rule 2: what isn't plainly a row is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from trio_egress.content.pattern import is_of_text
from trio_egress.values import frozen

_CLASS = r"\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]"
_COUNT = r"(?:\{\d+(?:,\d*)?\}\??|[*+?]\??)?"
_LEAD = re.compile(rf"(?:\\[bB]|(?:{_CLASS}|\\[dws]){_COUNT})+")
_LITERAL = re.compile(r"(?:[A-Za-z0-9_:=@/ -]|\\[^\w])(?![*?{+])")
_NOT_ALTERNATIVES = re.compile(rf"\\.|{_CLASS}", re.DOTALL)
"""In which a `|` is none."""

_TOKEN = re.compile(rf"\\.|{_CLASS}|.", re.DOTALL)
_FLAGS = re.compile(r"\(\?[a-zA-Z-]+\)")


def find_core(pattern: str) -> str:
    """Of a sentence what stands between two gaps, if it is most of it; else all from the first literal on."""
    if is_of_text(pattern) or r"\Q" in pattern:
        return pattern
    flags = _FLAGS.match(pattern)
    lead = flags[0] if flags else ""
    rest = pattern[len(lead) :]
    if _FLAGS.search(rest) is None:
        branches = list(_list_branches(rest))
        if any(len(branch.parts) > 1 for branch in branches):
            return lead + "|".join(branch.find_most() for branch in branches)
    return _find_words(pattern)


def _find_words(pattern: str) -> str:
    lead = _LEAD.match(pattern)
    if lead is None or "[" not in lead[0] or "|" in _NOT_ALTERNATIVES.sub("", pattern):
        return pattern
    rest = pattern[lead.end() :]
    return rest if _LITERAL.match(rest) else pattern


@frozen
class _Branch:
    """One of the alternatives that a pattern is made of, and what of it stands between gaps."""

    whole: str
    parts: list[str]

    def find_most(self) -> str:
        longest = max(self.parts, key=len)
        return longest if 2 * len(longest) > sum(map(len, self.parts)) else self.whole


def _list_branches(pattern: str) -> Iterator[_Branch]:
    """A gap is a group of whatever else than something, any number of times."""
    depth = first = begin = group = 0
    parts: list[str] = []
    for token in _TOKEN.finditer(pattern):
        at = token.start()
        match token[0]:
            case "(":
                group = group if depth else at
                depth += 1
            case ")":
                depth -= 1
            case "*" if depth == 0 and pattern[at - 1] == ")" and pattern.startswith("(?:[^", group):
                parts.append(pattern[begin:group])
                begin = at + 2 if pattern.startswith("?", at + 1) else at + 1
            case "|" if depth == 0:
                yield _Branch(pattern[first:at], [*parts, pattern[begin:at]])
                parts, first, begin = [], at + 1, at + 1
    yield _Branch(pattern[first:], [*parts, pattern[begin:]])
