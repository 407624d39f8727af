"""Packets straight to an outside address, past the proxy and past DNS."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable

from tests.escapes.frame import INSIDE, NO_SOCKET, Ways, add, attack

SECONDS = 2.0
UDP_SEGMENT, SOL_UDP = 103, 17
IPPROTO_MPTCP, IPPROTO_UDPLITE = 262, 136
SO_ZEROCOPY, MSG_ZEROCOPY = 60, 0x4000000
TCP_FASTOPEN_CONNECT = 30

NET = "network"


def tcp(address: str, port: int, payload: bytes, family: int = socket.AF_INET, protocol: int = 0) -> None:
    with socket.socket(family, socket.SOCK_STREAM, protocol) as sock:
        sock.settimeout(SECONDS)
        sock.connect((address, port))
        sock.sendall(payload)
        sock.recv(1)


def udp(address: str, port: int, payload: bytes, family: int = socket.AF_INET, protocol: int = 0) -> None:
    with socket.socket(family, socket.SOCK_DGRAM, protocol) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.sendto(payload, (address, port))


@attack(NET, receipt=r"block transparent tcp://{v4}:4444")
def tcp_to_an_address(w: Ways) -> None:
    tcp(w.v4, 4444, w.raw)


@attack(NET, receipt=r"block transparent tcp://\[{v6}\]:4444")
def tcp_to_an_ipv6_address(w: Ways) -> None:
    tcp(w.v6, 4444, w.raw, socket.AF_INET6)


@attack(NET, receipt=r"block transparent tcp://{v4}:4444")
def tcp_to_a_mapped_address(w: Ways) -> None:
    tcp(f"::ffff:{w.v4}", 4444, w.raw, socket.AF_INET6)


@attack(NET, receipt=r"block transparent tcp://{v4}:4444")
def mptcp(w: Ways) -> None:
    tcp(w.v4, 4444, w.raw, protocol=IPPROTO_MPTCP)


@attack(NET, receipt=r"block transparent tcp://{v4}:4444")
def tcp_fast_open_by_sendto(w: Ways) -> None:
    with socket.socket() as sock:
        sock.settimeout(SECONDS)
        sock.sendto(w.raw, socket.MSG_FASTOPEN, (w.v4, 4444))
        sock.recv(1)


@attack(NET, receipt=r"block transparent tcp://{v4}:4444")
def tcp_fast_open_by_option(w: Ways) -> None:
    with socket.socket() as sock:
        sock.settimeout(SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        sock.connect((w.v4, 4444))
        sock.sendall(w.raw)
        sock.recv(1)


@attack(NET, receipt=r"block transparent tcp://{v4}:4444")
def tcp_without_waiting(w: Ways) -> None:
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex((w.v4, 4444))


@attack(NET, receipt=r"block transparent tcp://{v4}:4444")
def tcp_bound_to_the_device(w: Ways) -> None:
    with socket.socket() as sock:
        sock.settimeout(SECONDS)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
        sock.connect((w.v4, 4444))


@attack(NET, receipt=r"block transparent tcp://{v4}:4444")
def tcp_from_the_destination_itself(w: Ways) -> None:
    with socket.socket() as sock:
        sock.settimeout(SECONDS)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
        sock.bind((w.v4, w.port))
        sock.connect((w.v4, 4444))


@attack(NET, receipt=r"block transparent tcp://{v4}:25")
def mail(w: Ways) -> None:
    tcp(w.v4, 25, b"EHLO " + w.raw + b"\r\n")


@attack(NET, receipt=r"block transparent http://{v4}:80")
def http_to_an_address(w: Ways) -> None:
    tcp(w.v4, 80, b"GET /" + w.raw + b" HTTP/1.1\r\nHost: " + w.v4.encode() + b"\r\n\r\n")


@attack(NET, receipt=r"block transparent \S*{v4}:443")
def tls_to_an_address(w: Ways) -> None:
    tcp(w.v4, 443, hello(b""))


@attack(NET, receipt=r"block transparent \S*{v4}:853")
def dns_over_tls(w: Ways) -> None:
    tcp(w.v4, 853, hello(b""))


@attack(NET, receipt=r"block transparent \S*dns.google\.?(:443)?")
def dns_over_https(w: Ways) -> None:
    tcp(w.v4, 443, hello(b"dns.google"))


def hello(name: bytes) -> bytes:
    """A ClientHello with this server name (none for an empty one)."""
    listed = b"\0" + struct.pack("!H", len(name)) + name
    names = struct.pack("!H", len(listed)) + listed
    extensions = struct.pack("!HH", 0, len(names)) + names if name else b""
    extensions += b"\0\x2b\0\3\2\3\4"
    body = b"\3\3" + bytes(32) + b"\0" + b"\0\2\x13\x01" + b"\1\0"
    body += struct.pack("!H", len(extensions)) + extensions
    handshake = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + struct.pack("!H", len(handshake)) + handshake


@attack(NET, receipt=r"block packet udp://{v4}:4444")
def udp_to_an_address(w: Ways) -> None:
    udp(w.v4, 4444, w.raw)


@attack(NET, receipt=r"block packet udp://\[{v6}\]:4444")
def udp_to_an_ipv6_address(w: Ways) -> None:
    udp(w.v6, 4444, w.raw, socket.AF_INET6)


@attack(NET, receipt=r"block packet udp://{v4}:4444")
def udp_to_a_mapped_address(w: Ways) -> None:
    udp(f"::ffff:{w.v4}", 4444, w.raw, socket.AF_INET6)


@attack(NET, receipt=r"block packet \S+://{v4}")
def udp_lite(w: Ways) -> None:
    udp(w.v4, 4444, w.raw, protocol=IPPROTO_UDPLITE)


@attack(NET, receipt=r"block packet udp://{v4}:443")
def quic(w: Ways) -> None:
    udp(w.v4, 443, b"\xc3\0\0\0\1\x08" + w.raw.ljust(1200, b"\0"))


@attack(NET, receipt=r"block packet udp://{v4}:5353")
def mdns_to_an_address(w: Ways) -> None:
    udp(w.v4, 5353, w.raw)


@attack(NET, receipt=r"block packet udp://{v4}:123")
def time_protocol(w: Ways) -> None:
    udp(w.v4, 123, w.raw)


@attack(NET, receipt=r"block packet udp://{v4}:4444")
def udp_from_the_dns_port_of_its_own(w: Ways) -> None:
    """A stub's answer comes from port 53: does a rule take this one for it?"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.sendto(b"?", ("127.0.0.1", 53))
        sock.connect((w.v4, 4444))
        sock.send(w.raw)


@attack(NET, receipt=r"block packet udp://{v4}:4444")
def udp_on_an_established_flow(w: Ways) -> None:
    """The same socket and port that has just been answered by the stub."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(SECONDS)
        sock.connect(("127.0.0.1", 53))
        sock.send(b"\0\1\1\0\0\1\0\0\0\0\0\0\4name\7invalid\0\0\1\0\1")
        sock.connect((w.v4, 4444))
        sock.send(w.raw)


@attack(NET, receipt=r"block packet udp://{v4}:4444")
def udp_with_packet_information(w: Ways) -> None:
    """IP_PKTINFO chooses device and source."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        information = struct.pack(
            "I4s4s", socket.if_nametoindex("lo"), socket.inet_aton("127.0.0.1"), bytes(4)
        )
        sock.sendmsg([w.raw], [(socket.IPPROTO_IP, 8, information)], 0, (w.v4, 4444))


@attack(NET, receipt=r"block packet udp://{v4}:4444")
def udp_in_segments(w: Ways) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(SOL_UDP, UDP_SEGMENT, 64)
        sock.sendto((w.raw + b" ") * 40, (w.v4, 4444))


@attack(NET, receipt=r"block packet udp://{v4}")
def udp_in_fragments(w: Ways) -> None:
    """More than the loopback's 64 KiB; the second fragment has no ports to judge by."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER: fragment
        sock.sendto((w.raw + b" ") * 4600, (w.v4, 4444))


@attack(NET, receipt=r"block packet udp://{v4}:4444")
def udp_without_copying(w: Ways) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1)
        sock.sendto(w.raw, MSG_ZEROCOPY, (w.v4, 4444))


@attack(NET, receipt=r"block packet udp://{v4}:4444")
def udp_by_splice(w: Ways) -> None:
    reader, writer = os.pipe()
    os.write(writer, w.raw)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((w.v4, 4444))
        os.splice(reader, sock.fileno(), len(w.raw)) if hasattr(os, "splice") else sock.send(w.raw)


def _to_group(group: str, port: int) -> Callable[[Ways], None]:
    def send(w: Ways) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            sock.sendto(w.raw, (group, port))

    return send


def _to_group_v6(group: str, port: int) -> Callable[[Ways], None]:
    def send(w: Ways) -> None:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.sendto(w.raw, (group, port, 0, socket.if_nametoindex("lo")))

    return send


for _name, _group, _port in (
    ("mdns_to_its_group", "224.0.0.251", 5353),
    ("llmnr_to_its_group", "224.0.0.252", 5355),
    ("ssdp_to_its_group", "239.255.255.250", 1900),
    ("multicast", "239.1.2.3", 4444),
):
    add(_name, _to_group(_group, _port), NET, receipt=rf"block packet udp://{_group}:{_port}")

for _name, _group, _port in (
    ("mdns_to_its_ipv6_group", "ff02::fb", 5353),
    ("llmnr_to_its_ipv6_group", "ff02::1:3", 5355),
    ("multicast_to_all_nodes", "ff02::1", 4444),
    ("multicast_beyond_the_link", "ff0e::1234", 4444),
):
    add(_name, _to_group_v6(_group, _port), NET, receipt=rf"block packet udp://\[{_group}\]:{_port}")


@attack(NET, receipt=r"block packet udp://255.255.255.255:4444")
def broadcast(w: Ways) -> None:
    udp("255.255.255.255", 4444, w.raw)


@attack(NET, receipt=r"block packet udp://\[fe80::{number}\]:4444")
def link_local_ipv6(w: Ways) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.sendto(w.raw, (f"fe80::{w.number}", 4444, 0, socket.if_nametoindex("lo")))


_TRANSLATED = {
    "nat64": ("64:ff9b::", 0),
    "nat64_of_the_site": ("64:ff9b:1::", 0),
    "six_to_four": ("2002::", 80),
    "teredo": ("2001::", 64),
    "siit": ("::ffff:0:0:0", 0),
    "v4_compatible": ("::", 0),
    "isatap": ("2606:4700::5efe:0:0", 0),
}


def _translated(prefix: str, shift: int) -> Callable[[Ways], None]:
    return lambda w: tcp(w.embed(prefix, shift), w.port, w.raw, socket.AF_INET6)


for _name, (_prefix, _shift) in _TRANSLATED.items():
    add(
        f"tcp_by_{_name}",
        _translated(_prefix, _shift),
        NET,
        receipt=r"block transparent tcp://\[\S+\]:{port}",
    )


_METADATA = {
    "aws": "169.254.169.254",
    "ecs": "169.254.170.2",
    "azure": "168.63.129.16",
    "alibaba": "100.100.100.200",
    "private_10": "10.0.0.7",
    "private_172": "172.17.0.1",
    "private_192": "192.168.65.2",
    "reserved": "240.0.0.1",
}


def _to_port(address: str, family: int = socket.AF_INET) -> Callable[[Ways], None]:
    return lambda w: tcp(address, w.port, w.raw, family)


for _name, _address in _METADATA.items():
    add(f"tcp_to_{_name}", _to_port(_address), NET, receipt=rf"block transparent tcp://{_address}:{{port}}")

add(
    "tcp_to_aws_by_ipv6",
    _to_port("fd00:ec2::254", socket.AF_INET6),
    NET,
    receipt=r"block transparent tcp://\[fd00:ec2::254\]:{port}",
)

_INSIDE = {
    "host_loopback": ("127.0.0.1", socket.AF_INET),
    "host_loopback_elsewhere": ("127.9.8.7", socket.AF_INET),
    "host_loopback_by_ipv6": ("::1", socket.AF_INET6),
    "host_loopback_as_zero": ("0.0.0.0", socket.AF_INET),
    "host_loopback_as_ipv6_zero": ("::", socket.AF_INET6),
    "host_loopback_as_mapped": ("::ffff:127.0.0.1", socket.AF_INET6),
    "host_loopback_as_mapped_zero": ("::ffff:0.0.0.0", socket.AF_INET6),
    "host_loopback_by_name": ("localhost", socket.AF_INET),
}

for _name, (_address, _family) in _INSIDE.items():
    add(_name, _to_port(_address, _family), NET, silent=INSIDE)


@attack(NET, silent=INSIDE)
def udp_to_host_loopback(w: Ways) -> None:
    udp("127.0.0.1", w.port, w.raw)


@attack(NET, silent=NO_SOCKET)
def ping(w: Ways) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sock:
        sock.sendto(b"\x08\0\0\0\0\0\0\0" + w.raw, (w.v4, 0))


@attack(NET, silent=NO_SOCKET)
def ping_by_ipv6(w: Ways) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6) as sock:
        sock.sendto(b"\x80\0\0\0\0\0\0\0" + w.raw, (w.v6, 0))


@attack(NET, receipt=r"block transparent tcp://{v4}:4444")
def tcp_reset_before_it_is_accepted(w: Ways) -> None:
    """Gone before anyone looked: still an attempt."""
    with socket.socket() as sock:
        sock.settimeout(SECONDS)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.connect((w.v4, 4444))
