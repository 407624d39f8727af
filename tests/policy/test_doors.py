"""Protocols and ports."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.model import Attempt, Name, Protocol, Transport
from trio_egress.policy.doors import OWN_PORTS, Ports, Scheme, find_schemes, merge_ports, parse_ports


@pytest.mark.parametrize(
    ("protocol", "secure", "websocket", "schemes"),
    [
        (Protocol.HTTP, False, False, {Scheme.HTTP}),
        (Protocol.HTTP, True, False, {Scheme.HTTPS}),
        (Protocol.HTTP, False, True, {Scheme.WS}),
        (Protocol.HTTP, True, True, {Scheme.WSS}),
        (Protocol.TLS, False, False, {Scheme.HTTPS, Scheme.WSS}),
        (Protocol.SSH, False, False, {Scheme.SSH}),
        (Protocol.TCP, False, False, {Scheme.TCP}),
    ],
)
def test_an_attempt_may_be_what_cannot_be_told_apart(
    protocol: Protocol, secure: bool, websocket: bool, schemes: set[Scheme]
) -> None:
    attempt = Attempt(
        Transport.TRANSPARENT, protocol, Name("a.example"), 1, secure=secure, websocket=websocket
    )
    assert find_schemes(attempt) == schemes


def test_only_raw_tcp_has_no_port_of_its_own() -> None:
    assert set(Scheme) - OWN_PORTS.keys() == {Scheme.TCP}


@pytest.mark.parametrize(
    ("value", "ports", "shown"),
    [
        (1, Ports(1, 1), "1"),
        (65535, Ports(65535, 65535), "65535"),
        ("8000-8099", Ports(8000, 8099), "8000-8099"),
        ("1-65535", Ports(1, 65535), "1-65535"),
    ],
)
def test_ports_are_numbers_and_ranges(value: object, ports: Ports, shown: str) -> None:
    assert parse_ports(value) == ports
    assert str(ports) == shown


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (0, "a port is a number"),
        (65536, "a port is a number"),
        (True, "a port is a number"),
        (80.0, "a port is a number"),
        ("80", "a port is a number"),
        ("080-90", "a port is a number"),
        ("80-", "a port is a number"),
        ("90-80", "from a smaller to a larger"),
        ("80-80", "from a smaller to a larger"),
        ("80-65536", "from a smaller to a larger"),
    ],
)
def test_anything_else_is_refused(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_ports(value)


_PORTS = st.tuples(st.integers(1, 30), st.integers(0, 5)).map(lambda pair: Ports(pair[0], pair[0] + pair[1]))


@given(st.lists(_PORTS, max_size=8))
def test_the_same_ports_have_one_form(ports: list[Ports]) -> None:
    merged = merge_ports(ports)
    meant = {port for part in ports for port in range(part.first, part.last + 1)}
    assert {port for part in merged for port in range(part.first, part.last + 1)} == meant
    assert merge_ports(ports[::-1]) == merged
    assert all(one.last + 1 < other.first for one, other in itertools.pairwise(merged))


def test_each_scheme_has_the_port_of_its_registration() -> None:
    assert {scheme.value: OWN_PORTS.get(scheme) for scheme in Scheme} == {
        "http": 80,
        "https": 443,
        "ws": 80,  # RFC 6455 3
        "wss": 443,
        "ssh": 22,
        "tcp": None,
    }
