"""What is wrong in a text: in words, and at its place."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.errors import Problem
from trio_egress.texts.faults import (
    LINE_CHARS,
    MESSAGE_CHARS,
    PROBLEMS_MAX,
    SHOWN_CHARS,
    Fault,
    Faults,
    find_nearest,
    hint_nearest,
    place_faults,
    place_unreadable,
    show,
)
from trio_egress.texts.positions import Unreadable
from trio_egress.texts.toml_text import parse_toml


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


def place(text: str, *faults: Fault) -> tuple[Problem, ...]:
    return place_faults("f.toml", text, parse_toml(text), faults)


def test_problems_stand_in_the_order_of_the_text_at_keys_or_at_values() -> None:
    text = "a = 1\nb = [2, 3]\n"
    told = place(text, Fault(("b", 1), "third"), Fault(("b",), "second", on_key=True), Fault(("a",), "first"))
    assert told == (
        Problem("f.toml", 1, 5, "first", "a = 1"),
        Problem("f.toml", 2, 1, "second", "b = [2, 3]"),
        Problem("f.toml", 2, 9, "third", "b = [2, 3]"),
    )


def test_the_line_of_a_secret_is_not_shown() -> None:
    assert place("a = 1\n", Fault(("a",), "no", secret=True)) == (Problem("f.toml", 1, 5, "no"),)


def test_of_a_flood_the_rest_is_counted() -> None:
    text = "\n".join(f"a{number} = 1" for number in range(PROBLEMS_MAX + 2))
    told = place(text, *(Fault((f"a{number}",), "no") for number in range(PROBLEMS_MAX + 2)))
    assert len(told) == PROBLEMS_MAX + 1
    assert (told[-1].line, told[-1].message) == (PROBLEMS_MAX + 1, "and 2 more problems from here on")


def test_what_is_told_is_fit_for_a_terminal_and_bounded() -> None:
    text = f"a = '\u202e{'x' * LINE_CHARS}'\r\n"
    (told,) = place(text, Fault(("a",), "\x1b" + "m" * MESSAGE_CHARS))
    assert told.message == "\ufffd" + "m" * (MESSAGE_CHARS - 1)
    assert told.source_line == text[:LINE_CHARS].replace("\u202e", "\ufffd")
    far = " " * LINE_CHARS + "a = 1"
    assert place(far, Fault(("a",), "no", on_key=True))[0].source_line == ""


def test_what_can_not_be_read_is_told_with_its_line() -> None:
    problem = place_unreadable("f.toml", "a = 1\nb = ?\r\n", Unreadable(2, 5, "no value"))
    assert problem == Problem("f.toml", 2, 5, "no value", "b = ?")
