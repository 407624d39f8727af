"""What stands between one rule and one attempt: the whole table."""

from __future__ import annotations

from typing import Any

import pytest
from tests.policy.specimens import OTHER, graphql, jsonrpc, make_attempt, make_request, make_rule

from trio_egress.model import NO_NEEDS, Attempt, Need, Protocol, RuleRef, Transport
from trio_egress.policy.budget import State, Usage
from trio_egress.policy.destination import parse_destination
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.moment import Moment
from trio_egress.policy.obstacle import LAYERS, Obstacle, find_needs, find_obstacle, is_of_request
from trio_egress.policy.rule import Rule, Terms

HTTP, TLS, TCP = Protocol.HTTP, Protocol.TLS, Protocol.TCP
ANY = "api.example.com"


def obstacle(
    destination: str,
    attempt: tuple[Protocol, int, str | None],
    *,
    host: str = ANY,
    methods: frozenset[str] | None = None,
    allow_private: bool = False,
    pinned: bool = False,
) -> Obstacle | None:
    terms = Terms(destination=parse_destination(destination), methods=methods, allow_private=allow_private)
    protocol, port, method = attempt
    rule = Rule(RuleRef(0, destination, 1), terms)
    return find_obstacle(
        rule, Attempt(Transport.TRANSPARENT, protocol, parse_host(host), port, method), pinned=pinned
    )


@pytest.mark.parametrize(
    ("protocol", "port", "found"),
    [
        (HTTP, 80, None),
        (HTTP, 443, None),
        (HTTP, 8080, Obstacle.PORT),
        (TLS, 443, None),
        (TLS, 80, Obstacle.PROTOCOL),
        (TLS, 8443, Obstacle.PORT),
        (TCP, 80, Obstacle.PROTOCOL),
        (TCP, 443, Obstacle.PROTOCOL),
        (TCP, 22, Obstacle.PORT),
    ],
)
def test_without_a_port_http_and_tls_pass_on_their_own_ports(
    protocol: Protocol, port: int, found: Obstacle | None
) -> None:
    assert obstacle(ANY, (protocol, port, "GET" if protocol is HTTP else None)) is found


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ({"PUT"}, None),
        ({"DELETE"}, Obstacle.METHOD),
        ({"PUT", "DELETE"}, Obstacle.METHOD),
        ({"?"}, Obstacle.METHOD),
    ],
)
def test_a_method_that_is_asked_for_in_place_of_another_has_to_be_named(
    overrides: set[str], found: Obstacle | None
) -> None:
    attempt = make_request(method="POST", overrides=frozenset(overrides))
    assert find_obstacle(make_rule(methods=["POST", "PUT"]), attempt, pinned=False) is found
    assert find_obstacle(make_rule(methods=["PUT"]), attempt, pinned=False) is Obstacle.METHOD
    assert find_obstacle(make_rule(), attempt, pinned=False) is None


@pytest.mark.parametrize("protocol", [HTTP, TLS, TCP])
def test_with_a_port_every_protocol_passes_on_that_port_alone(protocol: Protocol) -> None:
    assert obstacle(f"{ANY}:8443", (protocol, 8443, None)) is None
    for port in (80, 443, 8442, 0):
        assert obstacle(f"{ANY}:8443", (protocol, port, None)) is Obstacle.PORT


@pytest.mark.parametrize(
    ("attempt", "found"),
    [
        ((HTTP, 80, "GET"), None),
        ((HTTP, 443, "GET"), None),
        ((HTTP, 80, "HEAD"), Obstacle.METHOD),
        ((HTTP, 80, "get"), Obstacle.METHOD),
        ((HTTP, 80, None), Obstacle.METHOD),
        ((HTTP, 80, "CONNECT"), Obstacle.TUNNEL),
        ((HTTP, 8080, "GET"), Obstacle.PORT),
        ((TLS, 443, None), Obstacle.INTERCEPTION),
        ((TLS, 443, "GET"), Obstacle.INTERCEPTION),
        ((TCP, 80, None), Obstacle.PROTOCOL),
    ],
)
def test_a_rule_with_methods_passes_just_these_in_plain_http(
    attempt: tuple[Protocol, int, str | None], found: Obstacle | None
) -> None:
    assert obstacle(ANY, attempt, methods=frozenset({"GET"})) is found


def test_a_rule_with_methods_and_a_port_passes_no_other_protocol_there() -> None:
    assert obstacle(f"{ANY}:22", (TCP, 22, None), methods=frozenset({"GET"})) is Obstacle.PROTOCOL
    assert obstacle(f"{ANY}:22", (TLS, 22, None), methods=frozenset({"GET"})) is Obstacle.INTERCEPTION


@pytest.mark.parametrize("method", ["GET", "PROPFIND", "get", "", None])
def test_without_methods_any_method_passes(method: str | None) -> None:
    assert obstacle(ANY, (HTTP, 80, method)) is None


def test_no_rule_passes_a_connect_inside_http() -> None:
    assert obstacle(ANY, (HTTP, 80, "CONNECT")) is Obstacle.TUNNEL
    assert obstacle(f"{ANY}:8080", (HTTP, 8080, "CONNECT")) is Obstacle.TUNNEL
    assert obstacle(ANY, (HTTP, 80, "Connect")) is Obstacle.TUNNEL


@pytest.mark.parametrize(("destination", "host"), [("10.0.0.0/8", "10.1.2.3"), ("::1", "::1")])
def test_an_address_inside_passes_only_on_purpose(destination: str, host: str) -> None:
    assert obstacle(destination, (TLS, 443, None), host=host) is Obstacle.ADDRESS
    assert obstacle(destination, (TLS, 443, None), host=host, allow_private=True) is None
    assert obstacle(destination, (TLS, 443, None), host=host, pinned=True) is None


def test_an_address_outside_and_a_name_pass() -> None:
    assert obstacle("1.1.1.1", (TLS, 443, None), host="1.1.1.1") is None
    assert obstacle("localhost", (TLS, 443, None), host="localhost") is None


def test_the_nearest_miss_is_the_one_that_got_furthest() -> None:
    assert sorted(set(Obstacle)) == [
        Obstacle.LIMIT,
        Obstacle.TIME,
        Obstacle.BLIND,
        Obstacle.OPERATION,
        Obstacle.OPENING,
        Obstacle.HEADER,
        Obstacle.QUERY,
        Obstacle.PATH,
        Obstacle.METHOD,
        Obstacle.TUNNEL,
        Obstacle.INTERCEPTION,
        Obstacle.ADDRESS,
        Obstacle.UPGRADE,
        Obstacle.PROTOCOL,
        Obstacle.PORT,
    ]


def test_every_obstacle_has_a_layer() -> None:
    assert set(LAYERS) == set(Obstacle)


# what else a rule may say

EVERY = Moment(able=frozenset(Need))
SSH = Protocol.SSH


def meets(attempt: Attempt, moment: Moment = EVERY, **keys: Any) -> Obstacle | None:
    return find_obstacle(make_rule(**keys), attempt, pinned=False, moment=moment)


@pytest.mark.parametrize(
    ("keys", "attempt", "found"),
    [
        ({"protocol": "http"}, make_attempt(HTTP, 80), None),
        ({"protocol": "http"}, make_attempt(HTTP, 443), Obstacle.PORT),
        ({"protocol": "http"}, make_attempt(TCP, 80), Obstacle.PROTOCOL),
        ({"protocol": "https"}, make_attempt(TLS, 443), None),
        ({"protocol": "https"}, make_attempt(HTTP, 443, secure=True), None),
        ({"protocol": "https"}, make_attempt(HTTP, 443), Obstacle.PROTOCOL),
        ({"protocol": ["http", "https"]}, make_attempt(HTTP, 443), Obstacle.PROTOCOL),
        ({"protocol": ["http", "https"]}, make_attempt(TLS, 80), Obstacle.PROTOCOL),
        ({"protocol": "ssh"}, make_attempt(SSH, 22), None),
        ({"protocol": "ssh"}, make_attempt(TCP, 22), Obstacle.PROTOCOL),
        ({"protocol": "ssh"}, make_attempt(SSH, 2222), Obstacle.PORT),
        ({"protocol": "ssh", "ports": [2222]}, make_attempt(SSH, 2222), None),
        ({"protocol": "ssh", "destination": "a.example:2222"}, make_attempt(SSH, 2222), None),
        ({"protocol": "tcp", "ports": [5432]}, make_attempt(TCP, 5432), None),
        ({"protocol": "tcp", "ports": [5432]}, make_attempt(TLS, 5432), None),
        ({"ports": [80, "8000-8010"]}, make_attempt(TCP, 8010), None),
        ({"ports": [80, "8000-8010"]}, make_attempt(TCP, 8011), Obstacle.PORT),
        ({"scan": False, "times": ["Mon 00:00-24:00 UTC"]}, make_attempt(HTTP, 8080), Obstacle.PORT),
        ({"limits": {"connections": 1}}, make_attempt(TLS, 80), Obstacle.PROTOCOL),
        ({"limits": {"connections": 1}}, make_attempt(TCP, 443), Obstacle.PROTOCOL),
        ({"limits": {"connections": 1}}, make_attempt(TLS, 443), None),
    ],
)
def test_protocols_and_ports_are_those_that_a_rule_names(
    keys: dict[str, Any], attempt: Attempt, found: Obstacle | None
) -> None:
    assert meets(attempt, **keys) is found


@pytest.mark.parametrize(
    ("keys", "attempt", "found"),
    [
        ({"paths": ["/v1/*"]}, make_request("/v1/a"), None),
        ({"paths": ["/v1/*"]}, make_request("/v2/a"), Obstacle.PATH),
        ({"paths": ["/v1/*"]}, make_request("/v1/%2e%2e"), Obstacle.PATH),
        ({"paths": ["/v1/*"]}, make_attempt(HTTP, 80, method="GET"), Obstacle.PATH),
        ({"query": ["a"]}, make_request(query=frozenset()), None),
        ({"query": ["a"]}, make_request(query=frozenset({"a"})), None),
        ({"query": ["a"]}, make_request(query=frozenset({"a", "b"})), Obstacle.QUERY),
        ({"query": ["a"]}, make_request(query=None), Obstacle.QUERY),
        ({"headers": {"required": ["x"]}}, make_request(headers=frozenset({"x"})), None),
        ({"headers": {"required": ["x"]}}, make_request(), Obstacle.HEADER),
        ({"headers": {"forbidden": ["x"]}}, make_request(headers=frozenset({"x"})), Obstacle.HEADER),
        ({"headers": {"forbidden": ["x"]}}, make_request(headers=None), Obstacle.HEADER),
        ({"git": {"fetch": ["*"]}}, make_request("/a/git-upload-pack", "POST"), None),
        ({"git": {"fetch": ["*"]}}, make_request("/a/git-receive-pack", "POST"), Obstacle.OPERATION),
        ({"mcp": {"tools": ["a"]}}, make_request(calls=(jsonrpc("tools/call", "a"),)), None),
        ({"mcp": {"tools": ["a"]}}, make_request(calls=(jsonrpc("tools/call", "b"),)), Obstacle.OPERATION),
        ({"jsonrpc": {"methods": ["a"]}}, make_request(calls=(OTHER,)), Obstacle.OPERATION),
        ({"graphql": {"queries": ["a"]}}, make_request(calls=(graphql("query", "a"),)), None),
        ({"graphql": {"queries": ["a"]}}, make_request(), Obstacle.OPERATION),
        ({"methods": ["GET"], "paths": ["/a"]}, make_request("/a", "PUT"), Obstacle.METHOD),
        ({"paths": ["/a"]}, make_request("/a", "CONNECT"), Obstacle.TUNNEL),
        ({"paths": ["/a"]}, make_request("/a", websocket=True), Obstacle.UPGRADE),
        ({}, make_request("/a", websocket=True), Obstacle.UPGRADE),
        ({"websocket": {"enabled": True}}, make_request("/a", websocket=True), None),
        ({"websocket": {"enabled": False}}, make_request("/a", websocket=True), Obstacle.UPGRADE),
        ({"protocol": "tcp", "ports": [80]}, make_request("/a", websocket=True), Obstacle.UPGRADE),
        ({"protocol": "ws"}, make_request("/a", websocket=True), None),
        ({"protocol": "ws"}, make_request("/a"), Obstacle.PROTOCOL),
        ({"tls": "passthrough"}, make_attempt(TLS, 443), None),
        ({"tls": "passthrough"}, make_attempt(HTTP, 443, secure=True, method="GET"), Obstacle.PROTOCOL),
        ({"limits": {"requests": "1/day"}}, make_attempt(TCP, 443), Obstacle.PROTOCOL),
        ({"limits": {"body": 1}, "ports": [443]}, make_attempt(TCP, 443), Obstacle.PROTOCOL),
        ({"scan": True, "ports": [22]}, make_attempt(SSH, 22), Obstacle.PROTOCOL),
    ],
)
def test_requests_are_those_that_a_rule_describes(
    keys: dict[str, Any], attempt: Attempt, found: Obstacle | None
) -> None:
    assert meets(attempt, **keys) is found


@pytest.mark.parametrize(
    ("keys", "attempt", "needs", "without"),
    [
        ({}, make_attempt(TLS, 443), set(), None),
        ({"methods": ["GET"]}, make_attempt(TLS, 443), {Need.TLS}, Obstacle.INTERCEPTION),
        ({"methods": ["GET"]}, make_request(), set(), None),
        ({"tls": "intercept"}, make_attempt(TLS, 443), {Need.TLS}, Obstacle.INTERCEPTION),
        ({"tls": "intercept"}, make_request(), set(), None),
        ({"tls": "passthrough"}, make_attempt(TLS, 443), set(), None),
        ({"paths": ["/"]}, make_attempt(TLS, 443), {Need.TLS}, Obstacle.INTERCEPTION),
        ({"scan": True}, make_attempt(TLS, 443), {Need.TLS, Need.SCAN}, Obstacle.INTERCEPTION),
        ({"scan": True}, make_request(), {Need.SCAN}, Obstacle.BLIND),
        ({"mcp": {"tools": ["a"]}}, make_request(calls=None), {Need.BODIES}, Obstacle.BLIND),
        ({"mcp": {"tools": ["a"]}}, make_request(), set(), None),
        ({"graphql": {"queries": ["a"]}}, make_request(calls=None), {Need.BODIES}, Obstacle.BLIND),
        ({"jsonrpc": {"methods": ["a"]}}, make_request(calls=None), {Need.BODIES}, Obstacle.BLIND),
        ({"mcp": {"tools": ["a"]}}, make_attempt(TLS, 443), {Need.TLS}, Obstacle.INTERCEPTION),
        ({"limits": {"connections": 1}}, make_attempt(TLS, 443), {Need.METER}, Obstacle.BLIND),
        (
            {"limits": {"requests": "1/day"}},
            make_attempt(TLS, 443),
            {Need.TLS, Need.METER},
            Obstacle.INTERCEPTION,
        ),
        ({"protocol": "wss"}, make_attempt(TLS, 443), {Need.TLS}, Obstacle.INTERCEPTION),
        ({"protocol": ["https", "wss"]}, make_attempt(TLS, 443), set(), None),
        ({"websocket": {"enabled": True}}, make_attempt(TLS, 443), set(), None),
        ({"websocket": {"enabled": False}}, make_attempt(TLS, 443), {Need.TLS}, Obstacle.INTERCEPTION),
        ({"websocket": {"enabled": True}}, make_request(websocket=True), {Need.WEBSOCKET}, Obstacle.BLIND),
        ({"websocket": {"frame_scan": True}}, make_attempt(TLS, 443), {Need.TLS}, Obstacle.INTERCEPTION),
        (
            {"websocket": {"frame_scan": True}},
            make_request(websocket=True),
            {Need.WEBSOCKET, Need.FRAMES},
            Obstacle.BLIND,
        ),
        ({"protocol": "ws"}, make_request(websocket=True), {Need.WEBSOCKET}, Obstacle.BLIND),
    ],
)
def test_what_a_rule_needs_is_worked_out_and_who_cannot_do_it_is_denied(
    keys: dict[str, Any], attempt: Attempt, needs: set[Need], without: Obstacle | None
) -> None:
    assert find_needs(make_rule(**keys), attempt) == needs
    assert meets(attempt, **keys) is None
    assert meets(attempt, Moment(), **keys) is without
    for need in needs:
        assert meets(attempt, Moment(able=frozenset(Need) - {need}), **keys) is not None


def test_a_stream_is_not_allowed_by_a_rule_that_has_it_looked_through() -> None:
    for protocol in (SSH, TCP):
        attempt = make_attempt(protocol, 22)
        assert meets(attempt, scan=True, ports=[22]) is Obstacle.PROTOCOL
        assert (
            meets(attempt, Moment(), scan=True, ports=[22]) is Obstacle.BLIND
        )  # as runs recorded it that couldn't


def test_a_rule_holds_at_its_times_and_never_without_a_clock() -> None:
    keys = {"times": ["Thu 00:00-01:00 UTC", "Fri 00:00-01:00 UTC"]}
    for now_us, found in (
        (0, None),
        (86_400_000_000, None),
        (3_600_000_000, Obstacle.TIME),
        (None, Obstacle.TIME),
    ):
        assert meets(make_attempt(TLS, 443), Moment(now_us=now_us), **keys) is found


def test_a_rule_that_is_used_up_allows_no_more() -> None:
    moment = Moment(State({0: Usage(open=2)}), 0, frozenset(Need))
    assert meets(make_attempt(TLS, 443), moment, limits={"connections": 2}) is Obstacle.LIMIT
    assert meets(make_attempt(TLS, 443), moment, limits={"connections": 3}) is None


def test_only_what_a_request_says_could_be_otherwise_in_another() -> None:
    assert is_of_request(None)
    assert [obstacle for obstacle in Obstacle if not is_of_request(obstacle)] == [
        Obstacle.TUNNEL,
        Obstacle.INTERCEPTION,
        Obstacle.ADDRESS,
        Obstacle.UPGRADE,
        Obstacle.PROTOCOL,
        Obstacle.PORT,
    ]


def test_a_rule_without_such_keys_needs_nothing() -> None:
    assert find_needs(make_rule(), make_attempt(TLS, 443)) is NO_NEEDS
    assert make_rule().plain
    assert make_rule(name="x", reason="y", methods=["GET"], allow_private=True, scan=False).plain
    assert not make_rule(query=[]).plain
