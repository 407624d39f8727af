"""The rules at work: every packet that a program can send, and where it ends up."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_address

import pytest
from tests.kernel.namespace import LOOPBACK, Namespace, Network

from trio_egress.errors import SandboxError
from trio_egress.kernel import netlink, nft
from trio_egress.kernel.origin import original_destination
from trio_egress.model import Endpoint

pytestmark = pytest.mark.sandbox

V4, V6 = socket.AF_INET, socket.AF_INET6
OUTSIDE: dict[int, str] = {V4: "203.0.113.9", V6: "2001:db8::9"}  # RFC 5737, RFC 3849
FAST_SECONDS = 0.9
"""What is refused is told before the kernel sends its first packet again (RFC 6298 2.1: after a second)."""

IP_OPTIONS, IP_TRANSPARENT, IP_FREEBIND = 4, 19, 15
IPV6_RTHDR, IPV6_TRANSPARENT = 57, 75
IPPROTO_MPTCP, IPPROTO_UDPLITE, IPPROTO_GRE = 262, 136, 47

NO_LINGER = struct.pack("ii", 1, 0)

MakeSocket = Callable[..., socket.socket]


@pytest.fixture
def make(network: Network) -> Iterator[MakeSocket]:
    """Sockets of the agent, closed at the end."""
    with ExitStack() as stack:

        def make(family: int = V4, kind: int = socket.SOCK_STREAM, proto: int = 0) -> socket.socket:
            return stack.enter_context(network.space.open_socket(family, kind, proto))

        yield make


def refused_fast(send: Callable[[], object]) -> bool:
    """Whether it fails at once, as a refusal does and a lost packet does not."""
    started = time.monotonic()
    with pytest.raises((PermissionError, ConnectionRefusedError)):
        send()
    return time.monotonic() - started < FAST_SECONDS


# TCP to the outside

OUTSIDE_ADDRESSES = (
    (V4, "203.0.113.9"),
    (V4, "198.18.0.5"),
    (V4, "169.254.169.254"),
    (V4, "192.168.1.1"),
    (V4, "240.0.0.1"),
    (V4, "0.1.2.3"),
    (V4, "126.255.255.255"),
    (V4, "128.0.0.1"),
    (V6, "2001:db8::9"),
    (V6, "fd74:7269:6f65:6772::5"),
    (V6, "64:ff9b::cb00:7109"),
    (V6, "2002:cb00:7109::1"),
    (V6, "::2"),
    (V6, "::203.0.113.9"),
)


@pytest.mark.parametrize(("family", "address"), OUTSIDE_ADDRESSES)
def test_tcp_to_the_outside_arrives_at_the_transparent_listener(
    network: Network, make: MakeSocket, family: int, address: str
) -> None:
    client = make(family)
    client.connect((address, 443))
    accepted, _ = network.listeners[family].transparent.accept()
    with accepted:
        assert original_destination(accepted, family) == Endpoint(ip_address(address), 443)
        client.sendall(b"ping")
        accepted.sendall(accepted.recv(4) + b"pong")
        assert client.recv(8) == b"pingpong"
        assert client.getpeername()[:2] == (address, 443)
    assert network.counted() == {"redirected": 1}
    assert network.dropped() == []


def test_mapped_address_arrives_at_the_ipv4_listener(network: Network, make: MakeSocket) -> None:
    make(V6).connect(("::ffff:203.0.113.9", 443))
    accepted, _ = network.listeners[V4].transparent.accept()
    with accepted:
        assert original_destination(accepted, V4) == Endpoint(ip_address("203.0.113.9"), 443)


def test_multipath_tcp_is_redirected_too(network: Network, make: MakeSocket) -> None:
    try:
        client = make(V4, socket.SOCK_STREAM, IPPROTO_MPTCP)
    except OSError:
        pytest.skip("this kernel has no MPTCP")
    client.connect((OUTSIDE[V4], 443))
    accepted, _ = network.listeners[V4].transparent.accept()
    with accepted:
        assert original_destination(accepted, V4) == Endpoint(ip_address(OUTSIDE[V4]), 443)


def test_data_with_the_first_packet_is_redirected_too(network: Network, make: MakeSocket) -> None:
    client = make()
    client.setblocking(True)
    assert client.sendto(b"early", socket.MSG_FASTOPEN, (OUTSIDE[V4], 443)) == 5
    accepted, _ = network.listeners[V4].transparent.accept()
    with accepted:
        accepted.settimeout(5)
        assert accepted.recv(5) == b"early"
    assert network.counted() == {"redirected": 1}


def test_one_source_port_to_many_destinations_is_told_apart(network: Network, make: MakeSocket) -> None:
    """After the redirect all four numbers are equal: the kernel must change the source port."""
    destinations = [f"203.0.113.{last}" for last in range(1, 6)]
    for address in destinations:
        client = make()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        client.bind(("127.0.0.9", 5555))
        client.connect((address, 443))
        accepted, _ = network.listeners[V4].transparent.accept()
        with accepted:
            assert original_destination(accepted, V4) == Endpoint(ip_address(address), 443)
    assert network.counted() == {"redirected": 5}


@pytest.mark.parametrize("family", [V4, V6])
def test_source_address_does_not_matter(network: Network, make: MakeSocket, family: int) -> None:
    """Every address is local: a program may bind one that looks inside, or the destination itself."""
    client = make(family)
    client.bind((LOOPBACK[family], 0))
    client.connect((OUTSIDE[family], 443))
    accepted, _ = network.listeners[family].transparent.accept()
    with accepted:
        assert original_destination(accepted, family) == Endpoint(ip_address(OUTSIDE[family]), 443)


def test_own_server_on_an_outside_address_is_reached_by_nobody(network: Network, make: MakeSocket) -> None:
    server = make()
    server.bind((OUTSIDE[V4], 8443))
    server.listen()
    make().connect((OUTSIDE[V4], 8443))
    accepted, _ = network.listeners[V4].transparent.accept()
    accepted.close()
    server.settimeout(0)
    with pytest.raises(BlockingIOError):
        server.accept()


@pytest.mark.parametrize("address", ["224.0.0.1", "255.255.255.255"])
def test_tcp_to_many_is_refused_by_the_kernel_itself(
    network: Network, make: MakeSocket, address: str
) -> None:
    with pytest.raises(OSError, match="unreachable"):
        make().connect((address, 443))
    assert network.counted() == {}


@pytest.mark.parametrize("family", [V4, V6])
def test_transparent_listener_is_not_reached_directly(
    network: Network, make: MakeSocket, family: int
) -> None:
    port = network.listeners[family].transparent.getsockname()[1]
    assert refused_fast(lambda: make(family).connect((LOOPBACK[family], port)))
    assert network.counted() == {"tcp": 1}
    (packet,) = network.dropped()
    assert (packet.protocol, packet.destination, packet.port) == ("tcp", ip_address(LOOPBACK[family]), port)


# DNS

RESOLVERS = (
    (V4, "8.8.8.8"),
    (V4, "127.0.0.53"),
    (V4, "127.0.0.1"),
    (V6, "2001:db8::53"),
    (V6, "::1"),
)


def answer_query(listener: socket.socket) -> None:
    query, asker = listener.recvfrom(512)
    listener.sendto(b"answer to " + query, asker)


@pytest.mark.parametrize(("family", "address"), RESOLVERS)
def test_query_to_any_resolver_is_answered_by_ours_in_its_name(
    network: Network, make: MakeSocket, family: int, address: str
) -> None:
    client = make(family, socket.SOCK_DGRAM)
    client.connect((address, 53))  # so that the kernel drops an answer from any other address
    for query in (b"one", b"two"):
        client.send(query)
        answer_query(network.listeners[family].dns_udp)
        assert client.recv(512) == b"answer to " + query
    assert network.counted() == {"dns_udp": 2}


def test_one_socket_may_ask_many_resolvers_at_once(network: Network, make: MakeSocket) -> None:
    """As musl does; bound to one address, so that the redirected datagrams would all look the same."""
    client = make(V4, socket.SOCK_DGRAM)
    client.bind(("127.0.0.1", 0))
    resolvers = ["127.0.0.53", "127.0.0.54", "8.8.8.8", "1.1.1.1"]
    for address in resolvers:
        client.sendto(address.encode(), (address, 53))
    for _ in resolvers:
        answer_query(network.listeners[V4].dns_udp)
    answers = dict(client.recvfrom(512)[::-1] for _ in resolvers)
    assert answers == {(address, 53): b"answer to " + address.encode() for address in resolvers}


@pytest.mark.parametrize(("family", "address"), RESOLVERS)
def test_port_53_over_tcp_arrives_at_the_dns_listener(
    network: Network, make: MakeSocket, family: int, address: str
) -> None:
    make(family).connect((address, 53))
    accepted, _ = network.listeners[family].dns_tcp.accept()
    accepted.close()
    assert network.counted() == {"dns_tcp": 1}


@pytest.mark.parametrize("family", [V4, V6])
def test_dns_listener_may_be_asked_directly_and_is_counted(
    network: Network, make: MakeSocket, family: int
) -> None:
    listener = network.listeners[family]
    client = make(family, socket.SOCK_DGRAM)
    client.sendto(b"query", listener.dns_udp.getsockname()[:2])
    answer_query(listener.dns_udp)
    assert client.recv(512) == b"answer to query"
    make(family).connect(listener.dns_tcp.getsockname()[:2])
    assert network.counted() == {"dns_udp": 1, "dns_tcp": 1}


# what counts as one connection


@pytest.mark.parametrize("family", [V4, V6])
def test_connection_to_the_proxy_is_counted(network: Network, make: MakeSocket, family: int) -> None:
    make(family).connect(network.listeners[family].proxy.getsockname()[:2])
    assert network.counted() == {"proxy": 1}


@pytest.mark.parametrize("family", [V4, V6])
@pytest.mark.parametrize("name", ["redirected", "dns_tcp", "proxy"])
def test_connection_that_reopens_one_that_we_reset_is_counted(
    network: Network, make: MakeSocket, family: int, name: str
) -> None:
    """Connection tracking takes it for the old one, so the nat chain never sees it."""
    listener = network.listeners[family]
    server, target = {
        "redirected": (listener.transparent, (OUTSIDE[family], 443)),
        "dns_tcp": (listener.dns_tcp, (OUTSIDE[family], 53)),
        "proxy": (listener.proxy, listener.proxy.getsockname()[:2]),
    }[name]
    for _ in range(5):
        client = make(family)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind((LOOPBACK[family], 45678))
        client.connect(target)
        accepted, _ = server.accept()
        assert original_destination(accepted, family) == Endpoint(ip_address(target[0]), target[1])
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        accepted.close()
        client.close()
    assert network.counted() == {name: 5}


def test_connection_that_its_client_closed_first_is_counted_once_when_opened_again(
    network: Network, make: MakeSocket
) -> None:
    for _ in range(3):
        client = make()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind((LOOPBACK[V4], 45679))
        client.connect((OUTSIDE[V4], 443))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        client.close()
    assert network.counted() == {"redirected": 3}


def test_repeated_attempts_for_want_of_room_are_one_connection(network: Network, make: MakeSocket) -> None:
    server = network.listeners[V4].transparent
    server.listen(0)
    make().connect((OUTSIDE[V4], 443))
    waiting = make()
    waiting.settimeout(1.5)
    with pytest.raises(TimeoutError):  # its SYN was sent twice by now, and dropped
        waiting.connect((OUTSIDE[V4], 443))
    assert network.counted() == {"redirected": 2}


def test_connection_reset_before_it_is_accepted_is_still_accepted(network: Network, make: MakeSocket) -> None:
    client = make()
    client.connect((OUTSIDE[V4], 443))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    client.close()
    accepted, _ = network.listeners[V4].transparent.accept()
    with accepted:
        assert original_destination(accepted, V4) == Endpoint(ip_address(OUTSIDE[V4]), 443)
        with pytest.raises(ConnectionResetError):
            accepted.recv(1)
    assert network.counted() == {"redirected": 1}


def test_packet_that_opens_no_connection_is_no_dns_connection(network: Network, make: MakeSocket) -> None:
    sender = make(V4, socket.SOCK_RAW, socket.IPPROTO_TCP)
    late = struct.pack("!HHIIBBHHH", 1, 53, 0, 0, 0x50, 0x10, 0, 0, 0)
    assert refused_fast(lambda: sender.sendto(late, (OUTSIDE[V4], 0)))
    assert network.counted() == {"tcp": 1}


# everything else

DATAGRAMS = (
    (V4, "203.0.113.9", 9999),
    (V4, "203.0.113.9", 443),  # QUIC
    (V4, "224.0.0.251", 5353),  # mDNS
    (V4, "239.255.255.250", 1900),  # SSDP
    (V4, "255.255.255.255", 67),
    (V4, "240.0.0.1", 1),
    (V6, "2001:db8::9", 9999),
    (V6, "2001:db8::9", 443),
    (V6, "ff02::fb%lo", 5353),
    (V6, "ff0e::1", 5353),
    (V6, "fe80::1%lo", 9),
)


@pytest.mark.parametrize(("family", "address", "port"), DATAGRAMS)
def test_datagram_to_the_outside_is_refused_counted_and_logged(
    network: Network, make: MakeSocket, family: int, address: str, port: int
) -> None:
    client = make(family, socket.SOCK_DGRAM)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    assert refused_fast(lambda: client.sendto(b"payload", (address, port)))
    assert network.counted() == {"udp": 1}
    (packet,) = network.dropped()
    assert (packet.protocol, packet.port, packet.prefix) == ("udp", port, "udp")
    assert packet.destination == ip_address(address.partition("%")[0])
    assert packet.length == len("payload") + 8 + (20 if family == V4 else 40)


def test_connected_datagram_socket_is_refused_as_well(network: Network, make: MakeSocket) -> None:
    client = make(V4, socket.SOCK_DGRAM)
    client.connect((OUTSIDE[V4], 443))
    assert refused_fast(lambda: client.send(b"initial"))
    assert network.counted() == {"udp": 1}


def test_datagram_to_the_transparent_port_reaches_nothing(network: Network, make: MakeSocket) -> None:
    client = make(V4, socket.SOCK_DGRAM)
    client.connect((LOOPBACK[V4], network.ports.transparent_v4))
    client.send(b"x")
    with pytest.raises(ConnectionRefusedError):
        client.recv(1)
    client.connect((OUTSIDE[V4], network.ports.transparent_v4))
    assert refused_fast(lambda: client.send(b"x"))


RAW = (
    (V4, socket.IPPROTO_ICMP, struct.pack("!BBHHH", 8, 0, 0xF7FE, 1, 0), "icmp", "icmp"),
    (V6, socket.IPPROTO_ICMPV6, struct.pack("!BBHHH", 128, 0, 0, 1, 0), "icmpv6", "icmpv6"),
    (V4, IPPROTO_GRE, bytes(8), "proto-47", "other"),
    (V6, IPPROTO_GRE, bytes(8), "proto-47", "other"),
    (V4, socket.IPPROTO_SCTP, bytes(16), "proto-132", "other"),
    (V4, socket.IPPROTO_ESP, bytes(16), "proto-50", "other"),
    (V4, socket.IPPROTO_TCP, struct.pack("!HHIIBBHHH", 1, 443, 0, 0, 0x50, 0x10, 0, 0, 0), "tcp", "tcp"),
)


@pytest.mark.parametrize(
    ("family", "protocol", "payload", "name", "counter"), RAW, ids=[f"{row[0]:d}-{row[3]}" for row in RAW]
)
def test_raw_packet_to_the_outside_is_refused_counted_and_logged(
    network: Network, make: MakeSocket, family: int, protocol: int, payload: bytes, name: str, counter: str
) -> None:
    """The agent has no raw sockets; if it had, nothing would pass."""
    sender = make(family, socket.SOCK_RAW, protocol)
    assert refused_fast(lambda: sender.sendto(payload, (OUTSIDE[family], 0)))
    assert network.counted() == {counter: 1}
    (packet,) = network.dropped()
    assert (packet.protocol, packet.prefix) == (name, counter)
    assert packet.destination == ip_address(OUTSIDE[family])


def test_udplite_is_refused(network: Network, make: MakeSocket) -> None:
    try:
        client = make(V4, socket.SOCK_DGRAM, IPPROTO_UDPLITE)
    except OSError:
        pytest.skip("this kernel has no UDPLITE")
    assert refused_fast(lambda: client.sendto(b"x", (OUTSIDE[V4], 9)))
    assert network.counted() == {"other": 1}


def test_port_53_over_udplite_is_no_query(network: Network, make: MakeSocket) -> None:
    try:
        client = make(V4, socket.SOCK_DGRAM, IPPROTO_UDPLITE)
    except OSError:
        pytest.skip("this kernel has no UDPLITE")
    assert refused_fast(lambda: client.sendto(b"x", ("8.8.8.8", 53)))
    assert network.counted() == {"other": 1}


def test_flood_is_counted_exactly(network: Network, make: MakeSocket) -> None:
    client = make(V4, socket.SOCK_DGRAM)
    for _ in range(2000):
        with pytest.raises(PermissionError):
            client.sendto(b"x" * 1200, (OUTSIDE[V4], 443))
    assert netlink.read_counters(network.rules)["udp"] == (2000, 2000 * 1228)


# source routes: the header says one destination, the options another


def source_route(hop: str) -> bytes:
    """Loose source route over `hop` (RFC 791 3.1), to which the kernel adds the destination."""
    return bytes([131, 7, 4]) + socket.inet_aton(hop) + b"\x00"


def routing_header(hop: str) -> bytes:
    """A segment routing header over `hop` (RFC 8754 2)."""
    return bytes([0, 4, 4, 1, 1, 0, 0, 0]) + bytes(16) + socket.inet_pton(V6, hop)


@pytest.mark.parametrize(("hop", "final"), [("127.0.0.1", "203.0.113.9"), ("203.0.113.9", "127.0.0.1")])
def test_source_routed_datagram_is_refused(network: Network, make: MakeSocket, hop: str, final: str) -> None:
    client = make(V4, socket.SOCK_DGRAM)
    client.setsockopt(socket.IPPROTO_IP, IP_OPTIONS, source_route(hop))
    assert refused_fast(lambda: client.sendto(b"x", (final, 9)))
    assert network.counted() == {"udp": 1}


@pytest.mark.parametrize(("hop", "final"), [("127.0.0.1", "203.0.113.9"), ("203.0.113.9", "127.0.0.1")])
def test_source_routed_connection_is_refused_and_not_redirected(
    network: Network, make: MakeSocket, hop: str, final: str
) -> None:
    client = make(V4)
    client.setsockopt(socket.IPPROTO_IP, IP_OPTIONS, source_route(hop))
    client.setblocking(False)
    with pytest.raises(BlockingIOError):  # the reset comes from another address than it expects
        client.connect((final, 443))
    assert network.counted() == {"tcp": 1}


def test_packet_with_a_routing_header_is_refused(network: Network, make: MakeSocket) -> None:
    client = make(V6, socket.SOCK_DGRAM)
    try:
        client.setsockopt(socket.IPPROTO_IPV6, IPV6_RTHDR, routing_header("::1"))
    except OSError:
        pytest.skip("this kernel has no segment routing")
    assert refused_fast(lambda: client.sendto(b"x", ("2001:db8::9", 9)))
    assert network.counted() == {"udp": 1}


# what is inside stays free


@pytest.mark.parametrize(("family", "address"), [(V4, "127.0.0.1"), (V4, "127.9.8.7"), (V6, "::1")])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_programs_inside_talk_to_each_other(
    network: Network, make: MakeSocket, family: int, address: str, kind: int
) -> None:
    server, client = make(family, kind), make(family, kind)
    server.bind((address, 0))
    if kind == socket.SOCK_STREAM:
        server.listen()
    client.connect(server.getsockname()[:2])
    client.send(b"ping")
    if kind == socket.SOCK_STREAM:
        server, _ = server.accept()
    with server:
        assert server.recv(4) == b"ping"
    assert network.counted() == {}


@pytest.mark.parametrize(("family", "unspecified"), [(V4, "0.0.0.0"), (V6, "::")])
def test_unspecified_address_is_loopback(
    network: Network, make: MakeSocket, family: int, unspecified: str
) -> None:
    server, client = make(family), make(family)
    server.bind((LOOPBACK[family], 0))
    server.listen()
    client.connect((unspecified, server.getsockname()[1]))
    assert client.getpeername()[0] == LOOPBACK[family]
    assert network.counted() == {}


@pytest.mark.parametrize("family", [V4, V6])
def test_closed_port_inside_refuses_at_once(network: Network, make: MakeSocket, family: int) -> None:
    assert refused_fast(lambda: make(family).connect((LOOPBACK[family], 1)))
    assert network.counted() == {}


@pytest.mark.parametrize("family", [V4, V6])
def test_ping_inside_is_answered(network: Network, make: MakeSocket, family: int) -> None:
    _, protocol, echo, *_ = RAW[0] if family == V4 else RAW[1]
    sender = make(family, socket.SOCK_RAW, protocol)
    sender.sendto(echo, (LOOPBACK[family], 0))
    assert sender.recv(512)
    assert network.counted() == {}


def test_joining_a_group_makes_no_receipt(network: Network, make: MakeSocket) -> None:
    """The kernel reports memberships on its own (IGMP, MLD), some time after the join."""
    for family, level, option, request in (
        (
            V4,
            socket.IPPROTO_IP,
            socket.IP_ADD_MEMBERSHIP,
            socket.inet_aton("239.1.1.1") + socket.inet_aton("127.0.0.1"),
        ),
        (
            V6,
            socket.IPPROTO_IPV6,
            socket.IPV6_JOIN_GROUP,
            socket.inet_pton(V6, "ff02::1234") + struct.pack("=I", 1),
        ),
    ):
        make(family, socket.SOCK_DGRAM).setsockopt(level, option, request)
    deadline = time.monotonic() + 5
    while network.counted().get("membership", 0) < 2:
        assert time.monotonic() < deadline
    assert set(network.counted()) == {"membership"}
    assert network.dropped() == []


# what the agent may not change


def test_agent_cannot_change_routes_or_rules(network: Network) -> None:
    network.space.drop_capabilities()
    with network.space.netlink(socket.NETLINK_ROUTE) as route:
        for change in (netlink.bring_up_loopback, netlink.add_local_routes):
            with pytest.raises(SandboxError, match="not permitted"):
                change(route)
    with network.space.netlink(12) as rules, pytest.raises(SandboxError, match="not permitted"):
        netlink.run_batch(rules, nft.ruleset(network.ports))


@pytest.mark.parametrize(
    ("family", "level", "option"),
    [(V4, socket.IPPROTO_IP, IP_TRANSPARENT), (V6, socket.IPPROTO_IPV6, IPV6_TRANSPARENT)],
)
def test_agent_cannot_be_transparent(network: Network, family: int, level: int, option: int) -> None:
    network.space.set_option(family, socket.SOCK_STREAM, level, option, 1)  # with rights it could
    network.space.drop_capabilities()
    with pytest.raises(PermissionError):
        network.space.set_option(family, socket.SOCK_STREAM, level, option, 1)


def test_free_binding_changes_nothing(network: Network, make: MakeSocket) -> None:
    client = make()
    client.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    client.bind(("192.0.2.77", 0))
    client.connect((OUTSIDE[V4], 443))
    accepted, _ = network.listeners[V4].transparent.accept()
    with accepted:
        assert original_destination(accepted, V4) == Endpoint(ip_address(OUTSIDE[V4]), 443)


def test_agent_cannot_share_a_listeners_port(network: Network, make: MakeSocket) -> None:
    for kind, listener in (
        (socket.SOCK_STREAM, network.listeners[V4].transparent),
        (socket.SOCK_STREAM, network.listeners[V4].dns_tcp),
        (socket.SOCK_DGRAM, network.listeners[V4].dns_udp),
    ):
        for address in ("127.0.0.1", ""):
            thief = make(V4, kind)
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            with pytest.raises(OSError, match="in use"):
                thief.bind((address, listener.getsockname()[1]))


# controls: with a step off, the packet gets by


def test_without_rules_a_datagram_to_the_outside_is_delivered_inside(space: Namespace) -> None:
    with space.netlink(socket.NETLINK_ROUTE) as route:
        netlink.bring_up_loopback(route)
        netlink.add_local_routes(route)
    with (
        space.open_socket(V4, socket.SOCK_DGRAM) as server,
        space.open_socket(V4, socket.SOCK_DGRAM) as client,
    ):
        server.bind((OUTSIDE[V4], 9999))
        client.sendto(b"x", (OUTSIDE[V4], 9999))
        assert server.recv(1) == b"x"


def test_without_routes_nothing_reaches_the_rules(space: Namespace) -> None:
    with space.netlink(socket.NETLINK_ROUTE) as route:
        netlink.bring_up_loopback(route)
    with space.open_socket() as client, pytest.raises(OSError, match="unreachable"):
        client.connect((OUTSIDE[V4], 443))
