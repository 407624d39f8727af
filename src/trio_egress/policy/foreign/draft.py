"""What a reader of a foreign policy has understood so far: rules, files, and what could not be said exactly.

Rule 1: nothing is dropped in silence: what has no word here becomes a note.
Rule 2: where the other tool allows more than can be said, less is allowed here; the note says what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from trio_egress.policy.destination import parse_destination
from trio_egress.policy.writing import RuleText
from trio_egress.values import define

NOTES_MAX = 200


class Unreadable(ValueError):
    """The file is not what the tool would read; the text says why."""


@define
class Draft:
    """A policy in the making. `write`, `hide`, `protect`: the lists of `[files]`."""

    rules: list[RuleText] = attrs.field(factory=list)
    write: list[str] = attrs.field(factory=list)
    hide: list[str] = attrs.field(factory=list)
    protect: list[str] = attrs.field(factory=list)
    notes: list[str] = attrs.field(factory=list)
    _left_out: int = 0

    def note(self, text: str) -> None:
        """Something that the converted policy does not say, or says differently. Each is told once."""
        if text in self.notes:
            return
        if len(self.notes) == NOTES_MAX:
            self._left_out += 1
        else:
            self.notes.append(text)

    def add(self, destination: str, place: str, **terms: Any) -> None:
        """A rule, unless no rule can say it; `place` is where the other file says it."""
        try:
            parse_destination(destination)
        except ValueError as error:
            self.note(f"{place}: {destination!r} has no rule here: {error}")
            return
        rule = RuleText(destination=destination, **terms)
        if rule not in self.rules:
            self.rules.append(rule)

    def add_with_subdomains(self, domain: str, place: str, port: int | None = None, **terms: Any) -> None:
        """A domain and every name below it, which are two rules here."""
        suffix = "" if port is None else f":{port}"
        for destination in (f"{domain}{suffix}", f"*.{domain}{suffix}"):
            self.add(destination, place, **terms)

    def note_unknown(self, table: Mapping[str, Any], known: Iterable[str], place: str = "") -> None:
        """Keys that no reader knows: a newer version of the tool may mean something by them."""
        for key in sorted(set(map(str, table)) - set(known)):
            self.note(f"{place}{key}: not understood, and not converted")

    def all_notes(self) -> tuple[str, ...]:
        more = (f"and {self._left_out} more that could not be said",) if self._left_out else ()
        return (*self.notes, *more)


def expect_table(value: object, place: str) -> Mapping[str, Any]:
    """A table, or nothing, which is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Unreadable(f"{place} must be a table")
    return value


def expect_texts(value: object, place: str) -> list[str]:
    """A list of texts, or nothing, which is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Unreadable(f"{place} must be a list of texts")
    return value


def is_set(value: object) -> bool:
    """A switch that is on; in YAML it is a text here."""
    return value is True or (isinstance(value, str) and value.lower() in ("true", "yes", "on"))


def is_unset(value: object) -> bool:
    """A switch that is off, and not merely left out."""
    return value is False or (isinstance(value, str) and value.lower() in ("false", "no", "off"))
