"""A policy as a value."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import attrs
import pytest
from tests.policy.specimens import make_policy, make_rule

from trio_egress.errors import Problem
from trio_egress.model import Endpoint, Name, RuleRef
from trio_egress.policy.cases import Case, PlacedCase
from trio_egress.policy.destination import parse_destination
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.rule import Pin, Policy, Resolve, Rule, Source, Terms, Tls

LOOPBACK = ip_address("127.0.0.1")
API = Name("api.example.com")


def rule(destination: str, index: int = 0) -> Rule:
    return Rule(RuleRef(index, destination, index + 1), Terms(destination=parse_destination(destination)))


def test_terms_allow_any_method_and_nothing_private_unless_they_say_so() -> None:
    terms = Terms(destination=parse_destination("api.example.com"))
    assert (terms.methods, terms.allow_private) == (None, False)


def test_a_policy_indexes_its_rules() -> None:
    policy = Policy((rule("api.example.com"), rule("*.example.com", 1)))
    assert {found.ref.index for found in policy.index.find(API)} == {0, 1}


@pytest.mark.parametrize(
    ("keys", "inside", "looks"),
    [
        ({}, (), set()),
        ({"methods": ["GET"]}, ("methods",), set()),
        ({"paths": ["/a"]}, ("paths",), set()),
        ({"query": ["a"]}, ("query",), {"query"}),
        ({"headers": {"required": ["a"]}}, ("headers",), {"headers"}),
        ({"git": {"fetch": ["a"]}}, ("git",), {"query", "service"}),
        ({"graphql": {"queries": ["a"]}}, ("graphql",), {"calls"}),
        ({"jsonrpc": {"methods": ["a"]}}, ("jsonrpc",), {"calls"}),
        ({"mcp": {"tools": ["a"]}}, ("mcp",), {"calls"}),
        ({"scan": True}, ("scan",), set()),
        ({"websocket": {"enabled": True}}, (), set()),
        ({"websocket": {"enabled": False}}, ("websocket",), set()),
        ({"websocket": {"enabled": True, "frame_scan": True}}, ("websocket",), set()),
        ({"limits": {"connections": 1}}, (), {"body_bytes", "now_us"}),
        (
            {"limits": {"requests": "1/day", "body": 1}},
            ("limits.requests", "limits.body"),
            {"body_bytes", "now_us"},
        ),
        ({"protocol": "wss"}, ("protocol",), set()),
        ({"protocol": ["wss", "ssh"]}, ("protocol",), set()),
        ({"protocol": ["https", "wss"]}, (), set()),
        ({"protocol": "https"}, (), set()),
        ({"times": ["Mon 00:00-24:00 UTC"]}, (), {"now_us"}),
        ({"tls": "passthrough", "ports": [443]}, (), set()),
    ],
)
def test_what_a_rule_hangs_on_is_worked_out(
    keys: dict[str, Any], inside: tuple[str, ...], looks: set[str]
) -> None:
    made = make_rule(**keys)
    assert made.inside == inside
    assert Policy((made,)).looks_at == looks
    assert made.plain == (not keys or set(keys) == {"methods"})


def test_words_and_what_is_false_leave_a_rule_plain() -> None:
    assert make_rule(name="x", reason="y", scan=False, allow_private=True, deny=False).plain
    assert make_rule(deny=True, methods=["GET"]).plain
    assert not make_rule(tls="intercept").plain


def test_tls_is_written_as_the_policy_has_it() -> None:
    assert [tls.value for tls in Tls] == ["intercept", "passthrough"]


def test_rules_that_deny_are_found_apart() -> None:
    assert Policy((make_rule(),)).denials is None
    policy = make_policy({}, {"deny": True})
    assert policy.denials is not None
    assert [found.ref.index for found in policy.denials.find(parse_host("a.example"))] == [1]
    assert [found.ref.index for found in policy.index.find(parse_host("a.example"))] == [0]


def test_networks_that_rules_deny_are_kept_in_an_order_of_their_own() -> None:
    rules: list[dict[str, Any]] = [
        {"destination": "10.0.0.0/8"},
        {"destination": "a.example", "deny": True},
        {"destination": "192.0.2.1", "deny": True, "ports": [22]},
        {"destination": "10.0.0.0/8", "deny": True, "ports": [1]},
        {"destination": "192.0.2.1", "deny": True},
        {"destination": "10.0.0.0/8", "deny": True, "methods": ["GET"]},
        {"destination": "11.0.0.0/8", "deny": True},
    ]
    policy = make_policy(*rules)
    assert [(str(each.network), each.rule.index) for each in policy.always_avoided] == [
        ("11.0.0.0/8", 6),
        ("192.0.2.1/32", 4),
    ]
    assert [(str(network), rule.ref.index) for network, rule in policy.avoided] == [
        ("10.0.0.0/8", 3),
        ("10.0.0.0/8", 5),
    ]


def test_what_is_no_meaning_makes_no_difference_between_rules_and_policies() -> None:
    first = make_rule()
    assert first == attrs.evolve(first, rank=7)
    assert first.rank == 0
    policy = Policy((first,))
    assert policy == attrs.evolve(policy, source_file="other")
    assert policy == attrs.evolve(policy, cases=(PlacedCase(Case(attempt="a", expect=True), "f:1:1"),))
    assert policy == attrs.evolve(policy, warnings=(Problem("f", 1, 1, "w"),))
    assert policy == attrs.evolve(policy, sources=(Source("f", "", ""),))
    assert policy.source_file == ""
    assert policy != Policy((make_rule(scan=True),))


def test_a_changed_policy_is_indexed_anew() -> None:
    policy = attrs.evolve(Policy((rule("api.example.com"),)), rules=())
    assert policy.index.find(API) == ()


def test_policies_with_the_same_rules_are_equal_whatever_their_file() -> None:
    policies = {Policy((rule("api.example.com"),), source_file=name) for name in ("a.toml", "b.toml")}
    assert len(policies) == 1


def test_a_policy_cannot_be_changed() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Policy().rules = ()  # type: ignore[misc]


def test_a_host_without_a_pin_is_not_pinned() -> None:
    assert Resolve().find(API, 443) is None
    assert Resolve((Pin(Name("other.example"), None, LOOPBACK, 1),)).find(API, 443) is None


def test_a_pin_with_a_port_is_for_that_port() -> None:
    resolve = Resolve((Pin(API, 443, LOOPBACK, 8443),))
    assert resolve.find(API, 443) == Endpoint(LOOPBACK, 8443)
    assert resolve.find(API, 80) is None


def test_a_pin_without_ports_keeps_the_port_that_was_asked_for() -> None:
    resolve = Resolve((Pin(API, None, LOOPBACK, None),))
    assert resolve.find(API, 22) == Endpoint(LOOPBACK, 22)


def test_a_pin_with_a_port_goes_before_one_without() -> None:
    resolve = Resolve((Pin(API, None, LOOPBACK, 1), Pin(API, 443, LOOPBACK, 2)))
    assert resolve.find(API, 443) == Endpoint(LOOPBACK, 2)
    assert resolve.find(API, 80) == Endpoint(LOOPBACK, 1)


@pytest.mark.parametrize(
    ("pin", "target", "answer"),
    [
        (Pin(API, None, LOOPBACK, None), "api.example.com", "127.0.0.1"),
        (Pin(API, 443, ip_address("::1"), 8443), "api.example.com:443", "[::1]:8443"),
        (Pin(parse_host("2001:db8::1"), 443, ip_address("::1"), None), "[2001:db8::1]:443", "::1"),
    ],
)
def test_a_pin_is_written_as_in_a_policy(pin: Pin, target: str, answer: str) -> None:
    assert (pin.target, pin.answer) == (target, answer)
