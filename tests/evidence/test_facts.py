"""What gets into ext: bounded, portable, typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.evidence.canonical import LINE_BYTES, render_canonical, render_stored
from trio_egress.evidence.facts import (
    FACT_CHARS,
    SAFE_INTEGER,
    escape_text,
    find_ext_misfits,
    is_portable,
    render_ext,
)
from trio_egress.evidence.members import Misfit

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-SAFE_INTEGER, SAFE_INTEGER) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_ANY_TEXT = st.text(st.characters(exclude_categories=[]))  # lone surrogates too


def _facts_of(ext: dict[str, object]) -> dict[str, object]:
    facts = ext["trio_egress"]
    assert isinstance(facts, dict)
    return facts


def _find(ext: object) -> list[Misfit]:
    return find_ext_misfits(ext, render_stored(ext))


@given(st.dictionaries(st.sampled_from(["anything", "rule", "ülü", "\udc80"]), _VALUES))
def test_what_is_rendered_is_what_is_accepted(facts: dict[str, object]) -> None:
    ext = render_ext(facts)
    assert _find(ext) == []
    assert render_canonical(ext) == render_stored(ext)


@given(_ANY_TEXT)
def test_no_text_raises_and_every_text_becomes_portable(text: str) -> None:
    assert is_portable(escape_text(text))
    assert _find(render_ext({"reason": text, f"x{text}": text})) == []


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain", "plain"),
        ("é€\U0001f600", r"\xe9\u20ac\U0001f600"),
        ("a\\n", r"a\\n"),
        ("a\n\x00\x7f", r"a\n\x00\x7f"),
        ("\udc80", r"\udc80"),
    ],
)
def test_other_characters_stand_as_their_python_escape(text: str, escaped: str) -> None:
    assert escape_text(text) == escaped


def test_a_fact_that_is_not_known_is_left_out() -> None:
    assert render_ext({"sni": None, "port": 1}) == {"trio_egress": {"v": 1, "port": 1}}


def test_the_version_cannot_be_overwritten() -> None:
    assert _facts_of(render_ext({"v": 2}))["v"] == 1


def test_long_text_is_cut_and_counted() -> None:
    text = _facts_of(render_ext({"reason": "x" * (FACT_CHARS + 5)}))["reason"]
    assert text == "x" * FACT_CHARS + "...(5 more)"


def test_however_long_a_list_is_numbers_sums_and_texts_stand_beside_it() -> None:
    found = {"warn": 3}
    facts = {"tools": ["x" * 2000] * 100, "host": "api.example.com", "found": found, "bytes_up": 7}
    (cleaned,) = render_ext(facts).values()
    assert isinstance(cleaned, dict)
    assert list(cleaned) == ["v", "tools", "host", "found", "bytes_up"]
    assert (cleaned["bytes_up"], cleaned["found"], cleaned["host"]) == (7, found, "api.example.com")
    assert 10 < len(cleaned["tools"]) < 20


@pytest.mark.parametrize(
    "facts",
    [
        {"a": ["\U0001f600" * 5000] * 5000},
        {"a": list(range(1_000_000))},
        {f"name{n}": "\x00" * 3000 for n in range(5000)},
        {"a": {"b": [{"c" * 5000: ["\\" * 5000] * 500}] * 500}},
        {"a": {f"k{n}": n for n in range(100_000)}},
    ],
)
def test_no_facts_make_a_line_too_long(facts: dict[str, object]) -> None:
    assert len(render_stored(render_ext(facts))) < LINE_BYTES * 0.8


@pytest.mark.parametrize("value", [1.5, b"x", object(), {1, 2}])
def test_what_has_no_place_in_ext_is_a_bug_of_the_caller(value: object) -> None:
    with pytest.raises(TypeError, match="ext holds integers"):
        render_ext({"a": value})


def test_an_integer_that_readers_would_round_is_a_bug_of_the_caller() -> None:
    assert _facts_of(render_ext({"n": -SAFE_INTEGER}))["n"] == -SAFE_INTEGER
    with pytest.raises(ValueError, match="must stay within"):
        render_ext({"n": SAFE_INTEGER + 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [("port", 65536), ("port", -1), ("port", "443"), ("host", 5), ("bytes_up", -1), ("flow", True)],
)
def test_a_known_fact_of_another_type_is_refused_on_both_sides(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=name):
        render_ext({name: value})
    assert [m.code for m in _find({"trio_egress": {"v": 1, name: value}})] == ["ext.fact"]


@pytest.mark.parametrize(
    "ext",
    [
        {},
        [],
        "x",
        {"trio_egress": 1},
        {"trio_egress": {}},
        {"trio_egress": {"v": 1}, "other": 1},
        {"other": {}},
    ],
)
def test_ext_has_one_form(ext: object) -> None:
    assert [m.code for m in _find(ext)] == ["ext.form"]


@pytest.mark.parametrize("value", ["é", ["é"], {"é": 1}, {"a": [{"b": "\n"}]}, "\x7f"])
def test_text_in_ext_that_verifiers_could_hash_differently_is_found(value: object) -> None:
    assert [m.code for m in _find({"trio_egress": {"v": 1, "a": value}})] == ["ext.text"]


@pytest.mark.parametrize("value", ['"', "\\", "<&>"])
def test_text_that_is_escaped_but_portable_is_no_fault(value: object) -> None:
    assert _find({"trio_egress": {"v": 1, "a": [value, 5, None]}}) == []


@pytest.mark.parametrize("version", [2, True, "1", None])
def test_an_unknown_version_is_found(version: object) -> None:
    assert [m.code for m in _find({"trio_egress": {"v": version}})] == ["ext.fact"]
