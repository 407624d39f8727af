"""A policy as a value."""

from __future__ import annotations

from ipaddress import ip_address

import attrs
import pytest

from trio_egress.model import Endpoint, Name, RuleRef
from trio_egress.policy.destination import parse_destination
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.rule import Pin, Policy, Resolve, Rule, Terms

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
