"""One file of a policy: its bytes, its problems, and where they are."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.errors import PolicyError, Problem
from trio_egress.policy.part import LINE_CHARS, POLICY_BYTES, PROBLEMS_MAX, decode_policy, read_part
from trio_egress.policy.rule import Source

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


def test_all_faults_of_a_file_are_told_up_to_a_bound() -> None:
    with pytest.raises(PolicyError) as caught:
        read_part(source(HEAD + "[[egress]]\n" * (PROBLEMS_MAX + 2)), "a.toml")
    assert len(caught.value.problems) == PROBLEMS_MAX + 1
    assert caught.value.problems[-1].message == "and 2 more problems from here on"


def test_a_line_is_shown_up_to_where_it_helps() -> None:
    with pytest.raises(PolicyError) as caught:
        read_part(source(HEAD + " " * LINE_CHARS + "x = 1\n"), "a.toml")
    assert caught.value.problems[0].source_line == ""


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
