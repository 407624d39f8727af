"""The words of a denial, as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.model import Attempt, Protocol, RuleRef, Transport
from trio_egress.policy.destination import parse_destination
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.obstacle import Obstacle
from trio_egress.policy.reasons import METHOD_CHARS, explain_obstacle
from trio_egress.policy.rule import Rule, Terms

API = "api.example.com"
METHODS = frozenset({"HEAD", "GET"})


def rule(destination: str, methods: frozenset[str] | None = None) -> Rule:
    return Rule(
        RuleRef(2, destination, 9), Terms(destination=parse_destination(destination), methods=methods)
    )


def attempt(protocol: Protocol, port: int, method: str | None = None, host: str = API) -> Attempt:
    return Attempt(Transport.TRANSPARENT, protocol, parse_host(host), port, method)


@pytest.mark.parametrize(
    ("obstacle", "rule", "attempt", "sentence"),
    [
        (
            Obstacle.METHOD,
            rule(API, METHODS),
            attempt(Protocol.HTTP, 80, "POST"),
            "egress[2] 'api.example.com' (line 9) allows GET, HEAD, not POST",
        ),
        (
            Obstacle.METHOD,
            rule(API, METHODS),
            attempt(Protocol.HTTP, 80),
            "egress[2] 'api.example.com' (line 9) allows GET, HEAD, not a request without a method",
        ),
        (
            Obstacle.TUNNEL,
            rule(API),
            attempt(Protocol.HTTP, 80, "CONNECT"),
            (
                "egress[2] 'api.example.com' (line 9) allows requests, not CONNECT: "
                "an upstream is not asked for a tunnel to somewhere else"
            ),
        ),
        (
            Obstacle.INTERCEPTION,
            rule(API, METHODS),
            attempt(Protocol.TLS, 443),
            (
                "egress[2] 'api.example.com' (line 9) restricts methods, which needs TLS interception, "
                "and there is none: a human can remove `methods` from the rule, to allow every request over TLS"
            ),
        ),
        (
            Obstacle.ADDRESS,
            rule("10.0.0.0/8"),
            attempt(Protocol.TLS, 443, host="10.1.2.3"),
            (
                "egress[2] '10.0.0.0/8' (line 9) leads only outside, and 10.1.2.3 is not (private (RFC 1918)): "
                "a human can add `allow_private = true` to the rule"
            ),
        ),
        (
            Obstacle.PROTOCOL,
            rule(API, METHODS),
            attempt(Protocol.TCP, 80),
            "egress[2] 'api.example.com' (line 9) restricts methods, so it allows HTTP, not TCP",
        ),
        (
            Obstacle.PROTOCOL,
            rule("*.example.com"),
            attempt(Protocol.TCP, 443),
            (
                "egress[2] '*.example.com' (line 9) names no port, so it allows HTTP on 80 and 443 and TLS on 443, "
                "not TCP on 443: a human can allow it with a rule for '*.example.com:443'"
            ),
        ),
        (
            Obstacle.PROTOCOL,
            rule("2001:db8::/32"),
            attempt(Protocol.TLS, 80, host="2001:db8::1"),
            (
                "egress[2] '2001:db8::/32' (line 9) names no port, so it allows HTTP on 80 and 443 and TLS on 443, "
                "not TLS on 80: a human can allow it with a rule for '[2001:db8::1]:80'"
            ),
        ),
        (
            Obstacle.PORT,
            rule(API),
            attempt(Protocol.TLS, 8443),
            "egress[2] 'api.example.com' (line 9) allows ports 80 and 443, not port 8443",
        ),
        (
            Obstacle.PORT,
            rule("api.example.com:22"),
            attempt(Protocol.TLS, 443),
            "egress[2] 'api.example.com:22' (line 9) allows port 22, not port 443",
        ),
    ],
)
def test_each_obstacle_is_one_sentence(
    obstacle: Obstacle, rule: Rule, attempt: Attempt, sentence: str
) -> None:
    assert explain_obstacle(obstacle, rule, attempt) == sentence


@given(st.text())
def test_a_method_of_the_agents_choice_is_repeated_only_when_short_and_printable(method: str) -> None:
    reason = explain_obstacle(Obstacle.METHOD, rule(API, METHODS), attempt(Protocol.HTTP, 80, method))
    assert reason.isprintable()
    assert len(reason) < 100 + METHOD_CHARS


def test_a_method_of_32_characters_is_the_longest_that_is_repeated() -> None:
    def said(method: str) -> str:
        return explain_obstacle(Obstacle.METHOD, rule(API, METHODS), attempt(Protocol.HTTP, 80, method))

    assert said("A" * 32).endswith("not " + "A" * 32)
    assert said("A" * 33).endswith("not another method")


def test_a_name_is_never_described_as_a_range() -> None:
    reason = explain_obstacle(Obstacle.ADDRESS, rule(API), attempt(Protocol.TLS, 443))
    assert "api.example.com is not (a name)" in reason
