"""What is wrong with a structured policy, as places and messages for people.

Reads no text: `load` gives each place its line. Turns the error tree of cattrs flat.

Rule: every problem is told, not just the first; of a flood no more than anybody reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs
from cattrs import (
    AttributeValidationNote,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
)

from trio_egress.texts.faults import Fault, Faults, find_nearest, hint_nearest, show
from trio_egress.texts.positions import Path
from trio_egress.values import frozen

UNKNOWN_MAX = 100
"""Unknown keys of one table that are told; whoever made more of them didn't misspell."""


@frozen
class Table:
    """What messages say of a table: where it stands in the file, and how each required key is written."""

    place: str
    examples: Mapping[str, str]


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
