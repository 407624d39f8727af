"""A policy's text in TOML."""

from __future__ import annotations

import pytest
import tomli
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.texts.positions import Unreadable
from trio_egress.texts.toml_text import parse_toml


def test_a_text_gives_its_values_and_their_places() -> None:
    reading = parse_toml('a = 1\n[[b]]\nc = "x"\n')
    assert reading.data == {"a": 1, "b": [{"c": "x"}]}
    assert reading.positions.place_value(("b", 0, "c")) == (3, 5)
    assert reading.reword('write version = "1.0"') == 'write version = "1.0"'


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a = True", (1, 5), "Invalid value; did you mean true?"),
        ("\na = False", (2, 5), "Invalid value; did you mean false?"),
        ("a = tru", (1, 5), "Invalid value; did you mean true?"),
        ("a = flase", (1, 5), "Invalid value; did you mean false?"),
        ("a = yes", (1, 5), "Invalid value; did you mean true?"),
        ("a = OFF", (1, 5), "Invalid value; did you mean false?"),
        ("a = onion", (1, 5), 'Invalid value; did you mean "onion"?'),
        ("a = b.c", (1, 5), 'Invalid value; did you mean "b.c"?'),
        ("a = ", (1, 5), "Invalid value"),
        (
            'version: "1.0"\negress:',
            (1, 8),
            "Expected '=' after a key in a key/value pair; YAML is read from a file whose name ends in .yaml",
        ),
        ("a:b = 1", (1, 2), "Expected '=' after a key in a key/value pair"),
        ('a = "x\\', (1, 8), "Unescaped '\\' in a string"),
        ("a = 1\na = 2", (2, 6), "this key stands there already, with a value"),
        ("a = " + "[" * 1000 + "]" * 1000, (1, 1), "something in it is nested too deeply"),
        ("a = 9" + "9" * 6000, (1, 1), "a number in it has too many digits"),
    ],
)
def test_what_is_not_toml_is_told_with_its_place(text: str, place: tuple[int, int], message: str) -> None:
    with pytest.raises(Unreadable) as caught:
        parse_toml(text)
    assert (caught.value.line, caught.value.column, caught.value.message) == (*place, message)


@settings(deadline=None)
@given(st.text("ab=[]{}\"'\n.,# 1\\", max_size=30))
def test_any_text_is_read_as_tomli_reads_it_or_is_unreadable(text: str) -> None:
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError:
        with pytest.raises(Unreadable):
            parse_toml(text)
    else:
        assert parse_toml(text).data == data
