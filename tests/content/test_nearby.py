"""What needs a long run of letters and digits is looked for near runs alone, and found wherever it stands."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.content.catalogue import read_catalogue
from trio_egress.content.hyperscan_matcher import MOST_PLACES, HyperscanMatcher
from trio_egress.content.nearby import REACH, RUN_BYTES, find_near, must_have_run, shorten
from trio_egress.content.pattern import compile_pattern, loosen

KEY = r"\b[59KLc][1-9A-HJ-NP-Za-km-z]{50,51}\b"
TASK = r"\b[12]/[0-9]{12,20}(?:/[0-9]{12,20})?:[a-f0-9]{32}\b"
PAIR = r"\b[a-f0-9]{32}-us[0-9]{1,2}\b"


@pytest.mark.parametrize(
    "pattern",
    [
        KEY,
        PAIR,
        TASK,
        "[a-z]{24}",
        r"SK[a-f0-9]{22}",
        r"[A-HJ-N]{12}[A-Z0-9]{12}",
        r"[A-Z]\.[a-z0-9]{24}-[.]",
    ],
)
def test_a_pattern_with_a_run_in_every_match_must_have_one(pattern: str) -> None:
    assert must_have_run(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "[a-z]{23}",
            "[a-z_]{30}",
            "[A-z]{30}",
            "[a-z]{12}_[a-z]{12}",
            "[a-z]{0,30}",
            "[a-z]{12}[0-9]{0,12}[a-z]{11}",
        ),
        *(
            "[a-z]{24,}",
            "[a-z]{24}?",
            "[a-z]{24}|b",
            "b|[a-z]{24}",
            r"\b|[a-z]{24}",
            "(?:[a-z]{24})",
            "(?i)[a-z]{24}",
        ),
        *(
            "x*[a-z]{24}",
            "[a-z]{24}.",
            r"\w{24}",
            r"\x41[a-z]{24}",
            f"[a-z]{{24}}[ ]{{{REACH}}}",
            "[^a]{24}",
            "[é-ü]{24}",
        ),
        *("a" * 30, "token[a-z]{24}"),
        *("(?:[a-z]{24})?", "[a-z]{24}(?:x)?", f"(?:[ ]{{{REACH}}})?[a-z]{{24}}", "(?:a|b)?[a-z]{24}"),
    ],
)
def test_of_any_other_pattern_that_is_not_said(pattern: str) -> None:
    assert not must_have_run(pattern)


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        (PAIR, "[a-f0-9]{8}-us[0-9]{1}"),
        (r"SK[a-f0-9]{32}\b", "SK[a-f0-9]{20}"),
        (r"[A-Z][a-z0-9]{24}[.][a-z]{3}", "[a-z0-9]{24}"),
        (r"[A-Z][a-z0-9]{24}\.[a-z]{3}x[a-z]{4}", r"[a-z0-9]{8}\.[a-z]{3}x[a-z]{4}"),
        (KEY, "[1-9A-HJ-NP-Za-km-z]{50}"),
        (TASK, ":[a-f0-9]{20}"),
    ],
)
def test_a_part_is_from_word_to_word_or_the_run(pattern: str, part: str) -> None:
    assert must_have_run(pattern)
    assert shorten(pattern) == part


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_part_is_in_every_match(data: st.DataObject) -> None:
    packaged = [loose for each in read_catalogue() if must_have_run(loose := loosen(each.pattern))]
    pattern = data.draw(st.sampled_from([KEY, PAIR, *packaged]))
    match = data.draw(st.from_regex(re.compile(pattern.replace(r"\b", "").encode()), fullmatch=True))
    assert re.search(shorten(pattern).encode(), match)


def test_near_is_what_is_in_reach_of_a_run() -> None:
    run = b"A" * RUN_BYTES
    message = b"." * 1000 + run + b"-" * 1000 + b"a" * (RUN_BYTES - 1)
    assert find_near(message) == b"." * REACH + run + b"-" * REACH
    assert find_near(message.replace(b"A", b"_")) == b""
    assert find_near(run) == run
    assert find_near(run + b"." + run + b"." * 2 * REACH + run) == (run + b"." + run + b"." * 2 * REACH + run)


VALUES = [b"K" + b"z" * 51, b"0123456789abcdef" * 2 + b"-us12", b"a" * 40]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("between", [1, REACH - 1, REACH, REACH + 30, 2 * REACH, 2 * REACH + 60, 5000])
def test_what_is_behind_other_runs_is_found(value: bytes, between: int) -> None:
    matcher = HyperscanMatcher([KEY, PAIR, "a{40}"])
    wanted = matcher.match(value)
    assert len(wanted) == 1
    for count in (1, MOST_PLACES - 1, MOST_PLACES, MOST_PLACES + 1):
        message = (b"B" * 30 + b" " * between) * count + value
        assert set(wanted) <= set(matcher.match(message))
        assert set(wanted) <= set(matcher.match(message + b" " + b"." * 1000))


FORMS = [
    KEY,
    PAIR,
    r"\bSK[a-f0-9]{32}\b",
    r"\b[a-f0-9]{32}-[a-f0-9]{8}-[a-f0-9]{8}\b",
    "[A-Z]{24}[.][a-z]{3}",
]
PARTS = st.sampled_from(
    [
        *VALUES,
        b" ",
        b"-",
        b"." * 150,
        b"x" * 23,
        b"Z" * 24,
        b".abc",
        b"SK",
        b"0123abcd" * 4,
        b"-0123abcd",
        b"\n" * REACH,
    ]
)
MATCHER = HyperscanMatcher(FORMS)


@settings(max_examples=150, deadline=None)
@given(st.lists(PARTS, max_size=60).map(b"".join))
def test_whatever_matches_is_named(message: bytes) -> None:
    matching = {place for place, form in enumerate(FORMS) if compile_pattern(form, "").search(message)}
    assert matching <= set(MATCHER.match(message))


@pytest.mark.parametrize(
    ("pattern", "loose"),
    [
        (r"\btok_[a-z]+\b", r"tok_[a-z]+\b"),
        (r"(?i)\bab|\bcd", "(?i)ab|cd"),
        (r"(?i:cloud|\bCF)x", "(?i:cloud|CF)x"),
        ("(?:^|[^a-z])tok", "tok"),
        ("[^a-z]tok", "tok"),
        *(
            (same, same)
            for same in (
                "tok",
                "[^a-z]*tok",
                "x(?:[^a]|b)y",
                r"a\b",
                r"(?:\b|\\[nrt])tok",
                r"\Q(\b\E",
                "[a-z]tok",
            )
        ),
    ],
)
def test_what_only_says_that_a_match_begins_can_be_left_out(pattern: str, loose: str) -> None:
    assert loosen(pattern) == loose
