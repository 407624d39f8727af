"""One file of a policy: its bytes, its problems, and where they are."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.errors import PolicyError, Problem
from trio_egress.policy.part import POLICY_BYTES, decode_policy, place_cases, read_cases, read_part
from trio_egress.policy.rule import Source
from trio_egress.texts.faults import LINE_CHARS, MESSAGE_CHARS, PROBLEMS_MAX

HEAD = 'version = "1.0"\ndefault_deny = true\n'


def source(text: str, name: str = "a.toml") -> Source:
    return Source(name, text, hashlib.sha256(text.encode()).hexdigest())


def test_a_part_knows_its_document_and_its_places() -> None:
    part = read_part(
        source('\ufeffversion = "1.0"\ndefault_deny = true\n[limits]\nprocesses = 7\n'), "ci/a.toml"
    )
    assert part.document.limits.processes == 7
    assert part.locate(("limits", "processes")) == "ci/a.toml:4:13"
    assert part.make_problem(("limits",), "no") == Problem("ci/a.toml", 3, 2, "no", "[limits]")


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("a.toml", "a = 1\nb = ?\n", (2, 5)),
        ("a.yml", "a: 1\nb: ~\n", (2, 4)),
        ("A.YAML", "a: 1\nb: ~\n", (2, 4)),
    ],
)
def test_the_name_tells_what_a_text_is_written_in(name: str, text: str, place: tuple[int, int]) -> None:
    with pytest.raises(PolicyError) as caught:
        read_part(source(text, name), name)
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column) == (name, *place)


def test_bounds_are_what_the_page_says() -> None:
    assert (POLICY_BYTES, PROBLEMS_MAX) == (16 * 1024 * 1024, 50)


def test_a_byte_that_is_not_utf_8_is_told_at_its_place() -> None:
    for raw, line, column, byte in (
        (b"\xff", 1, 1, "ff"),
        ("ü = 1\nab".encode() + b"\x80", 2, 3, "80"),
        (b"\n\n\xc3(", 3, 1, "c3"),
    ):
        with pytest.raises(PolicyError) as caught:
            decode_policy(raw, "f")
        (problem,) = caught.value.problems
        assert (problem.file, problem.line, problem.column) == ("f", line, column)
        assert problem.message == f"the byte 0x{byte} is not UTF-8, in which a policy is written"


TEST = '[[test]]\nattempt = "a.example"\nexpect = "deny"\n'


def test_the_tests_of_a_policy_have_their_places() -> None:
    (first, second) = place_cases(read_part(source(HEAD + TEST + TEST), "a.toml"))
    assert (first.case.attempt, first.place) == ("a.example", "a.toml:3:1")
    assert second.place == "a.toml:6:1"


def test_a_file_of_tests_is_read_without_a_policy() -> None:
    (case,) = read_cases("\ufeff" + TEST, "t.toml")
    assert (case.case.attempt, case.place) == ("a.example", "t.toml:1:1")
    assert read_cases("", "t.toml") == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("version = 1\n" + TEST, (1, 1, "beside a policy there are tests alone, as [[test]] tables")),
        ("[[test]]\nattempt = 1\nexpect = 'deny'\n", (2, 11, "attempt must be ")),
    ],
)
def test_a_file_of_tests_has_nothing_else(text: str, problem: tuple[int, int, str]) -> None:
    with pytest.raises(PolicyError) as caught:
        read_cases(text, "t.toml")
    (told,) = caught.value.problems
    assert (told.line, told.column, told.message[: len(problem[2])]) == problem


def test_a_problem_is_told_at_the_key_or_at_the_value() -> None:
    with pytest.raises(PolicyError) as caught:
        read_part(source(HEAD + "[limits]\ncolour = 1\nprocesses = 'x'\n"), "a.toml")
    assert [(problem.line, problem.column) for problem in caught.value.problems] == [(4, 1), (5, 13)]


def test_what_is_shown_is_fit_for_a_terminal() -> None:
    bounds = (LINE_CHARS, MESSAGE_CHARS)
    assert bounds == (200, 500)
    with pytest.raises(PolicyError) as caught:
        read_part(source(HEAD + "\tx = '\x7f\u2028'\r\n"), "a.toml")
    assert "\x7f" not in str(caught.value)
    with pytest.raises(PolicyError) as caught:
        read_part(source(HEAD + "\tx = '\u2028\u202e'\r\n"), "a.toml")
    assert (
        caught.value.problems[0].source_line == "\tx = '\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}'"
    )


def test_all_faults_of_a_file_are_told_up_to_a_bound() -> None:
    with pytest.raises(PolicyError) as caught:
        read_part(source(HEAD + "[[egress]]\n" * (PROBLEMS_MAX + 2)), "a.toml")
    assert len(caught.value.problems) == PROBLEMS_MAX + 1
    assert caught.value.problems[-1].message == "and 2 more problems from here on"


def test_a_line_is_shown_up_to_where_it_helps() -> None:
    with pytest.raises(PolicyError) as caught:
        read_part(source(HEAD + " " * LINE_CHARS + "x = 1\n"), "a.toml")
    assert caught.value.problems[0].source_line == ""
    with pytest.raises(PolicyError) as caught:
        read_part(source(HEAD + " " * (LINE_CHARS - 1) + "xy = 1\n"), "a.toml")
    assert caught.value.problems[0].source_line == " " * (LINE_CHARS - 1) + "x"


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_a_policy_error(text: str) -> None:
    for name in ("a.toml", "a.yaml"):
        try:
            read_part(Source(name, text, ""), name)
        except PolicyError as error:
            assert error.problems  # noqa: PT017


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_text_or_a_policy_error(raw: bytes) -> None:
    try:
        text = decode_policy(raw, "f")
    except PolicyError:
        with pytest.raises(UnicodeDecodeError):
            raw.decode()
    else:
        assert text.encode() == raw
