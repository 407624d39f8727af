"""The packet rules of the sandbox as data: one `inet` table, whose messages netlink.run_batch puts in place.

Rule 1: judged by destination. Every address is local in there, so a source address says nothing.
Rule 2: nat decides before filter, so a packet that filter sees going to loopback either was meant to or was
redirected; the rest is counted, logged and refused at once, never dropped in silence.
Rule 3: a refusal's own RST or ICMP passes OUTPUT as well, and so does every reply: established first.
Rule 4: only a redirected connection reaches a transparent listener, so each one has a destination to judge.
Rule 5: a packet that names its real destination elsewhere (IPv4 options, IPv6 routing header) is refused.
"""

from __future__ import annotations

import enum
import socket
import struct
import sys
from collections.abc import Sequence

from trio_egress.values import frozen

TABLE = "trio_egress"
NAT, FILTER, REFUSE, REOPENED, CLOSED = "nat_output", "filter_output", "refuse", "reopened", "closed"
LOG_GROUP = 7

REDIRECTED, PROXY, DNS_TCP, DNS_UDP = "redirected", "proxy", "dns_tcp", "dns_udp"
REFUSED = ("udp", "icmp", "icmpv6", "tcp", "other")
MEMBERSHIP = "membership"
COUNTERS = (REDIRECTED, PROXY, DNS_TCP, DNS_UDP, *REFUSED, MEMBERSHIP)
"""What each counts: `redirected`, `proxy`, `dns_tcp` connections to a TCP listener, once however often a SYN is sent;
`dns_udp` datagrams to the DNS listener; REFUSED the packets that were refused and logged; `membership` the kernel's own
IGMP and MLD reports, dropped without a log."""

DNS_PORT = 53


class Kind(enum.Enum):
    """What a message creates; the values are NFT_MSG_NEW* (linux/netfilter/nf_tables.h)."""

    TABLE = 0
    CHAIN = 3
    RULE = 6
    OBJECT = 18


@frozen
class Nest:
    """Attributes inside an attribute, named as in linux/netfilter/nf_tables.h."""

    attributes: tuple[tuple[str, Value], ...]


Value = int | str | bytes | Nest | tuple[Nest, ...]


@frozen
class Message:
    """One nftables message that creates something in TABLE."""

    kind: Kind
    attributes: tuple[tuple[str, Value], ...]


@frozen
class ListenerPorts:
    """Where the listeners are, on 127.0.0.1 and ::1. DNS: one number for TCP and UDP. Families may differ."""

    transparent_v4: int
    transparent_v6: int
    dns_v4: int
    dns_v6: int
    proxy_v4: int
    proxy_v6: int


@frozen
class Family:
    """What differs between IPv4 and IPv6 in the rules."""

    number: int
    destination_at: int
    inside: bytes
    listener: bytes
    transparent: int
    dns: int
    proxy: int

    @property
    def counted(self) -> tuple[tuple[int, str], ...]:
        """The port of each TCP listener, and the counter of its connections."""
        return (self.transparent, REDIRECTED), (self.dns, DNS_TCP), (self.proxy, PROXY)


def ruleset(ports: ListenerPorts) -> list[Message]:
    """The whole table, in the order in which the kernel must see it."""
    v4 = ports.transparent_v4, ports.dns_v4, ports.proxy_v4
    v6 = ports.transparent_v6, ports.dns_v6, ports.proxy_v6
    families = (
        Family(socket.AF_INET, 16, b"\x7f", b"\x7f\x00\x00\x01", *v4),
        Family(socket.AF_INET6, 24, bytes(15) + b"\x01", bytes(15) + b"\x01", *v6),
    )
    return [
        Message(Kind.TABLE, (("NFTA_TABLE_NAME", TABLE),)),
        *[_counter(name) for name in COUNTERS],
        _base_chain(NAT, "nat", priority=-100, policy=_ACCEPT),
        _base_chain(FILTER, "filter", priority=0, policy=_DROP),
        *[
            Message(Kind.CHAIN, (("NFTA_CHAIN_TABLE", TABLE), ("NFTA_CHAIN_NAME", name)))
            for name in (REFUSE, REOPENED)
        ],
        *[_rule(NAT, [*routed, _verdict(_ACCEPT)]) for routed in _SOURCE_ROUTED],
        *[message for family in families for message in _nat_rules(family)],
        *_filter_rules(families),
        *_reopened_rules(families),
        *_refuse_rules(),
    ]


def closing() -> list[Message]:
    """What ends all traffic: a chain before every other, also before connection tracking, that lets nothing by."""
    return [_base_chain(CLOSED, "filter", priority=-400, policy=_DROP)]


def _nat_rules(family: Family) -> list[Message]:
    """Seen once a connection, by its first packet."""
    udp, tcp = (_of(family, protocol) for protocol in (socket.IPPROTO_UDP, socket.IPPROTO_TCP))
    at_listener = _to(family, family.listener)
    return [
        _rule(NAT, [*udp, *_port(DNS_PORT), *_redirect(family.dns)]),
        _rule(NAT, [*tcp, *_port(DNS_PORT), *_opens_connection(), _count(DNS_TCP), *_redirect(family.dns)]),
        *[
            _rule(NAT, [*tcp, *at_listener, *_port(port), *_opens_connection(), _count(name)])
            for port, name in family.counted[1:]
        ],
        _rule(
            NAT,
            [
                *[*tcp, *_to(family, family.inside, _UNEQUAL), *_opens_connection()],
                *[_count(REDIRECTED), *_redirect(family.transparent)],
            ],
        ),
    ]


def _filter_rules(families: Sequence[Family]) -> list[Message]:
    """Nothing but destinations inside gets past the last accept, so the policy (drop) is never reached."""
    queries = [
        _rule(
            FILTER,
            [
                *[*_of(family, socket.IPPROTO_UDP), *_to(family, family.listener), *_port(family.dns)],
                *[*_in_original_direction(), _count(DNS_UDP)],
            ],
        )
        for family in families
    ]
    unredirected = [
        _rule(
            FILTER,
            [
                *_of(family, socket.IPPROTO_TCP),
                *_to(family, family.listener),
                *_port(family.transparent),
                *_bits(_ct(_CT_STATUS), _native(_DST_NAT), _native(0)),
                _verdict(_JUMP, REFUSE),
            ],
        )
        for family in families
    ]
    inside = [
        _rule(FILTER, [*_family(family), *_to(family, family.inside), _verdict(_ACCEPT)])
        for family in families
    ]
    return [
        *[_rule(FILTER, [*routed, _verdict(_JUMP, REFUSE)]) for routed in _SOURCE_ROUTED],
        *queries,
        _rule(
            FILTER,
            [
                *_protocol(socket.IPPROTO_TCP),
                *_opens_connection(),
                *_known_connection(),
                *_in_original_direction(),
                _verdict(_JUMP, REOPENED),
            ],
        ),
        _rule(FILTER, [*_known_connection(), _verdict(_ACCEPT)]),
        *unredirected,
        *inside,
        _rule(FILTER, [_verdict(_JUMP, REFUSE)]),
    ]


def _reopened_rules(families: Sequence[Family]) -> list[Message]:
    """Connections that nat never sees: who binds the same port again within 10 s of our reset, for which the old one
    is remembered, reopens that (nf_conntrack_proto_tcp.c, TCP_CONNTRACK_IGNORE; seen on 6.18)."""
    return [
        _rule(
            REOPENED,
            [*_of(family, socket.IPPROTO_TCP), *_to(family, family.listener), *_port(port), _count(name)],
        )
        for family in families
        for port, name in family.counted
    ]


def _refuse_rules() -> list[Message]:
    """One by one in the order of REFUSED. The reports come first: a program that joins a group causes them."""
    numbers = (socket.IPPROTO_UDP, socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6, socket.IPPROTO_TCP, None)
    rules = [_rule(REFUSE, [*report, _count(MEMBERSHIP), _verdict(_DROP)]) for report in _MEMBERSHIP_REPORTS]
    for name, number in zip(REFUSED, numbers, strict=True):
        matched = [] if number is None else _protocol(number)
        answer = _RESET if number == socket.IPPROTO_TCP else _PROHIBITED
        rules.append(_rule(REFUSE, [*matched, _count(name), _log(name), answer]))
    return rules


# linux/netfilter/nf_tables.h, nf_conntrack_common.h
_DROP, _ACCEPT, _JUMP = 0, 1, -3
_LOCAL_OUT = 3
_EQUAL, _UNEQUAL = 0, 1
_VERDICT_REGISTER, _REGISTER = 0, 1
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_META_NFPROTO, _META_L4PROTO = 15, 16
_CT_STATE, _CT_DIRECTION, _CT_STATUS = 0, 1, 2
_ESTABLISHED_OR_RELATED = 0b110
_DST_NAT = 1 << 5
_COUNTER_OBJECT = 1
_FIN_SYN_RST_ACK, _SYN = b"\x17", b"\x02"
_PRESENT = 1


def _expression(name: str, **attributes: Value) -> Nest:
    data = Nest(tuple((f"NFTA_{name.upper()}_{key.upper()}", value) for key, value in attributes.items()))
    return Nest((("NFTA_EXPR_NAME", name), ("NFTA_EXPR_DATA", data)))


def _data(value: bytes) -> Nest:
    return Nest((("NFTA_DATA_VALUE", value),))


def _native(value: int) -> bytes:
    """The kernel keeps connection tracking's bits in a register in its own byte order."""
    return value.to_bytes(4, sys.byteorder)


_RESET = _expression("reject", type=1)
_PROHIBITED = _expression("reject", type=2, icmp_code=3)  # icmpx: "administratively prohibited" of the family


def _compare(value: bytes, operator: int = _EQUAL) -> Nest:
    return _expression("cmp", sreg=_REGISTER, op=operator, data=_data(value))


def _bits(load: Nest, mask: bytes, value: bytes, operator: int = _EQUAL) -> list[Nest]:
    masked = _expression(
        "bitwise",
        sreg=_REGISTER,
        dreg=_REGISTER,
        len=len(mask),
        mask=_data(mask),
        xor=_data(bytes(len(mask))),
    )
    return [load, masked, _compare(value, operator)]


def _payload(base: int, offset: int, length: int) -> Nest:
    return _expression("payload", dreg=_REGISTER, base=base, offset=offset, len=length)


def _ct(key: int) -> Nest:
    return _expression("ct", dreg=_REGISTER, key=key)


def _protocol(number: int) -> list[Nest]:
    """The upper-layer protocol, behind any IPv6 extension headers."""
    return [_expression("meta", dreg=_REGISTER, key=_META_L4PROTO), _compare(bytes([number]))]


def _family(family: Family) -> list[Nest]:
    return [_expression("meta", dreg=_REGISTER, key=_META_NFPROTO), _compare(bytes([family.number]))]


def _of(family: Family, protocol: int) -> list[Nest]:
    return [*_family(family), *_protocol(protocol)]


def _to(family: Family, prefix: bytes, operator: int = _EQUAL) -> list[Nest]:
    """Destination address begins with `prefix`."""
    return [_payload(_NETWORK_HEADER, family.destination_at, len(prefix)), _compare(prefix, operator)]


def _port(port: int) -> list[Nest]:
    """Destination port of TCP or UDP."""
    return [_payload(_TRANSPORT_HEADER, 2, 2), _compare(struct.pack("!H", port))]


def _opens_connection() -> list[Nest]:
    """A SYN, so that a late packet of a forgotten connection is not counted as a new one."""
    return _bits(_payload(_TRANSPORT_HEADER, 13, 1), _FIN_SYN_RST_ACK, _SYN)


def _known_connection() -> list[Nest]:
    return _bits(_ct(_CT_STATE), _native(_ESTABLISHED_OR_RELATED), _native(0), _UNEQUAL)


def _in_original_direction() -> list[Nest]:
    return [_ct(_CT_DIRECTION), _compare(b"\x00")]


_INTERNET_HEADER_WORDS = b"\x0f"
_SOURCE_ROUTED = (
    [
        _expression("meta", dreg=_REGISTER, key=_META_NFPROTO),
        _compare(bytes([socket.AF_INET])),
        *_bits(_payload(_NETWORK_HEADER, 0, 1), _INTERNET_HEADER_WORDS, b"\x05", _UNEQUAL),
    ],
    [
        _expression("meta", dreg=_REGISTER, key=_META_NFPROTO),
        _compare(bytes([socket.AF_INET6])),
        _expression(
            "exthdr",
            dreg=_REGISTER,
            type=socket.IPPROTO_ROUTING,
            offset=0,
            len=1,
            flags=_PRESENT,
        ),
        _compare(b"\x01"),
    ],
)
"""RFC 791 3.1 (a header of more than five words has options), RFC 8200 4.4."""

_MEMBERSHIP_REPORTS = (
    _protocol(socket.IPPROTO_IGMP),
    *[
        [*_protocol(socket.IPPROTO_ICMPV6), _payload(_TRANSPORT_HEADER, 0, 1), _compare(bytes([kind]))]
        for kind in (131, 132, 143)
    ],
)
"""RFC 3376, RFC 2710 3, RFC 3810 5.2."""


def _redirect(port: int) -> list[Nest]:
    """To 127.0.0.1 or ::1, by the packet's family."""
    number = _expression("immediate", dreg=_REGISTER, data=_data(struct.pack("!H", port)))
    return [number, _expression("redir", reg_proto_min=_REGISTER)]


def _count(name: str) -> Nest:
    return _expression("objref", imm_type=_COUNTER_OBJECT, imm_name=name)


def _log(prefix: str) -> Nest:
    return _expression("log", group=LOG_GROUP, prefix=prefix)


def _verdict(code: int, chain: str = "") -> Nest:
    attributes: tuple[tuple[str, Value], ...] = (("NFTA_VERDICT_CODE", code),)
    if chain:
        attributes += (("NFTA_VERDICT_CHAIN", chain),)
    return _expression(
        "immediate", dreg=_VERDICT_REGISTER, data=Nest((("NFTA_DATA_VERDICT", Nest(attributes)),))
    )


def _rule(chain: str, expressions: Sequence[Nest]) -> Message:
    return Message(
        Kind.RULE,
        (
            ("NFTA_RULE_TABLE", TABLE),
            ("NFTA_RULE_CHAIN", chain),
            ("NFTA_RULE_EXPRESSIONS", tuple(expressions)),
        ),
    )


def _base_chain(name: str, kind: str, *, priority: int, policy: int) -> Message:
    hook = Nest((("NFTA_HOOK_HOOKNUM", _LOCAL_OUT), ("NFTA_HOOK_PRIORITY", priority)))
    return Message(
        Kind.CHAIN,
        (
            ("NFTA_CHAIN_TABLE", TABLE),
            ("NFTA_CHAIN_NAME", name),
            ("NFTA_CHAIN_HOOK", hook),
            ("NFTA_CHAIN_POLICY", policy),
            ("NFTA_CHAIN_TYPE", kind),
        ),
    )


def _counter(name: str) -> Message:
    return Message(
        Kind.OBJECT,
        (
            ("NFTA_OBJ_TABLE", TABLE),
            ("NFTA_OBJ_NAME", name),
            ("NFTA_OBJ_TYPE", _COUNTER_OBJECT),
            ("NFTA_OBJ_DATA", Nest(())),
        ),
    )
