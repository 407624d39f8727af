"""What the demo holds its agent and the evidence to. Each test takes a good result and makes one thing wrong."""

from __future__ import annotations

from typing import Any

import pytest

from trio_egress.demo import agent
from trio_egress.demo.claims import CLAIMS, DENIAL_MILLISECONDS, Claim, compare, find_strays, parse_lines

BY_ATTEMPT = {claim.attempt: claim for claim in CLAIMS}


def say(claim: Claim, **other: Any) -> dict[str, Any]:
    return {"attempt": claim.attempt, "through": claim.allowed, "saw": "it", "milliseconds": 3, **other}


def make_receipt(claim: Claim, verdict: str) -> dict[str, Any]:
    record = {"target": claim.target, "verdict": verdict} | ({"method": claim.method} if claim.method else {})
    return {"action_record": record, "ext": {"trio_egress": {"reason": "because"}}}


def make_receipts() -> list[dict[str, Any]]:
    return [make_receipt(claim, "allow" if claim.allowed else "block") for claim in CLAIMS]


def find_faults(said: list[dict[str, Any]], receipts: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    return {row.claim.attempt: row.faults for row in compare(said, receipts) if row.faults}


def test_every_attempt_of_the_agent_has_a_claim() -> None:
    assert sorted(BY_ATTEMPT) == sorted(attempt.__name__ for attempt in agent.ATTEMPTS)


def test_good_result_has_no_fault() -> None:
    rows = compare([say(claim) for claim in CLAIMS], make_receipts())
    assert [row.faults for row in rows] == [()] * len(CLAIMS)
    assert [(row.saw, row.reason) for row in rows] == [("it, 3 ms", "because")] * len(CLAIMS)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.attempt)
def test_agent_that_got_through_or_not_against_the_claim_is_a_fault(claim: Claim) -> None:
    said = [say(each, through=each.allowed is not (each is claim)) for each in CLAIMS]
    assert list(find_faults(said, make_receipts())) == [claim.attempt]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.attempt)
def test_attempt_without_a_receipt_is_a_fault(claim: Claim) -> None:
    receipts = [
        make_receipt(each, "allow" if each.allowed else "block") for each in CLAIMS if each is not claim
    ]
    rows = compare([say(each) for each in CLAIMS], receipts)
    assert [row.verdict for row in rows if row.faults] == ["no receipt"]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.attempt)
def test_one_receipt_of_the_other_verdict_is_a_fault(claim: Claim) -> None:
    receipts = [*make_receipts(), make_receipt(claim, "block" if claim.allowed else "allow")]
    rows = compare([say(each) for each in CLAIMS], receipts)
    assert [(row.claim, row.verdict) for row in rows if row.faults] == [(claim, "allow and block")]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.attempt)
def test_only_a_denial_has_to_be_quick(claim: Claim) -> None:
    said = [say(each, milliseconds=DENIAL_MILLISECONDS - (each is not claim)) for each in CLAIMS]
    assert list(find_faults(said, make_receipts())) == ([] if claim.allowed else [claim.attempt])


def test_agent_that_ended_early_is_a_fault_of_each_attempt_that_it_left_out() -> None:
    faults = find_faults([say(CLAIMS[0])], make_receipts())
    assert list(faults) == [claim.attempt for claim in CLAIMS[1:]]


def test_upstreams_must_see_what_was_allowed_and_nothing_else() -> None:
    reached = [claim.reaches for claim in CLAIMS if claim.allowed]
    assert find_strays(reached) == []
    assert find_strays(reversed_list(reached)) == []
    assert find_strays([*reached, "POST docs.example.com/"])
    assert find_strays([*reached, reached[0]])
    assert find_strays(reached[1:])
    assert find_strays([])


def reversed_list(items: list[str]) -> list[str]:
    return list(reversed(items))


def test_what_an_allowed_attempt_reaches_is_named() -> None:
    assert [bool(claim.reaches) for claim in CLAIMS] == [claim.allowed for claim in CLAIMS]


@pytest.mark.parametrize("text", ["[]\n", "{}\nnot json\n", "1"])
def test_line_that_is_no_object_raises(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_lines(text)


def test_lines_are_read_one_object_each() -> None:
    assert parse_lines('{"a":1}\n\n{"b":2}\n') == [{"a": 1}, {"b": 2}]
