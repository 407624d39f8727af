"""Stencils: what receipts of one kind share is rendered once, and what they differ in is put into its places.

Nothing is rendered here that `receipt.py` and `facts.py` would render otherwise: a stencil is cut from what they have
rendered, and takes only values that have one spelling; all else they render. It is speed alone.

Rule 1: a text that a stencil takes is printable ASCII without `"`, `\\`, `<`, `>` and `&`: the same in both byte forms.
Rule 2: a stencil that does not give back the bytes that it was cut from is none.
Rule 3: bounded: STENCILS of each sort are known at most; for one more all are forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

from trio_egress.evidence.canonical import is_plain
from trio_egress.evidence.facts import EXT_NAME, EXT_VERSION, FACT_CHARS, FACTS, PORT, SAFE_INTEGER
from trio_egress.evidence.members import TEXT, TEXTS, UINT64
from trio_egress.evidence.receipt import TARGET_CHARS, Draft

STENCILS = 256
"""A run has some thirty of each sort under one policy."""

ITEMS = 64
"""Longest list of texts that a stencil takes, and most facts: so what it renders stays within the budget of `ext`."""

PORT_MAX = 65535

_find_kind: Callable[[Draft], tuple[str, ...]] = attrgetter(
    "action_type",
    "side_effect_class",
    "reversibility",
    "verdict",
    "phase",
    "transport",
    "method",
    "layer",
    "pattern",
    "severity",
)

# A quote within a text has a backslash before it, so nothing but a member begins like this, and the first one is it.
_RECORD = re.compile(
    r'(\{"version":1,"action_id":")[^"]*(","action_type":.*?,"timestamp":")[^"]*(".*?,"target":")[^"]*'
    r'(".*?,"chain_prev_hash":")[^"]*(","chain_seq":)[0-9]+(.*?,"precedent_refs":\[")[^"]*("\]\})'
)


class _Ext(NamedTuple):
    """`form` has a place for each fact; where in the facts texts, numbers, ports and lists of texts stand."""

    form: str
    texts: Callable[[Sequence[object]], Sequence[str]]
    numbers: Callable[[Sequence[object]], Sequence[int]]
    ports: tuple[int, ...]
    lists: tuple[int, ...]


class Stencils:
    """Those of one chain, for as long as what each of its receipts has stays the same."""

    def __init__(self) -> None:
        self._exts: dict[tuple[object, ...], _Ext | None] = {}
        self._records: dict[tuple[str, ...], tuple[str, ...] | None] = {}

    def forget_records(self) -> None:
        """What each receipt has is another from here on."""
        self._records.clear()

    def fill_ext(self, facts: Mapping[str, object]) -> bytes | None:
        """The stored `ext` of these facts; None where it is to be rendered in full."""
        values: Sequence[object] = tuple(facts.values())
        ext = self._exts.get((*facts, *map(type, values)))
        if ext is None:
            return None
        texts = ext.texts(values)
        if ext.lists:
            values, texts = list(values), list(texts)
            for at in ext.lists:
                items: Any = values[at]
                if not 0 < len(items) <= ITEMS or any(type(item) is not str for item in items):
                    return None
                texts += items
                values[at] = '["' + '","'.join(items) + '"]'
            values = tuple(values)
        joined, numbers = "".join(texts), ext.numbers(values)
        if len(joined) > FACT_CHARS or not _has_one_spelling(joined):
            return None
        if min(numbers) < 0 or max(numbers) > SAFE_INTEGER:
            return None
        if any(values[at] > PORT_MAX for at in ext.ports):  # type: ignore[operator]
            return None
        return (ext.form % values).encode("ascii")

    def cut_ext(self, facts: Mapping[str, object], stored: bytes) -> None:
        """Learn from an `ext` that was rendered in full."""
        key = (*facts, *map(type, facts.values()))
        if key not in self._exts and len(facts) <= ITEMS:
            _make_room(self._exts)
            self._exts[key] = _cut_ext(facts)
            if self.fill_ext(facts) != stored:
                self._exts[key] = None

    def fill_record(self, draft: Draft, moment: str, before: str, seq: int, ref: str) -> bytes | None:
        """The record of a draft with nothing replaced in it, in both byte forms; None where it is to be rendered in
        full.

        `moment`, `before`, `seq` and `ref`: its members `timestamp`, `chain_prev_hash` and `chain_seq`, and what it
        refers to its `ext` by.
        """
        pieces = self._records.get(_find_kind(draft))
        target = draft.target
        if pieces is None or draft.parent_id or not 0 < len(target) <= TARGET_CHARS:
            return None
        if not _has_one_spelling(target):
            return None
        a, b, c, d, e, f, g = pieces
        return f"{a}{draft.action_id}{b}{moment}{c}{target}{d}{before}{e}{seq}{f}{ref}{g}".encode("ascii")

    def cut_record(self, draft: Draft, moment: str, before: str, seq: int, ref: str, stored: bytes) -> None:
        """Learn from a record that was rendered in full."""
        key = _find_kind(draft)
        if key in self._records or not is_plain(stored):
            return
        match = _RECORD.fullmatch(stored.decode("ascii"))
        if match is not None:
            _make_room(self._records)
            self._records[key] = match.groups()
            if self.fill_record(draft, moment, before, seq, ref) != stored:
                del self._records[key]


def _has_one_spelling(text: str) -> bool:
    """Whether nothing in it is ever escaped."""
    return (
        len(encode_basestring_ascii(text)) == len(text) + 2
        and "<" not in text
        and ">" not in text
        and "&" not in text
    )


def _make_room(known: dict[Any, Any]) -> None:
    if len(known) >= STENCILS:
        known.clear()


def _cut_ext(facts: Mapping[str, object]) -> _Ext | None:
    form, texts, numbers, ports, lists = "", [], [], [], []
    for at, (name, value) in enumerate(facts.items()):
        shape = FACTS.get(name)
        if not _has_one_spelling(name) or name == "v":
            return None
        if type(value) is str and shape in (None, TEXT):
            texts.append(at)
            form += f',"{name.replace("%", "%%")}":"%s"'
        elif type(value) is int and shape in (None, UINT64, PORT):
            numbers.append(at)
            ports += [at] if shape is PORT else []
            form += f',"{name.replace("%", "%%")}":%d'
        elif type(value) is list and shape in (None, TEXTS):
            lists.append(at)
            form += f',"{name.replace("%", "%%")}":%s'
        else:
            return None
    if not texts or not numbers:
        return None
    whole = f'{{"{EXT_NAME}":{{"v":{EXT_VERSION}{form}}}}}'
    # Of one place alone itemgetter gives no tuple.
    return _Ext(
        whole, itemgetter(*texts, texts[0]), itemgetter(*numbers, numbers[0]), tuple(ports), tuple(lists)
    )
