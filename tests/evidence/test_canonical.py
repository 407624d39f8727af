"""The two byte forms, at their edges."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.evidence.canonical import (
    NESTING,
    clean_text,
    find_repeated,
    is_nested,
    is_plain,
    parse_json,
    render_canonical,
    render_stored,
)

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "canonical", "stored"),
    [
        ({"b": 1, "a": [True, None]}, b'{"b":1,"a":[true,null]}', b'{"b":1,"a":[true,null]}'),
        ("<a>&", rb'"\u003ca\u003e\u0026"', rb'"\u003ca\u003e\u0026"'),
        ("\u2028\u2029", rb'"\u2028\u2029"', rb'"\u2028\u2029"'),
        ("é\U0001f600", '"é\U0001f600"'.encode(), rb'"\u00e9\ud83d\ude00"'),
        ("\x7f\x85", '"\x7f\x85"'.encode(), rb'"\u007f\u0085"'),
        ('"\\\b\f\n\r\t', rb'"\"\\\b\f\n\r\t"', rb'"\"\\\b\f\n\r\t"'),
        ("\x00\x1f/", rb'"\u0000\u001f/"', rb'"\u0000\u001f/"'),
        (2**64, b"18446744073709551616", b"18446744073709551616"),
    ],
)
def test_each_value_has_one_spelling_in_each_form(value: object, canonical: bytes, stored: bytes) -> None:
    assert render_canonical(value) == canonical
    assert render_stored(value) == stored


@given(_JSON)
def test_both_forms_mean_the_same_value(value: object) -> None:
    stored = render_stored(value)
    assert stored.isascii()
    assert b"\n" not in stored
    assert parse_json(stored) == value
    if "\\ud" not in stored.decode():
        assert json.loads(render_canonical(value)) == value


@given(_JSON)
def test_plain_stored_bytes_are_the_canonical_bytes(value: object) -> None:
    stored = render_stored(value)
    assert not is_plain(stored) or stored == render_canonical(value)


def test_half_a_surrogate_pair_cannot_be_signed() -> None:
    with pytest.raises(UnicodeEncodeError):
        render_canonical("\ud800")


def test_text_that_is_not_unicode_is_replaced_and_text_that_is_too_long_is_counted() -> None:
    assert clean_text("a\udc80b", 10) == "a\ufffdb"
    assert clean_text("é" * 10, 10) == "é" * 10
    assert clean_text("x" * 11, 10) == "x" * 10 + "...(1 more)"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"1.5",
        b"1e3",
        b"NaN",
        b"-Infinity",
        b"{} {}",
        b"[" * 5000,
        b'{"a":' * 5000,
        b"\xff",
        "é".encode(),
    ],
)
def test_bytes_that_are_not_strict_json_raise_value_error_alone(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(raw)


def test_the_packet_may_be_utf_8() -> None:
    assert parse_json('"é"'.encode(), "utf-8") == "é"


def _nest(levels: int) -> object:
    value: object = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize("levels", [0, 1, NESTING - 1, NESTING])
def test_nesting_up_to_the_limit_is_not_too_deep(levels: int) -> None:
    assert not is_nested(_nest(levels), NESTING)
    assert is_nested(_nest(NESTING + 1), NESTING)


@pytest.mark.parametrize(
    ("raw", "repeated"),
    [(b'{"a":1,"b":{"a":2}}', None), (b'{"a":1,"a":1}', "a"), (b'[{"x":{"b":1,"c":2,"b":3}}]', "b")],
)
def test_a_member_that_stands_twice_is_found_at_any_depth(raw: bytes, repeated: str | None) -> None:
    assert find_repeated(raw) == repeated
