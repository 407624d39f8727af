"""What stands between one rule and one attempt: the whole table."""

from __future__ import annotations

import pytest

from trio_egress.model import Attempt, Protocol, RuleRef, Transport
from trio_egress.policy.destination import parse_destination
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.obstacle import LAYERS, Obstacle, find_obstacle
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
