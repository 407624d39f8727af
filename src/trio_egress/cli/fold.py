"""Text for a terminal that is narrower than it: folded between words. In a pipe nothing is folded.

Rule: a word is never cut, so that a key or a path can be copied whole.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap

_LEAD = re.compile(r" *(?:- |[a-z]+(?: [a-z]+)?:? {2,})?")
"""What the rest of a line stands below: a bullet, or a name and its column."""


def find_columns() -> int | None:
    """Of the terminal that standard output is; None where it is none."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else None
    except (OSError, ValueError):
        return None


def fold(text: str, columns: int | None) -> str:
    """Each line in `columns`, where there are any."""
    return text if not columns else "\n".join(_fold_line(line, columns) for line in text.split("\n"))


def _fold_line(line: str, columns: int) -> str:
    if len(line) <= columns:
        return line
    found = _LEAD.match(line)
    if found and " " not in line[found.end() :]:
        return line  # one long word: better cut by the terminal than apart from its name
    indent = " " * min(found.end() if found else 0, columns // 3)
    return textwrap.fill(
        line,
        columns,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        replace_whitespace=False,
    )
