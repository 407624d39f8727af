"""What is read when a run is over: every packet is counted where it was let by, refused or lost."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping

import pytest
from tests.kernel.namespace import Namespace, Network

from trio_egress.kernel.counters import DNS_LOST, INTERFACE, LOG_LOST, WAY_LOST, read_books
from trio_egress.kernel.nflog import DATAGRAM_BYTES

pytestmark = pytest.mark.sandbox

OUTSIDE = "203.0.113.9"


@pytest.fixture
def sockets(space: Namespace, network: Network) -> Iterator[Mapping[str, socket.socket]]:
    """Named as in a run."""
    with space.netlink(socket.NETLINK_ROUTE) as route:
        yield {
            "route": route,
            "netfilter": network.rules,
            "log": network.log,
            "dns_udp_v4": network.listeners[socket.AF_INET].dns_udp,
            "dns_udp_v6": network.listeners[socket.AF_INET6].dns_udp,
        }


def drain(sock: socket.socket) -> int:
    """How many messages wait in a socket's queue."""
    sock.setblocking(False)
    count = 0
    while True:
        try:
            sock.recv(DATAGRAM_BYTES)
        except BlockingIOError:
            return count
        except OSError:  # ENOBUFS, once
            continue
        count += 1


def test_books_of_a_network_where_nothing_happened(sockets: Mapping[str, socket.socket]) -> None:
    assert not any(packets for packets, _ in read_books(sockets).values())


def test_what_a_queue_had_no_room_for_and_what_it_holds_is_all_there_was(
    space: Namespace, network: Network, sockets: Mapping[str, socket.socket]
) -> None:
    with space.open_socket(kind=socket.SOCK_DGRAM) as client:
        for _ in range(3000):
            client.sendto(b"query", (OUTSIDE, 53))
        for _ in range(45_000):
            with contextlib.suppress(PermissionError):
                client.sendto(b"x", (OUTSIDE, 9))
    counters = read_books(sockets)
    assert (counters["dns_udp"][0], counters["udp"][0]) == (3000, 45_000)
    assert counters[DNS_LOST][0] + drain(network.listeners[socket.AF_INET].dns_udp) == 3000
    assert counters[LOG_LOST][0] + drain(network.log) == 45_000
    assert counters[DNS_LOST][0] > 0 < counters[LOG_LOST][0]
    assert counters[WAY_LOST] == (0, 0)
    assert counters[INTERFACE][0] >= 3000


def test_nothing_moves_a_counter_once_the_books_are_read(
    space: Namespace, network: Network, sockets: Mapping[str, socket.socket]
) -> None:
    before = read_books(sockets)
    with space.open_socket(kind=socket.SOCK_DGRAM) as client:
        for port in (9, 53):
            with pytest.raises(PermissionError):
                client.sendto(b"x", (OUTSIDE, port))
    with space.open_socket() as late:
        late.settimeout(0.1)
        with pytest.raises((PermissionError, TimeoutError)):
            late.connect((OUTSIDE, 443))
    assert network.counted() == {name: packets for name, (packets, _) in before.items() if packets} == {}
