"""What is wrong in a text, said of a path into it; and as problems at their places, for people.

Rule 1: what was got is shown short, and where a right spelling is near, it is named.
Rule 2: every problem of a text is told, up to a bound, in the text's order, and fit for a terminal.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from trio_egress.errors import Problem
from trio_egress.texts.positions import Path, Reading, Unreadable
from trio_egress.values import frozen

PROBLEMS_MAX = 50
LINE_CHARS = 200
MESSAGE_CHARS = 500
SHOWN_CHARS = 60
NEAR = 0.7
"""As difflib measures: a swapped pair of letters in a word of four is near (0.75), half a word is not."""


@frozen
class Fault:
    """One thing wrong with the value at `path`, or, with `on_key`, with the last key of the path.

    `secret`: somebody may have written a password there, and the line is not shown.
    """

    path: Path
    message: str
    on_key: bool = False
    secret: bool = False


class Faults(ValueError):
    """Raised by what reads a value in which several things can be wrong; paths are relative to the value."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        super().__init__()
        self.faults = tuple(faults)


def show(value: object) -> str:
    """A value, in a few characters; never a container's content."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            clipped = value if len(value) <= SHOWN_CHARS else f"{value[:SHOWN_CHARS]}…"
            return '"' + "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in clipped) + '"'
        case int() | float():
            return str(value) if abs(value) < 1e15 else "a number"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return "a date or time"


def find_nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of the words that the writer may have meant."""
    near = difflib.get_close_matches(word[:SHOWN_CHARS], list(words), 1, NEAR)
    return near[0] if near else None


def hint_nearest(word: str, words: Iterable[str]) -> str:
    """`; did you mean "x"?`, or nothing where no word is near."""
    near = find_nearest(word, words)
    return f"; did you mean {show(near)}?" if near else ""


def place_faults(shown: str, text: str, reading: Reading, faults: Iterable[Fault]) -> tuple[Problem, ...]:
    """The faults of one file as problems, in the order of its text, and no more than people read."""
    lines = _split_lines(text)
    positions, reword = reading.positions, reading.reword
    placed = sorted(
        (
            positions.place_key(fault.path) if fault.on_key else positions.place_value(fault.path),
            reword(fault.message),
            fault.secret,
        )
        for fault in faults
    )
    problems = [
        _render(shown, line, column, message, "" if secret else lines[line - 1])
        for (line, column), message, secret in placed[:PROBLEMS_MAX]
    ]
    if left := len(placed) - len(problems):
        line, column = placed[PROBLEMS_MAX][0]
        problems.append(Problem(shown, line, column, f"and {left} more problems from here on"))
    return tuple(problems)


def place_unreadable(shown: str, text: str, error: Unreadable) -> Problem:
    line = _split_lines(text)[error.line - 1]
    return _render(shown, error.line, error.column, error.message, line)


def _render(shown: str, line: int, column: int, message: str, source_line: str) -> Problem:
    """A problem fit for a terminal: no control characters, no line so long that the caret is lost."""
    clipped = _clean(source_line[:LINE_CHARS]) if column <= LINE_CHARS else ""
    return Problem(shown, line, column, _clean(message[:MESSAGE_CHARS]), clipped)


def _clean(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _split_lines(text: str) -> list[str]:
    """Lines as TOML has them, not as `str.splitlines` does: U+2028 in a string ends no line."""
    return [line.removesuffix("\r") for line in text.split("\n")]
