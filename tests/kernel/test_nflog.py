"""Log messages: built by hand, cut everywhere, and from the real kernel."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from ipaddress import ip_address

import pytest
from hypothesis import given, settings, strategies
from tests.kernel.namespace import NETLINK_NETFILTER, Namespace, Network

from trio_egress.errors import PeerError, SandboxError
from trio_egress.kernel import nflog
from trio_egress.kernel.nflog import Dropped, parse_packets

V4, V6 = ip_address("127.0.0.1").packed, ip_address("::1").packed
TO4, TO6 = ip_address("203.0.113.9").packed, ip_address("2001:db8::9").packed
PORTS = struct.pack("!HHHH", 40000, 443, 8, 0)


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(
    packet: bytes | None, kind: int = 0x400, uid: int | None = 1000, prefix: bytes = b"udp\x00"
) -> bytes:
    body = struct.pack("!BBH", 1, 0, 7) + attribute(1, struct.pack("!HBx", 0x0800, 3))
    body += attribute(10, prefix)
    if packet is not None:
        body += attribute(9, packet)
    if uid is not None:
        body += attribute(11, struct.pack("!I", uid))
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def ipv4(protocol: int, rest: bytes, *, words: int = 5, fragment: int = 0, length: int = 28) -> bytes:
    header = struct.pack("!BBHHHBBH4s4s", 0x40 | words, 0, length, 0, fragment, 64, protocol, 0, V4, TO4)
    return header + bytes(max(0, words - 5) * 4) + rest


def ipv6(following: int, rest: bytes, length: int = 8) -> bytes:
    return struct.pack("!IHBB16s16s", 6 << 28, length, following, 64, V6, TO6) + rest


def only(packet: bytes | None) -> Dropped:
    (dropped,) = parse_packets(message(packet))
    return dropped


def test_ipv4_datagram_is_read_whole() -> None:
    assert only(ipv4(17, PORTS)) == Dropped(
        protocol="udp",
        source=ip_address("127.0.0.1"),
        destination=ip_address("203.0.113.9"),
        port=443,
        uid=1000,
        prefix="udp",
        length=28,
    )


def test_ipv6_datagram_is_read_whole() -> None:
    assert only(ipv6(17, PORTS)) == Dropped(
        protocol="udp",
        source=ip_address("::1"),
        destination=ip_address("2001:db8::9"),
        port=443,
        uid=1000,
        prefix="udp",
        length=48,
    )


PROTOCOLS = (
    (1, "icmp", None),
    (2, "proto-2", None),
    (6, "tcp", 443),
    (17, "udp", 443),
    (33, "proto-33", 443),
    (47, "proto-47", None),
    (58, "icmpv6", None),
    (132, "proto-132", 443),
    (136, "proto-136", 443),
    (255, "proto-255", None),
)


@pytest.mark.parametrize(("number", "name", "port"), PROTOCOLS)
def test_protocol_and_port_are_told(number: int, name: str, port: int | None) -> None:
    for dropped in (only(ipv4(number, PORTS)), only(ipv6(number, PORTS))):
        assert (dropped.protocol, dropped.port) == (name, port)


def test_ipv4_options_are_skipped() -> None:
    assert only(ipv4(17, PORTS, words=15)).port == 443


@pytest.mark.parametrize(("fragment", "port"), [(0x4000, 443), (0x2000, 443), (1, None), (0x3FFF, None)])
def test_later_ipv4_fragment_has_no_port(fragment: int, port: int | None) -> None:
    assert only(ipv4(17, PORTS, fragment=fragment)).port == port


def extension(following: int, size: int = 8) -> bytes:
    return bytes([following, size // 8 - 1]) + bytes(size - 2)


CHAINS = (
    (ipv6(0, extension(17) + PORTS), "udp", 443),
    (ipv6(60, extension(17, 24) + PORTS), "udp", 443),
    (ipv6(0, extension(43) + extension(60) + extension(135) + extension(6) + PORTS), "tcp", 443),
    (ipv6(44, bytes([17, 0, 0, 1]) + bytes(4) + PORTS), "udp", 443),
    (ipv6(44, bytes([17, 0, 0, 8]) + bytes(4) + PORTS), "udp", None),
    (ipv6(44, bytes([60, 0, 0, 8]) + bytes(4) + PORTS), "proto-60", None),
    (ipv6(51, bytes([17, 4]) + bytes(22) + PORTS), "udp", 443),
    (ipv6(0, extension(17, 64)[:20]), "udp", None),
    (ipv6(0, extension(17)[:7]), "proto-0", None),
    (ipv6(59, b""), "proto-59", None),
)


@pytest.mark.parametrize(("packet", "name", "port"), CHAINS)
def test_ipv6_extension_headers_are_followed(packet: bytes, name: str, port: int | None) -> None:
    dropped = only(packet)
    assert (dropped.protocol, dropped.port) == (name, port)


def test_port_that_was_not_copied_is_none() -> None:
    assert only(ipv4(17, PORTS[:3])).port is None


def test_packet_without_owner_has_no_uid() -> None:
    (dropped,) = parse_packets(message(ipv4(17, PORTS), uid=None))
    assert dropped.uid is None


def test_prefix_that_is_not_ascii_is_replaced() -> None:
    (dropped,) = parse_packets(message(ipv4(17, PORTS), prefix=b"\xff\xfe"))
    assert dropped.prefix == "\ufffd\ufffd"


def test_many_packets_in_one_datagram_are_all_given() -> None:
    raw = message(ipv4(17, PORTS)) + message(None, kind=3) + message(ipv6(6, PORTS))
    assert [dropped.protocol for dropped in parse_packets(raw)] == ["udp", "tcp"]


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x00" * 15, "odd bytes"),
        (bytes(16), "claims 0 bytes"),
        (message(ipv4(17, PORTS))[:-4], "claims"),
        (message(None), "neither IPv4 nor IPv6"),
        (message(b""), "neither IPv4 nor IPv6"),
        (message(b"\x50" * 40), "neither IPv4 nor IPv6"),
        (message(ipv4(17, b"")[:19]), "IPv4 header of 19"),
        (message(ipv4(17, PORTS, words=4)), "IPv4 header of 16"),
        (message(ipv6(17, b"")[:39]), "IPv6 header of 39"),
        (struct.pack("=IHHII", 22, 0x400, 0, 0, 0) + bytes(4) + b"\x04\x00", "attribute ends in 2"),
        (struct.pack("=IHHII", 24, 0x400, 0, 0, 0) + bytes(4) + b"\x03\x00\x01\x00", "attribute claims 3"),
        (struct.pack("=IHHII", 24, 0x400, 0, 0, 0) + bytes(4) + b"\x05\x00\x01\x00", "attribute claims 5"),
    ],
)
def test_unreadable_message_is_the_peers_fault(raw: bytes, text: str) -> None:
    with pytest.raises(PeerError, match=text):
        list(parse_packets(raw))


@pytest.mark.parametrize("packet", [ipv4(17, PORTS, words=7), CHAINS[2][0], CHAINS[6][0]])
def test_packet_cut_anywhere_is_read_or_refused(packet: bytes) -> None:
    for size in range(len(packet)):
        try:
            list(parse_packets(message(packet[:size])))
        except PeerError:
            assert size < (40 if packet[0] >> 4 == 6 else 20)


@settings(database=None)  # the tests may run as a user who cannot write here
@given(strategies.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for candidate in (raw, message(raw)):
        with contextlib.suppress(PeerError):
            list(parse_packets(candidate))


# the real kernel


@pytest.mark.sandbox
def test_copy_is_as_long_as_asked_for(space: Namespace, network: Network) -> None:
    nflog.bind_group(network.log, 77, copy_bytes=64)  # one more group on the same socket
    with (
        network.space.open_socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        pytest.raises(PermissionError),
    ):
        sender.sendto(bytes(1400), ("203.0.113.9", 9))
    raw = network.log.recv(nflog.DATAGRAM_BYTES)
    assert len(raw) < 400
    (dropped,) = parse_packets(raw)
    assert dropped.length == 1428


@pytest.mark.sandbox
def test_group_can_be_bound_by_one_socket_only(network: Network) -> None:
    refused = pytest.raises(SandboxError, match="binding log group 7: Operation not permitted")
    with network.space.netlink(NETLINK_NETFILTER) as second, refused:
        nflog.bind_group(second, 7)


@pytest.mark.sandbox
def test_agent_cannot_bind_a_group(space: Namespace) -> None:
    space.drop_capabilities()
    refused = pytest.raises(SandboxError, match="binding log group 7: Operation not permitted")
    with space.netlink(NETLINK_NETFILTER) as log, refused:
        nflog.bind_group(log, 7)


def read_to_the_end(log: socket.socket) -> None:
    while log.recv(nflog.DATAGRAM_BYTES):
        pass


@pytest.mark.sandbox
def test_overflow_is_seen_by_the_reader_and_the_counter_is_exact(network: Network) -> None:
    network.log.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with network.space.open_socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(200):
            with pytest.raises(PermissionError):
                sender.sendto(b"x", ("203.0.113.9", 9))
    with pytest.raises(OSError, match="No buffer space") as caught:
        read_to_the_end(network.log)
    assert caught.value.errno == errno.ENOBUFS
    assert network.counted() == {"udp": 200}
