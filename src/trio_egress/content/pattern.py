"""Patterns of RE2's syntax over bytes, as detectors have them: what they mean, and that they can be compiled.

Rule 1: RE2 alone says what a pattern matches, and where; a faster engine may only say that it can't be in these bytes.
Rule 2: a pattern of ASCII is one of bytes: `.` and `[^…]` take any byte, `\\xHH` is that byte, `(?i)` folds ASCII.
        One with other characters, `\\p{…}` or `\\x{…}` is one of text in UTF-8: broken UTF-8 matches nothing in it.
Rule 3: what can't be compiled is a PolicyError that names each detector's file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import re2

from trio_egress.errors import PolicyError, Problem

MEMORY_BYTES = 32 << 20
"""Of one pattern's program and its automaton (RE2's own default: 8 MiB)."""

_TEXT_ESCAPES = ("\\p", "\\P", "\\x{")

_FLAGS = r"\A(?:\(\?[a-zA-Z]+\))?"
_BOUNDARY = re.compile(rf"(?P<before>{_FLAGS}|[(|]|\(\?[a-zA-Z]*:)\\b(?!\|\\\\\[nrt\]\))")
"""At the beginning of the pattern, a group or an alternative; not where the pattern minds escapes itself."""

_OTHER = r"\[\^[^\]\\[]*\]"
_BEFORE = re.compile(rf"(?P<before>{_FLAGS})(?:\(\?:(?:\^\|{_OTHER}|{_OTHER}\|\^)\)|{_OTHER})(?![*+?{{])")
"""At the beginning of the pattern, what only says that something begins."""


def is_of_text(pattern: str) -> bool:
    """Whether it is of characters, not of bytes."""
    return not pattern.isascii() or any(escape in pattern for escape in _TEXT_ESCAPES)


def loosen(pattern: str) -> str:
    """The pattern without what only says that a match begins here: it matches where the pattern does, and elsewhere."""
    if r"\Q" in pattern:
        return pattern
    return _BOUNDARY.sub(r"\g<before>", _BEFORE.sub(r"\g<before>", pattern))


def make_options(pattern: str) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.UTF8 if is_of_text(pattern) else re2.Options.Encoding.LATIN1
    options.max_mem = MEMORY_BYTES
    options.log_errors = False
    return options


def compile_pattern(pattern: str, source: str) -> Any:
    """A compiled pattern. `source`: where it stands, as `file:line`."""
    try:
        return re2.compile(pattern.encode(), make_options(pattern))
    except (re2.error, UnicodeEncodeError) as error:
        raise PolicyError((make_problem(pattern, source, error),)) from error


def check_patterns(patterns: Iterable[tuple[str, str]]) -> None:
    """Compile each (pattern, source), and tell of all that can't be."""
    problems: list[Problem] = []
    for pattern, source in patterns:
        try:
            compile_pattern(pattern, source)
        except PolicyError as error:
            problems += error.problems
    if problems:
        raise PolicyError(tuple(problems))


def make_problem(pattern: str, source: str, error: Exception) -> Problem:
    file, _, line = source.rpartition(":")
    if not (file and line.isdecimal()):
        file, line = source or "detectors", "1"
    shown = pattern if len(pattern) <= 60 else pattern[:57] + "…"
    why = error.args[0] if error.args else error
    said = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
    return Problem(file, int(line), 1, f"the pattern {shown!r} is none that RE2 can compile: {said}")
