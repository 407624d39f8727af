"""The usual forms of a line: forms that were read in full before, and are now read by one regular expression each.

Nothing is judged here that `line.py` would judge otherwise: an expression is made of the same tables, matches only
lines that fit them in their one spelling, and what it does not match is read in full. It is speed alone.

Rule 1: only lines without an escape, markup, control or other character that has a second spelling are looked at.
Rule 2: bounded: FORMS are known at most, each learned after SEEN lines of its form.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from trio_egress.evidence.facts import EXT_NAME, FACTS
from trio_egress.evidence.members import Presence, Shape
from trio_egress.evidence.receipt import EXT_REF_PREFIX
from trio_egress.evidence.receipt_form import HEX_64, RECORD
from trio_egress.evidence.sign import SIGNATURE_PREFIX

FORMS = 64
"""A log of one run has some twenty."""

FORM_BYTES = 4_096
"""Longest line whose form is learned; forms are kept, and hostile lines are long."""

KEYS = 4 * FORMS
"""Forms that are counted before they are made, and places of those that are."""

SEEN = 8
"""Making an expression costs as much as reading a hundred lines in full."""

_ODD = bytes([*range(0x20), *b"\\<>&", *range(0x7F, 0x100)])
_MAY_BE_ZERO = frozenset({Presence.PRESENT, Presence.FREE})

Key = tuple[tuple[str, ...], ...]
Read = Callable[[str], object]
Piece = tuple[str, "Read | None"]
"""The expression of a value, and how to read it where it is not the text itself. Without a group it is one value."""

_INTEGER: Piece = ("(0|-?[1-9][0-9]{0,17})", int)
_TEXT: Piece = ('"([^"]*)"', None)
_TEXTS: Piece = (r'(\["[^"]*"(?:,"[^"]*")*\])', json.loads)
_NO_ITEMS: Piece = (r"\[\]", None)
_REF: Piece = (rf'\["({EXT_REF_PREFIX}{HEX_64.pattern})"\]', lambda text: [text])


class Form(NamedTuple):
    """One expression. Its groups: the record, its values, the signature, the key, the ext, its values.

    `end` is how many groups come before the signature; `reads` are of values that are not the text as it stands;
    `fixed` are those that are the same in all lines of this form.
    """

    match: Callable[[str], re.Match[str] | None]
    end: int
    names: tuple[str, ...]
    reads: tuple[tuple[str, Read], ...]
    fixed: Mapping[str, object]
    fact_names: tuple[str, ...]
    fact_reads: tuple[tuple[str, Read], ...]
    fact_fixed: Mapping[str, object]


class UsualForms:
    """Forms by how many commas stand in a line, which tells most of them apart quickly."""

    def __init__(self) -> None:
        self._forms: dict[int, list[Form]] = {}
        self._made: dict[Key, Form | None] = {}
        self._seen: Counter[Key] = Counter()

    def find(self, raw: bytes) -> tuple[Form, re.Match[str]] | None:
        """The form of a line; None says nothing of it."""
        if len(raw.translate(None, _ODD)) != len(raw):
            return None
        text = raw.decode("ascii")
        for form in self._forms.get(raw.count(b","), ()):
            found = form.match(text)
            if found is not None:
                return form, found
        return None

    def learn(self, raw: bytes, record: Mapping[str, object], facts: object) -> None:
        """Take notice of a line that was read in full and fits in every respect."""
        if not isinstance(facts, dict) or len(raw) > FORM_BYTES or len(raw.translate(None, _ODD)) != len(raw):
            return
        key = (tuple(record), tuple(facts), tuple(type(value).__name__ for value in facts.values()))
        if key not in self._made:
            if len(self._seen) < KEYS or key in self._seen:
                self._seen[key] += 1
            if self._seen[key] < SEEN or len(self._made) == FORMS:
                return
            self._made[key] = _make_form(record, facts)
        form, alike = self._made[key], self._forms.setdefault(raw.count(b","), [])
        # Commas may stand in texts too, so that a form has several places.
        if form is not None and form not in alike and sum(map(len, self._forms.values())) < KEYS:
            alike.append(form)


def _make_form(record: Mapping[str, object], facts: Mapping[str, object]) -> Form | None:
    members = {name: piece for name, value in record.items() if (piece := _find_member(name, value))}
    known = {name: piece for name, value in facts.items() if (piece := _find_fact(name, value))}
    if len(members) < len(record) or len(known) < len(facts):
        return None
    expression = (
        rf'\{{"version":1,"action_record":({_join(members)}),"signature":"{SIGNATURE_PREFIX}([0-9a-f]{{128}})",'
        rf'"signer_key":"({HEX_64.pattern})","ext":(\{{"{EXT_NAME}":{_join(known)}\}})\}}'
    )
    names, fact_names = _list_taken(members), _list_taken(known)
    return Form(
        re.compile(expression).fullmatch,
        len(names) + 1,
        names,
        _list_reads(members),
        {name: record[name] for name in record if name not in names},
        fact_names,
        _list_reads(known),
        {name: facts[name] for name in facts if name not in fact_names},
    )


def _join(pieces: Mapping[str, Piece]) -> str:
    inner = ",".join(f'"{re.escape(name)}":{pattern}' for name, (pattern, _) in pieces.items())
    return rf"\{{{inner}\}}"


def _list_taken(pieces: Mapping[str, Piece]) -> tuple[str, ...]:
    return tuple(name for name, (pattern, _) in pieces.items() if "(" in pattern)


def _list_reads(pieces: Mapping[str, Piece]) -> tuple[tuple[str, Read], ...]:
    return tuple((name, read) for name, (pattern, read) in pieces.items() if read and "(" in pattern)


def _find_member(name: str, value: object) -> Piece | None:
    member = RECORD.by_name[name]
    if value == [] and member.shape.fits([]):
        return _NO_ITEMS
    if name == "precedent_refs" and type(value) is list and len(value) == 1:
        return _REF
    if member.presence not in _MAY_BE_ZERO and member.shape.fits(0):
        return None
    return _find_piece(member.shape, value)


def _find_fact(name: str, value: object) -> Piece | None:
    if name in FACTS:
        return _find_piece(FACTS[name], value)
    if type(value) is int:
        return _INTEGER
    if type(value) is str:
        return _TEXT
    if type(value) is list and value and all(type(item) is str for item in value):
        return _TEXTS
    return _NO_ITEMS if value == [] else None


def _find_piece(shape: Shape, value: object) -> Piece | None:
    return (shape.pattern, int if type(value) is int else None) if shape.pattern else None
