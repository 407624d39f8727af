"""What is wrong with a structured policy, as places and messages for people.

Reads no text: `load` gives each place its line. Turns the error tree of cattrs flat.

Rule 1: every problem is told, not just the first; of a flood no more than anybody reads.
Rule 2: what was got is shown short, and where a right spelling is near, it is named.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping

import attrs
from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
)

from trio_egress.policy.positions import Path

SHOWN_CHARS = 60
UNKNOWN_MAX = 100
"""Unknown keys of one table that are told; whoever made more of them didn't misspell."""

NEAR = 0.7
"""As difflib measures: a swapped pair of letters in a word of four is near (0.75), half a word is not."""


@attrs.frozen
class Fault:
    """One thing wrong with the value at `path`, or, with `on_key`, with the last key of the path.

    `secret`: somebody may have written a password there, and the line is not shown.
    """

    path: Path
    message: str
    on_key: bool = False
    secret: bool = False


@attrs.frozen
class Table:
    """What messages say of a table: where it stands in the file, and how each required key is written."""

    place: str
    examples: Mapping[str, str]


class Faults(ValueError):
    """Raised by what reads a value in which several things can be wrong; paths are relative to the value."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        super().__init__()
        self.faults = tuple(faults)


def show(value: object) -> str:
    """A value from a policy, in a few characters; never a container's content."""
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


def find_faults(error: Exception, tables: Mapping[type, Table], path: Path = ()) -> Iterator[Fault]:
    """Everything that an error of `structure` tells. What is no fault of the policy's is raised again."""
    match error:
        case Faults():
            yield from (attrs.evolve(fault, path=(*path, *fault.path)) for fault in error.faults)
        case ClassValidationError() | IterableValidationError():
            yield from _find_in_group(error, tables, path)
        case ForbiddenExtraKeysError():
            for key in sorted(error.extra_fields)[:UNKNOWN_MAX]:
                yield Fault((*path, key), _explain_unknown(key, error.cl, tables), on_key=True)
        case ValueError():
            yield Fault(path, str(error))
        case _:
            raise error


def _find_in_group(
    group: ClassValidationError | IterableValidationError, tables: Mapping[type, Table], path: Path
) -> Iterator[Fault]:
    noted, others = group.group_exceptions()
    for error in others:
        yield from find_faults(error, tables, path)
    misspelt = {find_nearest(key, _names(group.cl)) for key in _find_unknown(others)}
    for error, note in noted:
        step = key_of(note.name) if isinstance(note, AttributeValidationNote) else note.index
        if not isinstance(error, KeyError):
            yield from find_faults(error, tables, (*path, step))
        elif step not in misspelt:
            table = tables[group.cl]
            yield Fault(path, f'the key "{step}" is missing {table.place}; write {table.examples[str(step)]}')


def _find_unknown(errors: Iterable[Exception]) -> Iterator[str]:
    for error in errors:
        if isinstance(error, ForbiddenExtraKeysError):
            yield from sorted(error.extra_fields)[:UNKNOWN_MAX]


def _explain_unknown(key: str, table: type, tables: Mapping[type, Table]) -> str:
    said = f"unknown key {show(key)} {tables[table].place}"
    own = _names(table)
    if hint := hint_nearest(key, own):
        return said + hint
    for other, table_of_key in tables.items():
        if key in _names(other):
            return f"{said}; it belongs {table_of_key.place}"
    return f"{said}; the keys there are {', '.join(own)}"


def key_of(field: str) -> str:
    """The key that a field stands for; a field whose key is a word of Python's has `_` behind it (PEP 8)."""
    return field.removesuffix("_")


def _names(table: type) -> list[str]:
    return [key_of(field.name) for field in attrs.fields(table)]
