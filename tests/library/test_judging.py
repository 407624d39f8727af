"""Policies, for programs: what is loaded answers as a run would."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

import trio_egress as te

TEXT = """\
version = "1.0"
default_deny = true
[[egress]]
destination = "api.example.com"
methods = ["GET"]
[[egress]]
destination = "hours.example.com"
times = ["Mon-Fri 09:00-17:00 UTC"]
"""
MONDAY = datetime(2026, 11, 23, 10, tzinfo=timezone.utc)
SUNDAY = datetime(2026, 11, 22, 10, tzinfo=timezone.utc)


@pytest.fixture
def policy(tmp_path: Path) -> te.Policy:
    path = tmp_path / "egress.toml"
    path.write_text(TEXT)
    return te.Policy.load(path)


@pytest.mark.parametrize(
    ("attempt", "allowed", "line"),
    [
        ("GET https://api.example.com/v1", True, 3),
        ("POST https://api.example.com/v1", False, 3),
        ("dns:api.example.com", True, 3),
        ("other.example.com:22", False, None),
    ],
)
def test_a_text_is_decided_as_it_is_meant(
    policy: te.Policy, attempt: str, allowed: bool, line: int | None
) -> None:
    decision = policy.decide(attempt)
    assert (decision.allowed, decision.line) == (allowed, line)


def test_an_attempt_is_decided_as_it_is(policy: te.Policy) -> None:
    attempt = te.Attempt(te.Transport.CONNECT, te.Protocol.TLS, te.parse_host("API.example.com"), 443)
    assert policy.decide(attempt).allowed
    assert not policy.decide(te.Attempt(te.Transport.CONNECT, te.Protocol.SSH, attempt.host, 22)).allowed


def test_the_time_is_told_with_its_zone(policy: te.Policy) -> None:
    assert policy.decide("https://hours.example.com/", at=MONDAY).allowed
    assert policy.decide("https://hours.example.com/", at=SUNDAY).layer is te.Layer.TIME
    with pytest.raises(te.UsageError, match="time zone"):
        policy.decide("https://hours.example.com/", at=MONDAY.replace(tzinfo=None))


def test_destinations_are_added_as_on_the_command_line(policy: te.Policy) -> None:
    more = te.Policy.load(policy.path, allow=["more.example.com"])
    assert more.decide("https://more.example.com/").allowed
    assert not policy.decide("https://more.example.com/").allowed


def test_what_is_no_attempt_and_no_policy_is_said(tmp_path: Path, policy: te.Policy) -> None:
    with pytest.raises(te.UsageError, match="gopher"):
        policy.decide("gopher://api.example.com/")
    (tmp_path / "bad.toml").write_text(TEXT.replace("methods", "metods"))
    with pytest.raises(te.PolicyError) as caught:
        te.Policy.load(tmp_path / "bad.toml")
    assert caught.value.problems[0].line == 5
    with pytest.raises(te.UsageError, match="cannot read the policy"):
        te.Policy.load(tmp_path / "none.toml")


def test_warnings_are_told(tmp_path: Path) -> None:
    (tmp_path / "odd.toml").write_text(f'{TEXT}[[egress]]\ndestination = "api.example.com"\n')
    assert [problem.warning for problem in te.Policy.load(tmp_path / "odd.toml").warnings] == [True]
