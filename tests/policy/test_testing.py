"""Each test of a policy is decided as the engine decides it, and what differs is told."""

from __future__ import annotations

import pytest

from trio_egress.policy.cases import Case
from trio_egress.policy.load import load_policy
from trio_egress.policy.moment import Moment
from trio_egress.policy.testing import try_case

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

NINE = 1_764_061_200_000_000
"""2025-11-25T09:00:00Z, a Tuesday."""


@pytest.mark.parametrize(
    ("case", "fault"),
    [
        (Case(attempt="http://api.example.com", expect=True, rule="api"), ""),
        (Case(attempt="http://api.example.com", expect=True, rule="api.example.com"), ""),
        (Case(attempt="https://api.example.com", expect=False), ""),
        (Case(attempt="https://office.example", expect=True, at=NINE), ""),
        (Case(attempt="https://office.example", expect=True), "denied: egress[1]"),
        (Case(attempt="http://api.example.com", expect=False), "allowed: egress[0] api"),
        (Case(attempt="http://api.example.com", expect=True, rule="web"), "decided by egress[0] api"),
        (Case(attempt="https://a.example", expect=False, rule="web"), "decided by no rule, not by web"),
    ],
)
def test_a_case_is_held_against_the_decision(case: Case, fault: str) -> None:
    outcome = try_case(load_policy(HEAD, "x.toml"), case, Moment(now_us=0))
    assert outcome.fault.startswith(fault)
    assert bool(outcome.fault) == bool(fault)
