"""Dialling: what the resolver says is checked address by address, and only a checked address is connected to."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
import trio.testing
from tests.proxy.conftest import few_descriptors

from trio_egress.model import HOST_INTERNAL, Avoided, Endpoint, Layer, Name, RuleRef, Upstream
from trio_egress.proxy.dial import Dialled, Undialled, dial, find_endpoints
from trio_egress.proxy.gate import Limits

if TYPE_CHECKING:
    from tests.proxy.conftest import Resolver

HOST = Name("api.example")
LIMITS = Limits()


@asynccontextmanager
async def listening(address: str = "127.0.0.1") -> AsyncIterator[int]:
    (listener,) = await trio.open_tcp_listeners(0, host=address)
    async with listener:
        yield listener.socket.getsockname()[1]


async def connect(upstream: Upstream, limits: Limits = LIMITS) -> Endpoint:
    """Where it was connected to."""
    dialled = await dial(upstream, limits)
    assert isinstance(dialled, Dialled), dialled
    with dialled.sock as sock:
        peer = sock.getpeername()
    assert dialled.endpoint == Endpoint(ip_address(peer[0]), peer[1])
    return dialled.endpoint


async def fail(upstream: Upstream, limits: Limits = LIMITS) -> Undialled:
    dialled = await dial(upstream, limits)
    assert isinstance(dialled, Undialled)
    return dialled


# which addresses


async def test_pin_is_dialled_and_nothing_is_looked_up(resolver: Resolver) -> None:
    async with listening() as port:
        pin = Endpoint(ip_address("127.0.0.1"), port)
        assert await connect(Upstream(HOST, 443, pin)) == pin
    assert resolver.asked == []


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "198.18.0.2",
        "0.0.0.0",
        "::1",
        "fe80::1%1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
    ],
)
async def test_name_with_an_inside_address_is_blocked_and_not_dialled(
    resolver: Resolver, address: str
) -> None:
    resolver.answers[HOST.encode()] = [address]
    failed = await fail(Upstream(HOST, 443))
    assert failed.blocked
    assert "has no outside address" in failed.reason


async def test_only_outside_addresses_of_a_mixed_answer_are_candidates(resolver: Resolver) -> None:
    resolver.answers[HOST.encode()] = ["10.0.0.1", "93.184.216.34", "::1", "2606:2800::1", "93.184.216.34"]
    assert await find_endpoints(Upstream(HOST, 443), LIMITS) == [
        Endpoint(ip_address("93.184.216.34"), 443),
        Endpoint(ip_address("2606:2800::1"), 443),
    ]


OWN = ("93.184.216.34", "2606:2800::1")
FIND = """
import sys, trio
from ipaddress import ip_address
from trio_egress.model import Upstream
from trio_egress.proxy.dial import find_endpoints
from trio_egress.proxy.gate import Limits
for text in sys.argv[1:]:
    for private in (False, True):
        upstream = Upstream(ip_address(text), 443, allow_private=private)
        found = trio.run(find_endpoints, upstream, Limits())
        print(getattr(found, "reason", "to be dialled"))
"""
ELSEWHERE = """
ip link add way type dummy && ip link set way up && ip link set lo up
ip addr add 192.0.2.1/24 dev way && ip route add default dev way
ip -6 addr add 2001:db8::1/64 dev way nodad && ip -6 route add default dev way
"""


def find_in_a_namespace(setup: str) -> list[str]:
    """What is said of OWN, without and with `allow_private`, on a machine of its own."""
    command = ["unshare", "--map-root-user", "--net", "sh", "-ec", f'{setup}\nexec "$@"', "sh"]
    ran = subprocess.run(
        [*command, sys.executable, "-c", FIND, *OWN], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_an_address_of_this_machine_is_inside_however_public_it_is() -> None:
    """Its services that listen on every address would be reached. With the control: it is somebody else's."""
    assert find_in_a_namespace(ELSEWHERE) == ["to be dialled"] * 4
    cure = "`allow_private = true` in its rule lets it"
    refused = [f"{own} has no outside address: {own} is this machine's own; {cure}" for own in OWN]
    mine = f"{ELSEWHERE}\nip addr add {OWN[0]}/32 dev lo && ip -6 addr add {OWN[1]}/128 dev lo nodad"
    assert find_in_a_namespace(mine) == [refused[0], "to be dialled", refused[1], "to be dialled"]


DENIED = (
    Avoided(ip_network("93.184.0.0/16"), RuleRef(2, "93.184.0.0/16", 9)),
    Avoided(ip_network("127.0.0.1"), RuleRef(3, "127.0.0.1", 11)),
)


async def test_an_address_that_a_rule_denies_is_no_candidate(resolver: Resolver) -> None:
    resolver.answers[HOST.encode()] = ["93.184.216.34", "2606:2800::1"]
    assert await find_endpoints(Upstream(HOST, 443, avoided=DENIED), LIMITS) == [
        Endpoint(ip_address("2606:2800::1"), 443)
    ]


@pytest.mark.parametrize(
    ("upstream", "said"),
    [
        (Upstream(HOST, 443), "93.184.216.34 by egress[2] '93.184.0.0/16' (line 9)"),
        (
            Upstream(HOST, 443, Endpoint(ip_address("127.0.0.1"), 1)),
            "127.0.0.1 by egress[3] '127.0.0.1' (line 11)",
        ),
        (Upstream(ip_address("93.184.0.1"), 443), "93.184.0.1 by egress[2]"),
    ],
)
async def test_where_every_address_is_denied_nothing_is_dialled(
    resolver: Resolver, upstream: Upstream, said: str
) -> None:
    resolver.answers[HOST.encode()] = ["93.184.216.34"]
    failed = await fail(attrs.evolve(upstream, avoided=DENIED))
    assert (failed.blocked, failed.layer) == (True, Layer.DENY_RULE)
    assert said in failed.reason


async def test_loopback_of_the_host_is_dialled_and_nothing_is_looked_up(resolver: Resolver) -> None:
    async with listening() as port:
        upstream = Upstream(HOST_INTERNAL, port, loopback=True)
        assert await connect(upstream) == Endpoint(ip_address("127.0.0.1"), port)
    assert resolver.asked == []


async def test_loopback_of_the_host_is_its_ipv6_address_where_the_other_refuses(resolver: Resolver) -> None:
    async with listening("::1") as port:
        upstream = Upstream(HOST_INTERNAL, port, loopback=True)
        assert await connect(upstream) == Endpoint(ip_address("::1"), port)
    failed = await fail(upstream)
    assert failed.reason.startswith(
        f"host.internal:{port} can't be reached: 127.0.0.1:{port}: connection refused"
    )
    assert not failed.blocked


async def test_private_addresses_are_dialled_where_the_rule_allows_them(resolver: Resolver) -> None:
    resolver.answers[HOST.encode()] = ["127.0.0.1"]
    async with listening() as port:
        endpoint = await connect(Upstream(HOST, port, allow_private=True))
    assert endpoint.address == ip_address("127.0.0.1")


async def test_mapped_address_is_dialled_as_the_ipv4_address_in_it(resolver: Resolver) -> None:
    resolver.answers[HOST.encode()] = ["::ffff:127.0.0.1"]
    async with listening() as port:
        endpoint = await connect(Upstream(HOST, port, allow_private=True))
    assert endpoint.address == ip_address("127.0.0.1")


async def test_address_is_checked_without_a_look_up(resolver: Resolver) -> None:
    failed = await fail(Upstream(ip_address("127.0.0.1"), 80))
    assert failed.blocked
    assert resolver.asked == []


async def test_ipv6_is_dialled() -> None:
    async with listening("::1") as port:
        endpoint = await connect(Upstream(ip_address("::1"), port, allow_private=True))
    assert str(endpoint) == f"[::1]:{port}"


# what fails


async def test_unknown_name_is_a_failure_that_names_it(resolver: Resolver) -> None:
    failed = await fail(Upstream(HOST, 443))
    assert failed == Undialled("api.example can't be resolved: Name or service not known")


async def test_slow_resolver_is_too_late(resolver: Resolver) -> None:
    resolver.answers[HOST.encode()] = []
    failed = await fail(Upstream(HOST, 443), Limits(resolve_seconds=0.01))
    assert failed.late
    assert "wasn't resolved within 0.01 s" in failed.reason


async def test_every_refused_address_is_in_the_reason(resolver: Resolver) -> None:
    resolver.answers[HOST.encode()] = ["127.0.0.1", "127.0.0.2"]
    async with listening() as port:
        pass
    failed = await fail(Upstream(HOST, port, allow_private=True))
    assert failed.reason == (
        f"api.example:{port} can't be reached: 127.0.0.1:{port}: connection refused; "
        f"127.0.0.2:{port}: connection refused"
    )
    assert not failed.blocked
    assert not failed.late


async def test_next_address_is_tried_when_one_refuses(resolver: Resolver) -> None:
    resolver.answers[HOST.encode()] = ["127.0.0.2", "127.0.0.1"]
    async with listening() as port:
        endpoint = await connect(
            Upstream(HOST, port, allow_private=True), attrs.evolve(LIMITS, stagger_seconds=60)
        )
    assert endpoint.address == ip_address("127.0.0.1")


@asynccontextmanager
async def deaf() -> AsyncIterator[int]:
    """A port whose backlog is full: a connection to it is neither accepted nor refused."""
    with trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        await listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        with trio.socket.socket() as one, trio.socket.socket() as two:
            await one.connect(("127.0.0.1", port))
            with trio.move_on_after(0.05):
                await two.connect(("127.0.0.1", port))
            yield port


async def test_silent_address_does_not_hold_up_the_next(resolver: Resolver) -> None:
    resolver.answers[HOST.encode()] = ["127.0.0.1", "127.0.0.2"]
    async with deaf() as port:
        with trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
            await other.bind(("127.0.0.2", port))
            other.listen(5)
            endpoint = await connect(
                Upstream(HOST, port, allow_private=True), attrs.evolve(LIMITS, stagger_seconds=0.01)
            )
    assert endpoint.address == ip_address("127.0.0.2")


async def test_dial_without_an_answer_is_too_late(resolver: Resolver) -> None:
    async with deaf() as port:
        failed = await fail(
            Upstream(ip_address("127.0.0.1"), port, allow_private=True), Limits(connect_seconds=0.05)
        )
    assert failed.late
    assert "no answer within 0.05 s" in failed.reason


async def test_cancelled_dial_leaves_no_socket(resolver: Resolver) -> None:
    async with deaf() as port:
        with trio.move_on_after(0.01) as scope:
            await dial(Upstream(ip_address("127.0.0.1"), port, allow_private=True), LIMITS)
    assert scope.cancelled_caught


async def test_without_descriptors_nothing_is_dialled() -> None:
    async with listening() as port:
        with few_descriptors():
            failed = await fail(Upstream(HOST, 443, Endpoint(ip_address("127.0.0.1"), port)))
    assert failed.reason == f"{HOST}:443 can't be reached: 127.0.0.1:{port}: too many open files"


async def test_a_look_up_that_finds_no_descriptor_is_a_failure(resolver: Resolver) -> None:
    resolver.faults[HOST.encode()] = OSError(errno.EMFILE, os.strerror(errno.EMFILE))  # of EAI_SYSTEM
    failed = await fail(Upstream(HOST, 443))
    assert failed.reason == f"{HOST} can't be resolved: Too many open files"
