"""Requests over netlink sockets that were opened inside the sandbox and passed out: routes, rules, counters.

The only file that knows pyroute2, which encodes and decodes messages and does nothing else: its sockets run
asyncio and fork. It is imported on the first call, because that costs more than all the rest of the set-up.

Rule 1: every request is answered by the kernel within ANSWER_SECONDS, and the answer is checked.
Rule 2: whatever is not the answer that was expected raises SandboxError.
"""

from __future__ import annotations

import functools
import os
import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from trio_egress.errors import SandboxError
from trio_egress.kernel import nft

ANSWER_SECONDS = 20.0
"""The kernel answers within the call; only a machine in deep trouble takes longer."""

ANSWER_BYTES = 1 << 16

LOOPBACK_INDEX = 1  # LOOPBACK_IFINDEX in net/flow.h: the first interface of every network namespace

# linux/netlink.h, linux/rtnetlink.h
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST, _ACK, _DUMP, _DUMP_INTERRUPTED = 0x1, 0x4, 0x300, 0x10
_EXCLUSIVE, _CREATE, _APPEND = 0x200, 0x400, 0x800
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence number, port
_RTM_NEWLINK, _RTM_GETLINK, _RTM_NEWROUTE = 16, 18, 24
_IFF_UP = 0x1
_TABLE_LOCAL, _RTPROT_STATIC, _SCOPE_HOST, _RTN_LOCAL = 255, 4, 254, 2

# linux/netfilter/nfnetlink.h, nf_tables.h
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NFTABLES = 10
_GETOBJ, _GETOBJ_RESET = 19, 21
_NFPROTO_INET = 1
_COUNTER_OBJECT = 1

# linux/netfilter/nfnetlink_conntrack.h
_CONNTRACK, _GET_STATS_CPU, _STATS_DROP = 1, 4, 10


@attrs.frozen
class _Answer:
    """One message from the kernel."""

    type: int
    flags: int
    sequence: int
    raw: bytes

    @property
    def body(self) -> bytes:
        return self.raw[_HEADER.size :]


@attrs.frozen
class _Codec:
    """The message classes of pyroute2, by what they create."""

    link: Any
    route: Any
    generic: Any
    nftables: Mapping[nft.Kind, Any]


@attrs.frozen
class LinkStats:
    """What an interface has carried, and the packets that it had no room for."""

    packets: int
    size: int
    dropped: int


def bring_up_loopback(rt: socket.socket) -> None:
    """Set `lo` up in the namespace of `rt`, an rtnetlink socket."""
    message = _codec().link()
    message["index"] = LOOPBACK_INDEX
    message["flags"] = message["change"] = _IFF_UP
    request(rt, [_encode(message, _RTM_NEWLINK, _REQUEST | _ACK, 1)], ["lo up"])


def read_loopback(rt: socket.socket) -> LinkStats:
    """What `lo` has carried since it was made."""
    query = _codec().link()
    query["index"] = LOOPBACK_INDEX
    _send(rt, _encode(query, _RTM_GETLINK, _REQUEST, 1))
    answer = next(_answers(rt))
    _check_error(answer, "reading lo")
    message = _codec().link(answer.raw)
    message.decode()
    stats = message.get_attr("IFLA_STATS64") if answer.type == _RTM_NEWLINK else None
    if stats is None:
        raise SandboxError(f"the kernel answered with a message of type {answer.type:#x} instead of lo")
    return LinkStats(stats["tx_packets"], stats["tx_bytes"], stats["rx_dropped"] + stats["tx_dropped"])


def read_conntrack_drops(nf: socket.socket) -> int:
    """The packets that connection tracking dropped, on all processors: a clash of two, or no room in its table.

    0 where the kernel does not tell (no nf_conntrack_netlink): what it dropped then stays unexplained.
    """
    generic = struct.pack("!BBH", socket.AF_UNSPEC, 0, 0)  # struct nfgenmsg
    length, kind = _HEADER.size + len(generic), _CONNTRACK << 8 | _GET_STATS_CPU
    _send(nf, _HEADER.pack(length, kind, _REQUEST | _DUMP, 1, 0) + generic)
    dropped = 0
    for answer in _answers(nf):
        if answer.type in (_NLMSG_DONE, _NLMSG_ERROR):
            break
        if answer.type != _CONNTRACK << 8 | _GET_STATS_CPU:
            raise SandboxError(
                f"the kernel answered with a message of type {answer.type:#x} instead of statistics"
            )
        dropped += _find_drops(answer.body[len(generic) :])
    return dropped


def _find_drops(raw: bytes) -> int:
    while len(raw) >= 8:  # each attribute is one number in network order
        length, kind, value = struct.unpack_from("=HH4s", raw)
        if kind & 0x3FFF == _STATS_DROP and length == 8:
            return int.from_bytes(value, "big")
        raw = raw[8:]
    return 0


def add_local_routes(rt: socket.socket) -> None:
    """Make every IPv4 and IPv6 address local, so that whatever is sent reaches the OUTPUT hooks.

    With a preferred source: without it a packet comes *from* the address that it goes to.
    """
    sources = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
    requests = []
    for sequence, (family, source) in enumerate(sources, 1):
        message = _codec().route()
        message.update(family=family, table=_TABLE_LOCAL, proto=_RTPROT_STATIC, scope=_SCOPE_HOST)
        message.update(type=_RTN_LOCAL, dst_len=0)
        message["attrs"] = [
            ("RTA_TABLE", _TABLE_LOCAL),
            ("RTA_OIF", LOOPBACK_INDEX),
            ("RTA_PREFSRC", source),
        ]
        requests.append(_encode(message, _RTM_NEWROUTE, _REQUEST | _ACK | _CREATE | _EXCLUSIVE, sequence))
    request(rt, requests, ["local 0.0.0.0/0 dev lo", "local ::/0 dev lo"])


def run_batch(nf: socket.socket, messages: Sequence[nft.Message]) -> None:
    """Put all of `messages` in place, or none of them. `nf` is a nfnetlink socket."""
    requests = [_edge(_BATCH_BEGIN)]
    for sequence, message in enumerate(messages, 1):
        encoded = _codec().nftables[message.kind]()
        encoded["nfgen_family"] = _NFPROTO_INET
        encoded["attrs"] = _plain(nft.Nest(message.attributes))["attrs"]
        flags = _REQUEST | _ACK | _CREATE | (_APPEND if message.kind is nft.Kind.RULE else _EXCLUSIVE)
        requests.append(_encode(encoded, _NFTABLES << 8 | message.kind.value, flags, sequence))
    requests.append(_edge(_BATCH_END))
    request(nf, requests, [_describe(message) for message in messages])


def read_counters(nf: socket.socket, *, reset: bool = False) -> dict[str, tuple[int, int]]:
    """The named counters of the table: name → packets, bytes. Each is exact; the set is no snapshot.

    `reset` sets each to zero as it is read.
    """
    decoder = _codec().nftables[nft.Kind.OBJECT]
    query = decoder()
    query["nfgen_family"] = _NFPROTO_INET
    query["attrs"] = [("NFTA_OBJ_TABLE", nft.TABLE), ("NFTA_OBJ_TYPE", _COUNTER_OBJECT)]
    _send(nf, _encode(query, _NFTABLES << 8 | (_GETOBJ_RESET if reset else _GETOBJ), _REQUEST | _DUMP, 1))
    counters = {}
    for answer in _answers(nf):
        if answer.flags & _DUMP_INTERRUPTED:
            raise SandboxError("the kernel's counters changed while they were read")
        if answer.type == _NLMSG_DONE:
            break
        _check_error(answer, "reading the counters")
        name, packets, size = _decode_counter(decoder, answer)
        counters[name] = packets, size
    missing = set(nft.COUNTERS) - set(counters)
    if missing:
        raise SandboxError(f"the kernel gave no counter {', '.join(sorted(missing))}")
    return counters


def _decode_counter(decoder: Any, answer: _Answer) -> tuple[str, int, int]:
    message = decoder(answer.raw)
    message.decode()
    name, data = message.get_attr("NFTA_OBJ_NAME"), message.get_attr("NFTA_OBJ_DATA")
    if answer.type != _NFTABLES << 8 | nft.Kind.OBJECT.value or name is None or data is None:
        raise SandboxError(
            f"the kernel answered with a message of type {answer.type:#x} instead of a counter"
        )
    return name, data.get_attr("NFTA_COUNTER_PACKETS"), data.get_attr("NFTA_COUNTER_BYTES")


def request(
    sock: socket.socket,
    requests: Sequence[bytes],
    names: Sequence[str],
    seconds: float = ANSWER_SECONDS,
) -> None:
    """Send all at once and wait for the acknowledgement of each; `names` are those of sequence numbers 1…"""
    _send(sock, b"".join(requests))
    waiting = set(range(1, len(names) + 1))
    answers = _answers(sock, seconds)
    while waiting:
        answer = next(answers)
        name = names[answer.sequence - 1] if answer.sequence in waiting else "the request"
        _check_error(answer, name)
        if answer.type != _NLMSG_ERROR:
            raise SandboxError(f"{name}: the kernel answered with a message of type {answer.type:#x}")
        waiting.discard(answer.sequence)


def _send(sock: socket.socket, raw: bytes) -> None:
    try:
        sent = sock.send(raw)
    except OSError as error:
        raise SandboxError(f"cannot ask the kernel over netlink: {error.strerror}") from None
    if sent != len(raw):
        raise SandboxError(f"the kernel took {sent} of {len(raw)} bytes of a netlink request")


def _answers(sock: socket.socket, seconds: float = ANSWER_SECONDS) -> Iterator[_Answer]:
    """Messages as they come, for at most `seconds` in all. The mode of the socket stays as it was."""
    deadline = time.monotonic() + seconds
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    while True:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise SandboxError(f"the kernel did not answer over netlink for {seconds:.0f} s")
        try:
            raw, _, flags, sender = sock.recvmsg(ANSWER_BYTES, 0, socket.MSG_DONTWAIT)
        except OSError as error:
            raise SandboxError(f"cannot read the kernel's answer over netlink: {error.strerror}") from None
        if not raw:
            raise SandboxError("an empty netlink answer")
        if flags & socket.MSG_TRUNC:
            raise SandboxError(f"a netlink answer of more than {ANSWER_BYTES} bytes")
        if sender[0] == 0:  # port 0 is the kernel; any process may write to a netlink socket
            yield from _split(raw)


def _split(raw: bytes) -> Iterator[_Answer]:
    while raw:
        if len(raw) < _HEADER.size:
            raise SandboxError(f"a netlink answer ends in {len(raw)} odd bytes")
        length, kind, flags, sequence, _ = _HEADER.unpack_from(raw)
        if not _HEADER.size <= length <= len(raw):
            raise SandboxError(f"a netlink message claims {length} bytes of {len(raw)}")
        yield _Answer(kind, flags, sequence, raw[:length])
        raw = raw[(length + 3) & ~3 :]


def _check_error(answer: _Answer, name: str) -> None:
    if answer.type != _NLMSG_ERROR:
        return
    if len(answer.body) < 4:
        raise SandboxError(f"{name}: the kernel's answer is {len(answer.body)} bytes short")
    (code,) = struct.unpack_from("=i", answer.body)
    if code:
        raise SandboxError(f"{name}: {os.strerror(-code)}")


def _describe(message: nft.Message) -> str:
    """`nftables rule filter_output log`: what a missing kernel module is seen by."""
    words = ["nftables", message.kind.name.lower()]
    for _, value in message.attributes:
        if isinstance(value, str) and value != nft.TABLE:
            words.append(value)
        elif isinstance(value, tuple):
            words.extend(str(expression.attributes[0][1]) for expression in value)
    return " ".join(words)


def _encode(message: Any, kind: int, flags: int, sequence: int) -> bytes:
    message["header"].update(type=kind, flags=flags, sequence_number=sequence, pid=0)
    message.reset()
    message.encode()
    return bytes(message.data)


def _edge(kind: int) -> bytes:
    message = _codec().generic()
    message["res_id"] = _NFTABLES
    return _encode(message, kind, _REQUEST, 0)


def _plain(value: nft.Value) -> Any:
    match value:
        case nft.Nest(attributes):
            return {"attrs": [(name, _plain(inner)) for name, inner in attributes]}
        case tuple():
            return [_plain(inner) for inner in value]
        case _:
            return value


@functools.cache
def _codec() -> _Codec:
    """pyroute2 0.9.7 with what it lacks: named objects, and the group of a log expression in 16 bits.

    As be32 the kernel would read group 0, and every refusal would go unseen.
    """
    from pyroute2.netlink import nla
    from pyroute2.netlink.nfnetlink import nfgen_msg, nftsocket
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    expressions: Any = nftsocket.nft_rule_msg.nft_expr

    class Rule(nftsocket.nft_rule_msg):  # type: ignore[misc]
        class nft_expr(expressions):  # type: ignore[misc]
            class nft_log(expressions.nft_log):  # type: ignore[misc]
                nla_map = tuple(
                    (name, "be16" if name == "NFTA_LOG_GROUP" else kind)
                    for name, kind in expressions.nft_log.nla_map
                )

    class NamedObject(nfgen_msg):  # type: ignore[misc]
        nla_map = (
            ("NFTA_OBJ_UNSPEC", "none"),
            ("NFTA_OBJ_TABLE", "asciiz"),
            ("NFTA_OBJ_NAME", "asciiz"),
            ("NFTA_OBJ_TYPE", "be32"),
            ("NFTA_OBJ_DATA", "counter"),
            ("NFTA_OBJ_USE", "be32"),
            ("NFTA_OBJ_HANDLE", "be64"),
        )

        class counter(nla):  # type: ignore[misc]
            nla_map = (
                ("NFTA_COUNTER_UNSPEC", "none"),
                ("NFTA_COUNTER_BYTES", "be64"),
                ("NFTA_COUNTER_PACKETS", "be64"),
                ("NFTA_COUNTER_PAD", "hex"),
            )

    return _Codec(
        link=ifinfmsg,
        route=rtmsg,
        generic=nfgen_msg,
        nftables={
            nft.Kind.TABLE: nftsocket.nft_table_msg,
            nft.Kind.CHAIN: nftsocket.nft_chain_msg,
            nft.Kind.RULE: Rule,
            nft.Kind.OBJECT: NamedObject,
        },
    )
