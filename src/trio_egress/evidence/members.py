"""Objects described as tables of members, and everything in which a value differs from its table.

Knows no receipt and no packet: those are tables elsewhere.

Rule 1: an object that differs from its table in any way is a misfit, and never raises.
Rule 2: what is told of a value is short and printable, whatever the value is.
"""

from __future__ import annotations

import enum
import itertools
import re
from collections.abc import Callable, Mapping

import attrs

from trio_egress.values import frozen

UINT64_MAX = 2**64 - 1

PLAIN = r"[ !#-%'-;=?-\[\]-~]"
"""A character of a JSON text that has no second spelling: none of `"` `\\` `<` `>` `&`, printable ASCII."""

MISFITS = 8
"""How many misfits of one object are told: enough to see what is wrong."""

_KNOWN_ORDERS = 256


class Presence(enum.Enum):
    FILLED = "always there, never empty"
    PRESENT = "always there, may be empty"
    OPTIONAL = "left out when empty"
    FREE = "may be left out, may be empty"


_REQUIRED = frozenset({Presence.FILLED, Presence.PRESENT})
_EMPTY: tuple[object, ...] = ("", 0, False, None, [], {})
_NEVER_EMPTY = frozenset({Presence.FILLED, Presence.OPTIONAL})


@frozen(eq=False)
class Shape:
    """What a value must be, and the words for it. `table` is that of an object.

    `pattern` is a regular expression for JSON texts of such values, which may leave some out. Its one group is the
    value, and without one there is only one value. It is for text of PLAIN characters alone (usual.py). Most have none.
    """

    expected: str
    fits: Callable[[object], bool]
    table: Table | None = None
    pattern: str = ""


@frozen(eq=False)
class Member:
    """A member; `fits` says whether a value may stand there."""

    name: str
    shape: Shape
    presence: Presence
    fits: Callable[[object], bool] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        shape_fits = self.shape.fits
        # Most shapes take no empty value anyway, and need no second look.
        exact = self.presence not in _NEVER_EMPTY or not any(map(shape_fits, _EMPTY))
        fits = shape_fits if exact else lambda value: bool(value) and shape_fits(value)
        object.__setattr__(self, "fits", fits)


@frozen(eq=False)
class Table:
    """The members of one kind of object, in canonical order (which only matters where `ordered`)."""

    members: tuple[Member, ...]
    ordered: bool = True
    by_name: Mapping[str, Member] = attrs.field(init=False)
    _known: dict[tuple[str, ...], list[Callable[[object], bool]]] = attrs.field(init=False, factory=dict)

    @by_name.default
    def _name_members(self) -> Mapping[str, Member]:
        return {member.name: member for member in self.members}

    def order(self, values: Mapping[str, object]) -> dict[str, object]:
        """`values` in canonical order, without the OPTIONAL ones that are empty; all others must be there."""
        return {
            member.name: values[member.name]
            for member in self.members
            if member.presence in _REQUIRED or values.get(member.name)
        }

    def find_misfits(self, raw: object, place: str = "") -> list[Misfit]:
        """In what `raw` differs from this table (up to MISFITS); `place` is the path before its names."""
        if type(raw) is not dict:
            return [Misfit("member.type", place.rstrip(".") or "receipt", describe(raw), "an object")]
        names = tuple(raw)
        fits = self._known.get(names)
        if fits is None:
            misfits = self._find_misplaced(names, place)
            if misfits:
                return (misfits + self._find_values(raw, place))[:MISFITS]
            # The same few orders of members come again and again: each is judged once.
            fits = [self.by_name[name].fits for name in names]
            if len(self._known) < _KNOWN_ORDERS:
                self._known[names] = fits
        for fit, value in zip(fits, raw.values(), strict=True):
            if not fit(value):
                return self._find_values(raw, place)[:MISFITS]
        return []

    def _find_values(self, raw: Mapping[str, object], place: str) -> list[Misfit]:
        misfits: list[Misfit] = []
        for name, value in raw.items():
            if name in self.by_name and len(misfits) < MISFITS:
                misfits += _find_value_misfits(self.by_name[name], value, place)
        return misfits

    def _find_misplaced(self, names: tuple[str, ...], place: str) -> list[Misfit]:
        misfits = [
            Misfit("member.unknown", place + _name(name), "a member of this name", "no such member")
            for name in names
            if name not in self.by_name
        ]
        standing = set(names)
        misfits += [
            Misfit("member.missing", place + member.name, "nothing", member.shape.expected)
            for member in self.members
            if member.presence in _REQUIRED and member.name not in standing
        ]
        order = {name: index for index, name in enumerate(self.by_name)}
        known = [name for name in names if name in order] if self.ordered else []
        for before, after in itertools.pairwise(known):
            if order[before] > order[after]:
                misfits.append(Misfit("member.order", place + after, f"after {before}", f"before {before}"))
        return misfits


@frozen
class Misfit:
    """One way in which an object is not what its table says. `code` is one of verify's stable codes."""

    code: str
    place: str
    found: str
    expected: str


def _is_text(value: object) -> bool:
    return type(value) is str


def is_texts(value: object) -> bool:
    return type(value) is list and all(type(item) is str for item in value)


def is_uint64(value: object) -> bool:
    return type(value) is int and 0 <= value <= UINT64_MAX


def one_of(words: frozenset[str] | tuple[str, ...]) -> Shape:
    return Shape(
        "one of " + " ".join(sorted(words)),
        lambda value: type(value) is str and value in words,
        pattern=f'"({"|".join(sorted(words))})"',
    )


def matching(pattern: re.Pattern[str], expected: str) -> Shape:
    return Shape(
        expected,
        lambda value: type(value) is str and pattern.fullmatch(value) is not None,
        pattern=f'"({pattern.pattern})"',
    )


def object_of(table: Table) -> Shape:
    return Shape("an object", lambda value: not table.find_misfits(value), table)


TEXT = Shape("text", _is_text, pattern=f'"({PLAIN}+)"')
TEXTS = Shape("a list of text", is_texts)
UINT64 = Shape("an integer from 0 to 2^64-1", is_uint64, pattern="(0|[1-9][0-9]{0,18})")
BOOLEAN = Shape("a boolean", lambda value: type(value) is bool)


def filled(shape: Shape, *names: str) -> tuple[Member, ...]:
    return tuple(Member(name, shape, Presence.FILLED) for name in names)


def present(shape: Shape, *names: str) -> tuple[Member, ...]:
    return tuple(Member(name, shape, Presence.PRESENT) for name in names)


def free(shape: Shape, *names: str) -> tuple[Member, ...]:
    return tuple(Member(name, shape, Presence.FREE) for name in names)


def optional(shape: Shape, *names: str) -> tuple[Member, ...]:
    return tuple(Member(name, shape, Presence.OPTIONAL) for name in names)


def _find_value_misfits(member: Member, value: object, place: str) -> list[Misfit]:
    if member.shape.table is not None:
        inner = member.shape.table.find_misfits(value, f"{place}{member.name}.")
        if inner:
            return inner
    if not member.shape.fits(value):
        return [Misfit("member.type", f"{place}{member.name}", describe(value), member.shape.expected)]
    if not member.fits(value):
        expected = (
            "no such member"
            if member.presence is Presence.OPTIONAL
            else f"{member.shape.expected}, not empty"
        )
        return [Misfit("member.empty", f"{place}{member.name}", describe(value), expected)]
    return []


def _name(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_]{1,64}", name) else describe(name)


def describe(value: object) -> str:
    """A value in a few words, for a finding: its kind and its start."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int():
            return str(value) if abs(value) < 10**40 else "an enormous integer"
        case str():
            return f"{value[:80]!a}..." if len(value) > 80 else f"{value!a}"
        case list():
            return f"a list of {len(value)}"
        case dict():
            return f"an object of {len(value)}"
    return type(value).__name__
