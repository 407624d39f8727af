"""What several files of one policy say of one thing: one value wherever it is said, and lists added up.

Rule: where two files say different things, the error names both places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from trio_egress.errors import Problem
from trio_egress.model import Action
from trio_egress.policy.part import Part
from trio_egress.policy.rule import Pin
from trio_egress.policy.secret import From
from trio_egress.texts.faults import PROBLEMS_MAX
from trio_egress.texts.positions import Path

Setting = tuple[str, Any, Path]
"""What a file says of something that has one value: what it is called, the value, and where it stands."""


def join_settings(
    parts: Sequence[Part],
    say: Callable[[Part], Iterator[tuple[str, Setting]]],
    problems: list[Problem],
) -> dict[str, Any]:
    """One value for each key; where two files say different things, a problem."""
    said: dict[str, tuple[Part, Setting]] = {}
    for part in parts:
        for key, setting in say(part):
            other, (label, value, path) = said.setdefault(key, (part, setting))
            if setting[1] != value and len(problems) < PROBLEMS_MAX:
                there = other.locate(path)
                message = f"{label} is {_show(setting[1])} here and {_show(value)} at {there}: it can have one value"
                problems.append(part.make_problem(setting[2], message))
    return {key: value for key, (_, (_, value, _)) in said.items()}


def _show(value: object) -> str:
    match value:
        case From():
            return str(value)
        case Pin():
            return value.answer
        case Action():
            return value.value
        case _:
            return repr(value)


def join_lists(
    parts: Sequence[Part],
    table: str,
    key: str,
    read: Callable[[object], tuple[str, ...]],
    problems: list[Problem],
) -> tuple[str, ...] | None:
    """The lists of all files, read as one; None where no file says anything."""
    saying = [part for part in parts if key in part.reading.data.get(table, {})]
    if len(saying) == 0:
        return None
    try:
        return read([item for part in saying for item in part.reading.data[table][key]])
    except ValueError as error:
        problems.append(
            saying[-1].make_problem((table, key), f"{error} (with what other files of the policy say)")
        )
        return None
