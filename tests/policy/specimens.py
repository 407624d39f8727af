"""Rules as a policy file would say them, and attempts at one host, for the tests of what judges them."""

from __future__ import annotations

from typing import Any

from trio_egress.model import Attempt, Call, CallKind, Protocol, RuleRef, Transport
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.keys import structure
from trio_egress.policy.rule import Policy, Rule, Terms

HOST = "a.example"


def make_terms(destination: str = HOST, **keys: Any) -> Terms:
    rule = {"destination": destination, **keys}
    return structure({"version": "1.0", "default_deny": True, "egress": [rule]}).egress[0]


def make_rule(destination: str = HOST, place: int = 0, **keys: Any) -> Rule:
    terms = make_terms(destination, **keys)
    return Rule(RuleRef(place, destination, place + 1, terms.name), terms)


def make_policy(*rules: dict[str, Any]) -> Policy:
    """Each rule is its keys, for HOST unless they say otherwise."""
    return Policy(tuple(make_rule(place=place, **rule) for place, rule in enumerate(rules)))


def make_attempt(
    protocol: Protocol = Protocol.HTTP,
    port: int = 80,
    host: str = HOST,
    method: str | None = None,
    **facts: Any,
) -> Attempt:
    return Attempt(Transport.TRANSPARENT, protocol, parse_host(host), port, method, **facts)


def make_request(path: str = "/", method: str = "GET", **facts: Any) -> Attempt:
    """A request in the clear of which everything is seen, and that has no query and no body."""
    seen: dict[str, Any] = {
        "query": frozenset(),
        "headers": frozenset({"host"}),
        "body_bytes": 0,
        "calls": (),
    }
    return make_attempt(method=method, path=path, **{**seen, **facts})


def graphql(method: str, *fields: str, name: str | None = None) -> Call:
    return Call(CallKind.GRAPHQL, method, name, fields)


def jsonrpc(method: str, tool: str | None = None) -> Call:
    return Call(CallKind.JSONRPC, method, tool)


OTHER = Call(CallKind.OTHER)
