"""A policy's own tests are read strictly, and each is decided as the engine decides it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from trio_egress.errors import PolicyError
from trio_egress.policy.cases import Case, PlacedCase, read_at, read_expect
from trio_egress.policy.compiled import policy_hash
from trio_egress.policy.load import load_policy
from trio_egress.policy.part import read_cases

HEAD = """version = "1.0"
default_deny = true

[[egress]]
name = "api"
destination = "api.example.com"
protocol = "http"

[[egress]]
destination = "office.example"
times = ["Mon-Fri 08:00-18:00 UTC"]
"""

TESTS = """
[[test]]
attempt = "http://api.example.com/v1"
expect = "allow"
rule = "api"

[[test]]
attempt = "https://office.example"
expect = "deny"
at = 2026-11-22T12:00:00Z
"""


def test_tests_stand_in_the_policy_and_change_nothing_of_its_meaning() -> None:
    policy = load_policy(HEAD + TESTS, "x.toml")
    sunday = int(datetime(2026, 11, 22, 12, tzinfo=timezone.utc).timestamp()) * 1_000_000
    assert policy.cases == (
        PlacedCase(Case(attempt="http://api.example.com/v1", expect=True, rule="api"), "x.toml:13:1"),
        PlacedCase(Case(attempt="https://office.example", expect=False, at=sunday), "x.toml:18:1"),
    )
    assert policy_hash(policy) == policy_hash(load_policy(HEAD, "x.toml"))


def test_tests_stand_beside_a_policy() -> None:
    placed = read_cases(TESTS, "x.tests.toml")
    assert [case.place for case in placed] == ["x.tests.toml:2:1", "x.tests.toml:7:1"]
    in_yaml = 'test:\n  - {attempt: "example.com", expect: deny, at: "2026-11-22T12:00:00"}\n'
    (case,) = read_cases(in_yaml, "x.tests.yaml")
    assert case.case.at == placed[1].case.at


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[test]]\nexpect = "deny"\n', 'the key "attempt" is missing'),
        (
            '[[test]]\nattempt = "nothing here"\nexpect = "deny"\n',
            ":2:11: error: 'nothing here' is no attempt",
        ),
        ('[[test]]\nattempt = 5\nexpect = "deny"\n', "attempt must be a text"),
        ('[[test]]\nattempt = "a.example"\nexpect = "alow"\n', 'did you mean "allow"?'),
        ('[[test]]\nattempt = "a.example"\nexpect = true\n', 'expect must be "allow" or "deny", not true'),
        ('[[test]]\nattempt = "a.example"\nexpect = "deny"\nrule = ""\n', "rule must be the name"),
        ('[[test]]\nattempt = "a.example"\nexpect = "deny"\nat = "soon"\n', "at must be a date and time"),
        (
            '[[test]]\nattempt = "a.example"\nexpect = "deny"\nurl = ""\n',
            'unknown key "url" in a [[test]] table',
        ),
        ("test = 5\n", "test must be a list of tables"),
        ('version = "1.0"\n', ":1:1: error: beside a policy there are tests alone"),
    ],
)
def test_what_is_wrong_with_a_test_is_told_at_its_place(text: str, words: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_cases(text, "x.tests.toml")
    assert words in str(caught.value)


def test_too_many_tests_are_refused() -> None:
    text = (
        'test = [{attempt = "a.example", expect = "deny"}'
        + ', {attempt = "a.example", expect = "deny"}' * 10_000
    )
    with pytest.raises(PolicyError, match="at most 10000 tests"):
        read_cases(f"{text}]", "x.tests.toml")


@pytest.mark.parametrize(
    ("written", "utc"),
    [
        ("2026-11-22T12:00:00Z", 12),
        ("2026-11-22T12:00:00", 12),
        ("2026-11-22T12:00:00+02:00", 10),
        (datetime(2026, 11, 22, 12), 12),
        (datetime(2026, 11, 22, 12, tzinfo=timezone(timedelta(hours=-3))), 15),
    ],
)
def test_a_time_is_utc_unless_it_says_otherwise(written: object, utc: int) -> None:
    assert read_at(written) == int(datetime(2026, 11, 22, utc, tzinfo=timezone.utc).timestamp()) * 1_000_000


def test_what_is_expected_is_told_word_for_word() -> None:
    with pytest.raises(ValueError, match=r'^expect must be "allow" or "deny", not true$'):
        read_expect(True)
