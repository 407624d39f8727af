"""What is wrong in a text: in words, and at its place."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.texts.faults import SHOWN_CHARS, Fault, Faults, find_nearest, hint_nearest, show


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


def test_the_nearest_of_several_is_named() -> None:
    assert find_nearest("methid", ["methods", "method", "path"]) == "method"
    assert find_nearest("zzz", ["methods", "method"]) is None
