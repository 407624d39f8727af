"""What nftables logged: bind a passed nfnetlink socket to a log group, and read the packets that were refused.

Receives nothing itself: whoever owns the socket reads datagrams and feeds them to parse_packets. When the queue
overflows, recv raises ENOBUFS and messages are lost; the exact number is in the counters (nft.COUNTERS).

Rule 1: a log message is on the queue when the system call that sent the packet returns (QTHRESHOLD 1).
Rule 2: the packet is the agent's word: any bytes give a Dropped or PeerError, and nothing else is raised.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from trio_egress.errors import PeerError
from trio_egress.kernel import netlink
from trio_egress.model import Address
from trio_egress.values import frozen

COPY_BYTES = 128
"""IPv6 header, a few extension headers, the ports, and a little of the payload."""

RECEIVE_BYTES = 8 << 20
"""Asked for; an ordinary user gets what net.core.rmem_max allows."""

DATAGRAM_BYTES = 1 << 16
"""Enough for recv: one message holds one packet, of which the kernel copies COPY_BYTES."""

_NFLOG = 4
_MESSAGE_PACKET, _MESSAGE_CONFIG = _NFLOG << 8, _NFLOG << 8 | 1
_REQUEST, _ACK = 0x1, 0x4

# linux/netfilter/nfnetlink_log.h
_CONFIG_COMMAND, _CONFIG_MODE, _CONFIG_BUFFER_SIZE, _CONFIG_QTHRESHOLD = 1, 2, 3, 5
_BIND, _COPY_PACKET = 1, 2
_PAYLOAD, _PREFIX, _UID = 9, 10, 11

# An allocation no larger than its packet (the default is a page): four times as many fit into the receive buffer.
_MESSAGE_BUFFER_BYTES = 256

_SO_RCVBUFFORCE = 33  # asm-generic/socket.h
_GENERIC = struct.Struct("!BBH")  # struct nfgenmsg: family, version, resource
_MESSAGE = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")

_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
_WITH_PORTS = (6, 17, 33, 132, 136)  # TCP, UDP, DCCP, SCTP, UDPLITE: destination port at 2
_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _OPTIONS, _MOBILITY = 0, 43, 44, 51, 60, 135
_EXTENSIONS = (_HOP_BY_HOP, _ROUTING, _FRAGMENT, _AUTHENTICATION, _OPTIONS, _MOBILITY)


@frozen
class Dropped:
    """One refused packet. `protocol` is udp, tcp, icmp, icmpv6 or proto-NUMBER; `length` is that of the packet.

    `port` is where it was going, None where there is none or it was not copied. `uid` is the sender's, as seen
    from the user namespace that opened the socket. `source` can be any address at all.
    """

    protocol: str
    source: Address
    destination: Address
    port: int | None
    uid: int | None
    prefix: str
    length: int


def bind_group(sock: socket.socket, group: int, copy_bytes: int = COPY_BYTES) -> None:
    """Have the packets of log `group` sent to `sock`; before the rules that log to it. Raises SandboxError."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BYTES)
    except PermissionError:  # not root outside
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    attributes = (
        _render_attribute(_CONFIG_COMMAND, struct.pack("!B", _BIND))
        + _render_attribute(_CONFIG_MODE, struct.pack("!IBx", copy_bytes, _COPY_PACKET))
        + _render_attribute(_CONFIG_BUFFER_SIZE, struct.pack("!I", _MESSAGE_BUFFER_BYTES))
        + _render_attribute(_CONFIG_QTHRESHOLD, struct.pack("!I", 1))
    )
    body = _GENERIC.pack(socket.AF_UNSPEC, 0, group) + attributes
    header = _MESSAGE.pack(_MESSAGE.size + len(body), _MESSAGE_CONFIG, _REQUEST | _ACK, 1, 0)
    netlink.request(sock, [header + body], [f"binding log group {group}"])


def parse_packets(raw: bytes) -> Iterator[Dropped]:
    """The packets in one datagram from the kernel; PeerError where it, or a packet in it, cannot be read."""
    for kind, body in _split_messages(raw):
        if kind == _MESSAGE_PACKET:
            yield _parse_packet(body)


def _render_attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _split_messages(raw: bytes) -> Iterator[tuple[int, bytes]]:
    while raw:
        if len(raw) < _MESSAGE.size:
            raise PeerError(f"a log message ends in {len(raw)} odd bytes")
        length, kind, *_ = _MESSAGE.unpack_from(raw)
        if not _MESSAGE.size <= length <= len(raw):
            raise PeerError(f"a log message claims {length} bytes of {len(raw)}")
        yield kind, raw[_MESSAGE.size : length]
        raw = raw[(length + 3) & ~3 :]


def _split_attributes(raw: bytes) -> Iterator[tuple[int, bytes]]:
    while raw:
        if len(raw) < _ATTRIBUTE.size:
            raise PeerError(f"a log attribute ends in {len(raw)} odd bytes")
        length, kind = _ATTRIBUTE.unpack_from(raw)
        if not _ATTRIBUTE.size <= length <= len(raw):
            raise PeerError(f"a log attribute claims {length} bytes of {len(raw)}")
        yield kind & 0x3FFF, raw[_ATTRIBUTE.size : length]
        raw = raw[(length + 3) & ~3 :]


def _parse_packet(body: bytes) -> Dropped:
    attributes = dict(_split_attributes(body[_GENERIC.size :]))
    raw_packet = attributes.get(_PAYLOAD, b"")
    raw_uid = attributes.get(_UID)
    prefix = attributes.get(_PREFIX, b"").split(b"\x00")[0].decode("ascii", "replace")
    uid = None if raw_uid is None else int.from_bytes(raw_uid, "big")
    version = raw_packet[0] >> 4 if raw_packet else None
    if version == 4:
        return _parse_ipv4(raw_packet, uid, prefix)
    if version == 6:
        return _parse_ipv6(raw_packet, uid, prefix)
    raise PeerError(f"a refused packet of {len(raw_packet)} bytes is neither IPv4 nor IPv6")


def _parse_ipv4(raw: bytes, uid: int | None, prefix: str) -> Dropped:
    """RFC 791 3.1."""
    header_bytes = (raw[0] & 0xF) * 4
    if len(raw) < 20 or header_bytes < 20:
        raise PeerError(f"an IPv4 header of {min(len(raw), header_bytes)} bytes")
    length, fragment, number = struct.unpack_from("!2xH2xHxB", raw)
    is_first = not fragment & 0x1FFF
    port = _parse_port(number, raw[header_bytes:]) if is_first else None
    source, destination = IPv4Address(raw[12:16]), IPv4Address(raw[16:20])
    return Dropped(_protocol_name(number), source, destination, port, uid, prefix, length)


def _parse_ipv6(raw: bytes, uid: int | None, prefix: str) -> Dropped:
    """RFC 8200 3 and 4: the chain of extension headers as far as it was copied."""
    if len(raw) < 40:
        raise PeerError(f"an IPv6 header of {len(raw)} bytes")
    length, number = struct.unpack_from("!4xHB", raw)
    length, number = struct.unpack_from("!4xHB", raw)
    number, port = _skip_extensions(number, raw[40:])
    source, destination = IPv6Address(raw[8:24]), IPv6Address(raw[24:40])
    return Dropped(_protocol_name(number), source, destination, port, uid, prefix, length + 40)


def _skip_extensions(number: int, raw: bytes) -> tuple[int, int | None]:
    """The protocol and port behind the extension headers; the first header that was cut off, where one was."""
    while number in _EXTENSIONS and len(raw) >= 8:
        following, size = raw[0], (raw[1] + 1) * 8
        if number == _FRAGMENT:
            size = 8
            if int.from_bytes(raw[2:4], "big") & 0xFFF8:  # not the first: no header follows
                return following, None
        elif number == _AUTHENTICATION:  # RFC 4302 2.2: counted in words of 4 bytes
            size = (raw[1] + 2) * 4
        number, raw = following, raw[size:]
    return number, _parse_port(number, raw)


def _parse_port(number: int, raw: bytes) -> int | None:
    if number not in _WITH_PORTS or len(raw) < 4:
        return None
    return int.from_bytes(raw[2:4], "big")


def _protocol_name(number: int) -> str:
    return _PROTOCOLS.get(number, f"proto-{number}")
