"""The examples of a rule: attempts that it is about."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.policy.specimens import make_policy

from trio_egress.model import Attempt, CallKind, Need, Protocol
from trio_egress.policy.compiled import render_compiled
from trio_egress.policy.engine import decide
from trio_egress.policy.examples import find_examples

HTTP, TLS, SSH, TCP = Protocol.HTTP, Protocol.TLS, Protocol.SSH, Protocol.TCP


def examples(**keys: Any) -> list[Attempt]:
    (rule,) = json.loads(render_compiled(make_policy(keys)))["egress"]
    return [spelt.attempt for spelt, _ in find_examples(rule)]


def doors(**keys: Any) -> set[tuple[Protocol, int]]:
    return {(attempt.protocol, attempt.port) for attempt in examples(**keys)}


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"destination": "*.example"},
        {"destination": "1.1.1.0/24"},
        {"ports": ["8000-8010"]},
        {"protocol": "ssh"},
        {"protocol": "tcp", "ports": [5432]},
        {"methods": ["PURGE"]},
        {"paths": ["/a/**/b"]},
        {"query": ["a"]},
        {"headers": {"required": ["x"]}},
        {"git": {"fetch": ["org/*"]}},
        {"git": {"push": ["org/*"]}},
        {"graphql": {"queries": ["a*"]}},
        {"graphql": {"mutations": ["a"]}},
        {"graphql": {"operations": ["a*"]}},
        {"jsonrpc": {"methods": ["a"]}},
        {"mcp": {"tools": ["a"]}},
        {"mcp": {"methods": ["a"]}},
        {"tls": "passthrough"},
        {"scan": True},
        {"protocol": "wss"},
        {"times": ["Sat-Sun 00:00-24:00 UTC"]},
        {"limits": {"connections": 1}},
    ],
)
def test_each_rule_allows_one_of_its_own_examples_for_what_it_says(keys: dict[str, Any]) -> None:
    policy = make_policy(keys)
    (rule,) = json.loads(render_compiled(policy))["egress"]
    allowed = [
        spelt.attempt
        for spelt, moment in find_examples(rule)
        if decide(policy, spelt.attempt, moment).allowed
    ]
    assert allowed
    if {"methods", "paths", "query", "headers", "git", "graphql", "jsonrpc", "mcp"} & set(keys):
        assert any(attempt.protocol is HTTP and attempt.secure for attempt in allowed)
        assert any(attempt.protocol is HTTP and not attempt.secure for attempt in allowed)


def test_the_doors_are_those_that_are_named_or_the_usual_ones() -> None:
    assert doors() == {(TLS, 443), (HTTP, 443), (HTTP, 80), (SSH, 22)}
    assert doors(ports=[5432, "8000-8010"]) == {
        (protocol, port) for protocol in (TCP, SSH, TLS, HTTP) for port in (5432, 8000, 8010)
    }
    assert doors(destination="a.example:22") == {(protocol, 22) for protocol in (TCP, SSH, TLS, HTTP)}


def test_a_request_is_tried_in_the_clear_and_inside_tls() -> None:
    (rule,) = json.loads(render_compiled(make_policy({"ports": [8443]})))["egress"]
    for spelt, moment in find_examples(rule):
        assert spelt.attempt.secure == (spelt.connection is not None)
        if spelt.connection is not None:
            assert (spelt.connection.protocol, spelt.connection.port) == (TLS, 8443)
            assert moment.able == frozenset(Need)
    able = {moment.able for spelt, moment in find_examples(rule) if spelt.attempt.protocol is SSH}
    assert able == {frozenset(), frozenset(Need)}


def test_patterns_are_filled_and_the_first_request_asks_for_no_more() -> None:
    asked = examples(paths=["/a/*", "/b/**"], headers={"required": ["x"], "forbidden": ["y"]}, query=["q"])
    requests = [attempt for attempt in asked if attempt.protocol is HTTP]
    assert {attempt.path for attempt in requests} == {"/a/some-name", "/b/some-name/some-name"}
    assert {attempt.method for attempt in requests} == {"GET", "POST"}
    assert {attempt.headers for attempt in requests} == {frozenset({"x"}), frozenset({"x", "y"})}
    assert {attempt.query for attempt in requests} == {frozenset(), frozenset({"q"})}
    first = requests[0]
    assert (first.query, first.headers, first.calls, first.websocket) == (
        frozenset(),
        frozenset({"x"}),
        (),
        False,
    )
    differing = [
        sum(
            (
                attempt.query != first.query,
                attempt.headers != first.headers,
                attempt.calls != first.calls,
                attempt.websocket,
            )
        )
        for attempt in requests
    ]
    assert set(differing) == {0, 1}


def test_a_websocket_is_asked_for_where_it_could_be() -> None:
    policy = make_policy({"websocket": {"enabled": True}})
    (rule,) = json.loads(render_compiled(policy))["egress"]
    assert any(
        spelt.attempt.websocket and decide(policy, spelt.attempt, moment).allowed
        for spelt, moment in find_examples(rule)
    )


def test_calls_are_made_of_the_names_and_one_is_of_no_kind() -> None:
    def calls(**keys: Any) -> set[tuple[CallKind, str, str | None, tuple[str, ...]]]:
        made = [call for attempt in examples(**keys) for call in attempt.calls or ()]
        return {(call.kind, call.method, call.name, call.fields) for call in made}

    other = (CallKind.OTHER, "", None, ())
    assert calls() == {other}
    assert calls(mcp={"tools": ["a_*"], "methods": ["m"]}) == {
        other,
        (CallKind.JSONRPC, "m", None, ()),
        (CallKind.JSONRPC, "tools/call", "a_some-name", ()),
    }
    assert calls(jsonrpc={"methods": ["m"]}) == {other, (CallKind.JSONRPC, "m", None, ())}
    assert calls(graphql={"queries": ["q"], "mutations": ["m"], "subscriptions": ["s"]}) == {
        other,
        (CallKind.GRAPHQL, "query", "some-name", ("q",)),
        (CallKind.GRAPHQL, "mutation", "some-name", ("m",)),
        (CallKind.GRAPHQL, "subscription", "some-name", ("s",)),
    }


def test_repositories_are_fetched_from_and_pushed_to() -> None:
    paths = {attempt.path for attempt in examples(git={"fetch": ["a/*"], "push": ["b/c"]})}
    assert paths == {
        None,
        "/",
        "/a/some-name/git-upload-pack",
        "/b/c/git-receive-pack",
        "/a/some-name",
        "/b/c",
    }
    commands = [attempt for attempt in examples(git={"push": ["b/c"]}) if attempt.protocol is Protocol.SSH]
    assert {(attempt.path, attempt.service) for attempt in commands} == {
        (None, None),
        ("/b/c", "git-receive-pack"),
    }
