"""Observing lets through what a policy would deny, says so, and keeps the private ranges shut."""

from __future__ import annotations

import pytest

from trio_egress.model import Attempt, Layer, Protocol, Transport
from trio_egress.policy.engine import decide
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.load import load_policy
from trio_egress.policy.observe import observe
from trio_egress.policy.spelling import parse_spelling

POLICY = load_policy(
    """version = "1.0"
default_deny = true
[[egress]]
destination = "api.example.com"
methods = ["GET"]
[[egress]]
destination = "bad.example.com"
deny = true
[resolve]
"10.1.2.3" = "127.0.0.1:8080"
""",
    "x.toml",
)

ADDRESS_ASKED = Attempt(Transport.DNS, Protocol.DNS, parse_host("8.8.8.8"), 0)


@pytest.mark.parametrize(
    "text",
    [
        "https://elsewhere.example",
        "https://bad.example.com",
        "https://api.example.com",
        "POST http://api.example.com",
        "tcp://8.8.8.8:25",
        "dns:elsewhere.example",
        "http://10.1.2.3",
    ],
)
def test_what_would_be_denied_is_let_through_and_says_so(text: str) -> None:
    attempt = (spelt := parse_spelling(text)).connection or spelt.attempt
    decision = decide(POLICY, attempt)
    assert not decision.allowed
    observed = observe(POLICY, attempt, decision)
    assert (observed.allowed, observed.layer) == (True, Layer.OBSERVE)
    assert observed.reason == f"observed, not enforced: {decision.reason}"
    assert observed.rule == decision.rule
    assert (observed.upstream is None) == text.startswith("dns:")
    assert observed.upstream is None or not observed.upstream.allow_private


@pytest.mark.parametrize(
    "text",
    [
        "http://169.254.169.254/latest",
        "http://10.0.0.1",
        "tcp://127.0.0.1:22",
        "http://[fd00:ec2::254]",
        "tcp://host.internal:5432",
        "ws://elsewhere.example",
        "CONNECT http://elsewhere.example",
        "dns-of-an-address",
    ],
)
def test_what_must_hold_holds(text: str) -> None:
    attempt = ADDRESS_ASKED if text == "dns-of-an-address" else parse_spelling(text).attempt
    decision = decide(POLICY, attempt)
    assert not decision.allowed
    assert observe(POLICY, attempt, decision) == decision


def test_what_is_allowed_stays_as_it_is() -> None:
    attempt = parse_spelling("http://api.example.com").attempt
    decision = decide(POLICY, attempt)
    assert decision.allowed
    assert observe(POLICY, attempt, decision) == decision
