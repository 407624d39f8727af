"""Values made by trio_egress.values behave as those that attrs makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from trio_egress.values import define, frozen

Make = Callable[..., Any]


def make_pair(make: Make, **options: object) -> type[Any]:
    @make(**options)
    class Pair:
        left: int
        right: tuple[str, ...] = ()
        note: str = attrs.field(default="", eq=False, repr=False)
        table: dict[str, int] = attrs.field(factory=dict, hash=False)

    return Pair


def make_other(make: Make) -> type[Any]:
    @make
    class Nothing:
        pass

    return Nothing


@pytest.mark.parametrize(
    ("ours", "theirs"), [(frozen, attrs.frozen), (define, attrs.define)], ids=["frozen", "define"]
)
@pytest.mark.parametrize(
    "options",
    [{}, {"eq": False}, {"repr": False}, {"kw_only": True}, {"slots": False}, {"order": True}],
    ids=str,
)
def test_they_compare_hash_and_show_themselves_as_attrs_has_it(
    ours: Make, theirs: Make, options: dict[str, object]
) -> None:
    shown = []
    for make in (ours, theirs):
        pair, subclass = make_pair(make, **options), make_pair(make, **options)
        same = [pair(left=1, right=("a",), note=note, table={"x": 1}) for note in ("m", "n")]
        others = [pair(left=2), subclass(left=1, right=("a",)), 1, None]
        facts = [left == right for left in (*same, *others) for right in (*same, *others)]
        hashes = hash(same[0]) == hash(same[1]) if pair.__hash__ is not None else None
        shape = [name for name in ("__slots__", "__dict__") if hasattr(pair, name)]
        said = repr(same[0]) if options.get("repr", True) else ""
        shown.append((facts, hashes, said, shape))
    assert shown[0] == shown[1]


@pytest.mark.parametrize("make", [frozen, define])
def test_one_without_fields_is_like_any_other(make: Make) -> None:
    nothing = make_other(make)
    assert nothing() == nothing()
    assert repr(nothing()) == "Nothing()"


def test_what_is_frozen_stays_so_and_what_is_not_has_no_hash() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        make_pair(frozen)(left=1).left = 2
    with pytest.raises(TypeError, match="unhashable"):
        hash(make_pair(define)(left=1))


def test_one_that_contains_itself_can_be_shown() -> None:
    table: dict[str, Any] = {}
    table["self"] = made = make_pair(frozen)(left=1, table=table)
    assert "..." in repr(made)


def test_a_method_of_its_own_wins() -> None:
    @frozen
    class Own:
        left: int

        def __eq__(self, other: object) -> bool:
            return other == "mine"

        __hash__ = None  # type: ignore[assignment]

        def __repr__(self) -> str:
            return "own"

    assert Own(1) == "mine"
    assert repr(Own(1)) == "own"
