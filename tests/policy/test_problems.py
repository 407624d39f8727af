"""What is wrong with a structured policy, in places and words."""

from __future__ import annotations

import datetime

import attrs
import cattrs
import pytest
from cattrs.gen import make_dict_structure_fn, override
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.policy.problems import (
    SHOWN_CHARS,
    UNKNOWN_MAX,
    Fault,
    Faults,
    Table,
    find_faults,
    find_nearest,
    hint_nearest,
    key_of,
    show,
)


@attrs.frozen(kw_only=True)
class Inner:
    colour: str
    size: int = attrs.field(default=1)

    @size.validator
    def _check(self, _attribute: object, value: int) -> None:
        if value > 9:
            raise ValueError("size is over 9")


@attrs.frozen(kw_only=True)
class Outer:
    title: str
    rows: tuple[Inner, ...] = ()


TABLES = {
    Outer: Table("at the top", {"title": 'title = "x"'}),
    Inner: Table("in a row", {"colour": 'colour = "red"'}),
}


def read_colour(value: object, _type: object) -> str:
    if value == "bug":
        raise ZeroDivisionError
    if value == "two":
        raise Faults([Fault((0,), "first"), Fault(("k",), "second", on_key=True)])
    if not isinstance(value, str):
        raise ValueError("not a colour")
    return value


CONVERTER = cattrs.Converter(forbid_extra_keys=True)
CONVERTER.register_structure_hook(
    Inner,
    make_dict_structure_fn(
        Inner, CONVERTER, _cattrs_forbid_extra_keys=True, colour=override(struct_hook=read_colour)
    ),
)


def faults_of(data: object) -> list[Fault]:
    with pytest.raises(cattrs.BaseValidationError) as caught:
        CONVERTER.structure(data, Outer)
    return sorted(find_faults(caught.value, TABLES), key=lambda fault: (len(fault.path), str(fault.path)))


def test_every_fault_is_told_with_its_path() -> None:
    rows = [{"colour": 1}, {"colour": "red"}, {"colour": "two"}]
    assert faults_of({"title": "t", "rows": rows}) == [
        Fault(("rows", 0, "colour"), "not a colour"),
        Fault(("rows", 2, "colour", "k"), "second", on_key=True),
        Fault(("rows", 2, "colour", 0), "first"),
    ]


def test_a_missing_key_is_told_at_its_table_with_an_example() -> None:
    assert faults_of({"rows": [{}]}) == [
        Fault((), 'the key "title" is missing at the top; write title = "x"'),
        Fault(("rows", 0), 'the key "colour" is missing in a row; write colour = "red"'),
    ]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("sise", 'unknown key "sise" in a row; did you mean "size"?'),
        ("title", 'unknown key "title" in a row; it belongs at the top'),
        ("weight", 'unknown key "weight" in a row; the keys there are colour, size'),
    ],
)
def test_an_unknown_key_is_told_with_the_right_spelling_or_place(key: str, said: str) -> None:
    row = {"colour": "red", key: 1}
    assert faults_of({"title": "t", "rows": [row]}) == [Fault(("rows", 0, key), said, on_key=True)]


def test_a_misspelt_key_is_not_also_told_as_missing() -> None:
    (fault,) = faults_of({"titel": "t"})
    assert fault.message == 'unknown key "titel" at the top; did you mean "title"?'


def test_a_fault_of_a_whole_table_is_told_at_the_table() -> None:
    assert faults_of({"title": "t", "rows": [{"colour": "red", "size": 10}]}) == [
        Fault(("rows", 0), "size is over 9")
    ]


def test_a_bug_is_no_fault_of_the_policy() -> None:
    with pytest.raises(cattrs.BaseValidationError) as caught:
        CONVERTER.structure({"title": "t", "rows": [{"colour": "bug"}]}, Outer)
    with pytest.raises(ZeroDivisionError):
        list(find_faults(caught.value, TABLES))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "true"),
        (False, "false"),
        ("text", '"text"'),
        ("a\x1b[31m\n", '"a\ufffd[31m\ufffd"'),
        ("a" * SHOWN_CHARS, '"' + "a" * SHOWN_CHARS + '"'),
        ("a" * (SHOWN_CHARS + 1), '"' + "a" * SHOWN_CHARS + '…"'),
        (80, "80"),
        (-1.5, "-1.5"),
        (10**15, "a number"),
        (float("nan"), "a number"),
        (["secret"], "a list"),
        ({"secret": 1}, "a table"),
        (datetime.date(2026, 1, 2), "a date or time"),
    ],
)
def test_a_value_is_shown_short_and_printable(value: object, shown: str) -> None:
    assert show(value) == shown


@given(st.text())
def test_shown_text_is_printable_on_one_line(text: str) -> None:
    assert show(text).isprintable()
    assert len(show(text)) <= SHOWN_CHARS + 3


def test_the_nearest_word_is_found_and_a_far_one_is_not() -> None:
    assert find_nearest("PSOT", ["GET", "POST"]) == "POST"
    assert find_nearest("scan", ["methods", "destination"]) is None
    assert hint_nearest("PSOT", ["GET", "POST"]) == '; did you mean "POST"?'
    assert hint_nearest("scan", ["methods"]) == ""


def test_what_is_long_is_shown_up_to_a_bound() -> None:
    assert show("a" * SHOWN_CHARS) == f'"{"a" * 60}"'
    assert show("a" * (SHOWN_CHARS + 1)) == f'"{"a" * 60}…"'


def test_a_fault_is_of_a_value_unless_it_says_of_its_key() -> None:
    assert not Fault(("a",), "m").on_key
    assert Faults([Fault(("a",), "m")]).faults == (Fault(("a",), "m"),)


def test_a_field_whose_key_is_a_word_of_python_is_named_as_the_key() -> None:
    assert (key_of("pass_"), key_of("from_"), key_of("set")) == ("pass", "from", "set")


def test_the_nearest_of_several_is_named() -> None:
    assert find_nearest("methid", ["methods", "method", "path"]) == "method"
    assert find_nearest("zzz", ["methods", "method"]) is None


def test_of_a_flood_of_unknown_keys_no_more_are_told_than_anybody_reads() -> None:
    told = faults_of({f"key{number}": 1 for number in range(3 * UNKNOWN_MAX)})
    assert sum("unknown key" in fault.message for fault in told) == UNKNOWN_MAX
