"""Tables and misfits, on a small table of its own."""

from __future__ import annotations

import re

import pytest

from trio_egress.evidence.members import (
    BOOLEAN,
    MISFITS,
    TEXT,
    TEXTS,
    UINT64,
    Misfit,
    Shape,
    Table,
    describe,
    filled,
    free,
    matching,
    object_of,
    one_of,
    optional,
    present,
)

INNER = Table((*present(UINT64, "n"), *optional(TEXT, "note")))
TABLE = Table(
    (*filled(TEXT, "a"), *present(UINT64, "b"), *optional(TEXT, "c"), *optional(object_of(INNER), "d"))
)


def _find(raw: object) -> list[tuple[str, str]]:
    return [(misfit.code, misfit.place) for misfit in TABLE.find_misfits(raw, "r.")]


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        ({"a": "x", "b": 0}, []),
        ({"a": "x", "b": 0, "c": "y", "d": {"n": 0}}, []),
        ({"a": "x", "b": 0, "d": {"n": 0, "note": "z"}}, []),
        ({"a": "", "b": 0}, [("member.empty", "r.a")]),
        ({"a": "x", "b": 0, "c": ""}, [("member.empty", "r.c")]),
        ({"a": 5, "b": 0}, [("member.type", "r.a")]),
        ({"a": "x", "b": True}, [("member.type", "r.b")]),
        ({"a": 5, "b": 0, "d": {"n": 1}}, [("member.type", "r.a")]),
        ({"a": "x"}, [("member.missing", "r.b")]),
        ({"b": 0, "a": "x"}, [("member.order", "r.a")]),
        ({"a": "x", "b": 0, "z": 1}, [("member.unknown", "r.z")]),
        ({"a": "x", "b": 0, "z": 1, "c": 5}, [("member.unknown", "r.z"), ("member.type", "r.c")]),
        ({"a": "x", "b": 0, "d": {}}, [("member.missing", "r.d.n")]),
        ({"a": "x", "b": 0, "d": {"n": "1"}}, [("member.type", "r.d.n")]),
        ({"a": "x", "b": 0, "d": {"n": 1, "note": ""}}, [("member.empty", "r.d.note")]),
        ({"a": "x", "b": 0, "d": 5}, [("member.type", "r.d")]),
        (None, [("member.type", "r")]),
        ([], [("member.type", "r")]),
    ],
)
def test_every_difference_from_a_table_is_told_by_its_place(
    raw: object, found: list[tuple[str, str]]
) -> None:
    assert _find(raw) == found
    assert _find(raw) == found  # again, from what is remembered by now


def test_what_is_out_of_order_is_told_with_its_neighbour() -> None:
    assert TABLE.find_misfits({"b": 0, "a": "x"}) == [Misfit("member.order", "a", "after b", "before b")]


def test_an_empty_member_is_told_what_it_should_be() -> None:
    filled_one, optional_one = TABLE.find_misfits({"a": "", "b": 0, "c": ""})
    assert (filled_one.expected, optional_one.expected) == ("text, not empty", "no such member")


@pytest.mark.parametrize(
    ("shape", "fitting", "others"),
    [
        (TEXT, ["", "x"], [None, 5, b"x"]),
        (TEXTS, [[], ["x"]], ["x", [5], ("x",), None]),
        (UINT64, [0, 2**64 - 1], [-1, 2**64, True, 1.0, "1"]),
        (BOOLEAN, [True, False], [0, 1, None]),
        (one_of(("b", "a")), ["a", "b"], ["", "c", ["a"], None]),
        (matching(re.compile("[0-9]+"), "digits"), ["12"], ["", "12\n", "x", 12]),
    ],
)
def test_a_shape_fits_its_values_alone(shape: Shape, fitting: list[object], others: list[object]) -> None:
    assert all(map(shape.fits, fitting))
    assert not any(map(shape.fits, others))


def test_order_puts_members_in_place_and_leaves_empty_ones_out() -> None:
    assert list(TABLE.order({"d": {"n": 1}, "c": "", "b": 0, "a": ""}).items()) == [
        ("a", ""),
        ("b", 0),
        ("d", {"n": 1}),
    ]
    with pytest.raises(KeyError):
        TABLE.order({"a": "x"})


def test_a_name_cannot_steer_a_terminal() -> None:
    assert _find({"a": "x", "b": 0, "\x1b[2J": 1}) == [("member.unknown", r"r.'\x1b[2J'")]


def test_misfits_of_one_object_are_bounded() -> None:
    names = [f"x{n}" for n in range(50)]
    assert len(TABLE.find_misfits(dict.fromkeys(names))) == MISFITS
    table = Table(present(UINT64, *names))
    assert len(table.find_misfits(dict.fromkeys(names))) == MISFITS


def test_where_order_does_not_matter_none_is_asked_for() -> None:
    table = Table((*free(TEXT, "a"), *free(UINT64, "b")), ordered=False)
    assert table.find_misfits({"b": 0, "a": ""}) == []
    assert table.find_misfits({}) == []
    assert [m.code for m in table.find_misfits({"b": -1})] == ["member.type"]


def test_orders_of_members_that_are_remembered_are_bounded() -> None:
    names = [f"m{n}" for n in range(300)]
    table = Table(free(UINT64, *names), ordered=False)
    for name in names:
        assert table.find_misfits({name: 1}) == []
    assert len(table._known) <= 256


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (5, "5"),
        (10**50, "an enormous integer"),
        ("a\n'é", r'''"a\n'\xe9"'''),
        ("x" * 81, "'" + "x" * 80 + "'..."),
        ([1], "a list of 1"),
        ({}, "an object of 0"),
        (1.5, "float"),
    ],
)
def test_a_value_is_told_in_a_few_printable_words(value: object, words: str) -> None:
    assert describe(value) == words
