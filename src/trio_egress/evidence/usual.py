"""The usual forms of a line: forms that were read in full before, and are now read by one regular expression each.

Nothing is judged here that `line.py` would judge otherwise: an expression is made of the same tables, matches only
lines that fit them in their one spelling, and what it does not match is read in full. It is speed alone.

Rule 1: no expression takes an escape, markup, a control or another character that has a second spelling.
Rule 2: what most lines of a log share (who ran, what was decided) is a part of the expression, and not read again.
Rule 3: bounded: FORMS are known at most, each learned after SEEN lines of its form; for one more all are forgotten.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from trio_egress.evidence.facts import EXT_NAME, FACTS
from trio_egress.evidence.members import PLAIN, Presence, Shape
from trio_egress.evidence.receipt import EXT_REF_PREFIX
from trio_egress.evidence.receipt_form import HEX_64, RECORD
from trio_egress.evidence.sign import SIGNATURE_PREFIX

FORMS = 256
"""A log of one run has some thirty under each of its policies and keys."""

FORM_BYTES = 4_096
"""Longest line whose form is learned; forms are kept, and hostile lines are long."""

KEYS = 4 * FORMS
"""Forms that are counted before they are made."""

SEEN = 8
"""Making an expression costs as much as reading some twenty lines in full."""

_KIND, _KIND_END = b',"verdict":', b',"chain_prev_hash":'
"""Between them stands what tells most forms apart: verdict, phase, transport, layer, method."""

_ODD = bytes([*range(0x20), *b"\\<>&", *range(0x7F, 0x100)])
_MAY_BE_ZERO = frozenset({Presence.PRESENT, Presence.FREE})
_SHARED = frozenset(
    {
        *(
            "action_type",
            "principal",
            "actor",
            "side_effect_class",
            "reversibility",
            "policy_hash",
            "run_nonce",
        ),
        *itertools.takewhile(
            lambda name: name != "chain_prev_hash",
            itertools.dropwhile(lambda name: name != "verdict", RECORD.by_name),
        ),
    }
)

Key = tuple[object, ...]
Read = Callable[[str], object]
Piece = tuple[str, "Read | None"]
"""The expression of a value, and how to read it where it is not the text itself. Without a group it is one value."""

_INTEGER: Piece = ("(0|-?[1-9][0-9]{0,17})", int)
_TEXT: Piece = (f'"({PLAIN}*)"', None)
_TEXTS: Piece = (rf'(\["{PLAIN}*"(?:,"{PLAIN}*")*\])', json.loads)
_NO_ITEMS: Piece = (r"\[\]", None)
_REF: Piece = (rf'\["({EXT_REF_PREFIX}{HEX_64.pattern})"\]', lambda text: [text])


class Form(NamedTuple):
    """One expression. Its groups: values of the record, the signature, values of the facts.

    `names` are of the first of them, and `signature` is how many these are. `record` and `facts` are those of a line of
    this form, in which only these values differ; `reads` are of values that are not the text as it stands.
    """

    match: Callable[[str], re.Match[str] | None]
    signature: int
    signer_key: str
    record: dict[str, object]
    names: tuple[str, ...]
    reads: tuple[tuple[str, Read], ...]
    facts: dict[str, object]
    fact_names: tuple[str, ...]
    fact_reads: tuple[tuple[str, Read], ...]


class UsualForms:
    """Forms by what stands in the middle of a line, which tells most of them apart quickly."""

    def __init__(self) -> None:
        self._forms: dict[bytes, list[Form]] = {}
        self._made: set[Key] = set()
        self._seen: Counter[Key] = Counter()

    def find(self, raw: bytes) -> tuple[Form, re.Match[str]] | None:
        """The form of a line; None says nothing of it."""
        forms = self._forms.get(_find_kind(raw))
        if forms is None:
            return None
        text = raw.decode("latin-1")  # as long as the bytes, and no expression takes what is not ASCII
        for form in forms:
            found = form.match(text)
            if found is not None:
                if form is not forms[0]:  # the next is probably of it too
                    forms.remove(form)
                    forms.insert(0, form)
                return form, found
        return None

    def learn(self, raw: bytes, record: Mapping[str, object], facts: object, signer_key: str) -> None:
        """Take notice of a line that was read in full and fits in every respect."""
        if not isinstance(facts, dict) or len(raw) > FORM_BYTES or len(raw.translate(None, _ODD)) != len(raw):
            return
        kind = _find_kind(raw)
        types = tuple(type(value).__name__ for value in facts.values())
        shared = tuple(value for name, value in record.items() if name in _SHARED and type(value) is str)
        key = (kind, tuple(record), tuple(facts), types, shared, signer_key)
        if key in self._made:
            return
        self._seen[key] += 1
        if self._seen[key] == SEEN:
            del self._seen[key]
            if len(self._made) == FORMS:
                self._made.clear()
                self._forms.clear()
            self._made.add(key)
            form = _make_form(record, facts, signer_key)
            if form is not None:
                self._forms.setdefault(kind, []).append(form)
        if len(self._seen) > KEYS:
            self._seen.clear()


def _find_kind(raw: bytes) -> bytes:
    at = raw.find(_KIND)
    return raw[at : raw.find(_KIND_END, at)]


def _make_form(record: Mapping[str, object], facts: Mapping[str, object], signer_key: str) -> Form | None:
    members = {name: piece for name, value in record.items() if (piece := _find_member(name, value))}
    known = {name: piece for name, value in facts.items() if (piece := _find_fact(name, value))}
    if len(members) < len(record) or len(known) < len(facts):
        return None
    expression = (
        rf'\{{"version":1,"action_record":{_join(members)},"signature":"{SIGNATURE_PREFIX}([0-9a-f]{{128}})",'
        rf'"signer_key":"{signer_key}","ext":\{{"{EXT_NAME}":{_join(known)}\}}\}}'
    )
    names = _list_taken(members)
    return Form(
        re.compile(expression).fullmatch,
        len(names),
        signer_key,
        dict(record),
        names,
        _list_reads(members),
        dict(facts),
        _list_taken(known),
        _list_reads(known),
    )


def _join(pieces: Mapping[str, Piece]) -> str:
    inner = ",".join(f'"{re.escape(name)}":{pattern}' for name, (pattern, _) in pieces.items())
    return rf"\{{{inner}\}}"


def _list_taken(pieces: Mapping[str, Piece]) -> tuple[str, ...]:
    return tuple(name for name, (pattern, _) in pieces.items() if _has_group(pattern))


def _list_reads(pieces: Mapping[str, Piece]) -> tuple[tuple[str, Read], ...]:
    return tuple((name, read) for name, (pattern, read) in pieces.items() if read and _has_group(pattern))


def _has_group(pattern: str) -> bool:
    """Whether it takes a value: a parenthesis in a shared text is none."""
    return re.compile(pattern).groups > 0


def _find_member(name: str, value: object) -> Piece | None:
    member = RECORD.by_name[name]
    if name in _SHARED and type(value) is str:
        return f'"{re.escape(value)}"', None
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
