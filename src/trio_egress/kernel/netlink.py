"""Requests over netlink sockets that were opened inside the sandbox and passed out: routes, rules, counters.

Requests are few and always the same, so they are written here: importing a library for them took longer than all the
rest of the set-up. The tests read them with pyroute2, and the kernel does.

Rule 1: every request is answered by the kernel within ANSWER_SECONDS, and the answer is checked.
Rule 2: whatever is not the answer that was expected raises SandboxError.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence

from trio_egress.errors import SandboxError
from trio_egress.kernel import nft
from trio_egress.kernel.attributes import parse_attributes, render_attribute, render_attributes
from trio_egress.values import frozen

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
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg: family, type, index, flags, change
_STATS64, _STATS64_NUMBERS = (
    23,
    struct.Struct("=8Q"),
)  # packets, bytes, errors, dropped: each received and sent
_TABLE_LOCAL, _RTPROT_STATIC, _SCOPE_HOST, _RTN_LOCAL = 255, 4, 254, 2
_ROUTE = struct.Struct("=8BI")  # struct rtmsg: family, two lengths, tos, table, protocol, scope, type, flags
_RTA_OIF, _RTA_PREFSRC, _RTA_TABLE = 4, 7, 15

# linux/netfilter/nfnetlink.h, nf_tables.h
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_NFTABLES = 10
_GETOBJ, _GETOBJ_RESET = 19, 21
_GENERIC = struct.Struct("!BBH")  # struct nfgenmsg: family, version, resource
_NFPROTO_INET = 1
_COUNTER_OBJECT = 1
_OBJECT_NAME, _OBJECT_DATA = 2, 4
_COUNTER_BYTES, _COUNTER_PACKETS = 1, 2

# linux/netfilter/nfnetlink_conntrack.h
_CONNTRACK, _GET_STATS_CPU, _STATS_DROP = 1, 4, 10


@frozen
class _Answer:
    """One message from the kernel."""

    type: int
    flags: int
    sequence: int
    raw: bytes

    @property
    def body(self) -> bytes:
        return self.raw[_HEADER.size :]


@frozen
class LinkStats:
    """What an interface has carried, and the packets that it had no room for."""

    packets: int
    size: int
    dropped: int


def bring_up_loopback(rt: socket.socket) -> None:
    """Set `lo` up in the namespace of `rt`, an rtnetlink socket."""
    link = _LINK.pack(socket.AF_UNSPEC, 0, LOOPBACK_INDEX, _IFF_UP, _IFF_UP)
    request(rt, [_render(link, _RTM_NEWLINK, _REQUEST | _ACK, 1)], ["lo up"])


def read_loopback(rt: socket.socket) -> LinkStats:
    """What `lo` has carried since it was made."""
    _send(rt, _render(_LINK.pack(socket.AF_UNSPEC, 0, LOOPBACK_INDEX, 0, 0), _RTM_GETLINK, _REQUEST, 1))
    answer = next(_answers(rt))
    _check_error(answer, "reading lo")
    stats = parse_attributes(answer.body[_LINK.size :]).get(_STATS64, b"")
    if answer.type != _RTM_NEWLINK or len(stats) < _STATS64_NUMBERS.size:
        raise SandboxError(f"the kernel answered with a message of type {answer.type:#x} instead of lo")
    _, packets, _, size, _, _, *dropped = _STATS64_NUMBERS.unpack_from(stats)
    return LinkStats(packets, size, sum(dropped))


def read_conntrack_drops(nf: socket.socket) -> int:
    """The packets that connection tracking dropped, on all processors: a clash of two, or no room in its table.

    0 where the kernel does not tell (no nf_conntrack_netlink): what it dropped then stays unexplained.
    """
    generic = _GENERIC.pack(socket.AF_UNSPEC, 0, 0)
    _send(nf, _render(generic, _CONNTRACK << 8 | _GET_STATS_CPU, _REQUEST | _DUMP, 1))
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
    requests = []
    for sequence, (family, source) in enumerate(((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")), 1):
        route = _ROUTE.pack(family, 0, 0, 0, _TABLE_LOCAL, _RTPROT_STATIC, _SCOPE_HOST, _RTN_LOCAL, 0)
        route += render_attribute(_RTA_TABLE, struct.pack("=I", _TABLE_LOCAL))
        route += render_attribute(_RTA_OIF, struct.pack("=I", LOOPBACK_INDEX))
        route += render_attribute(_RTA_PREFSRC, socket.inet_pton(family, source))
        requests.append(_render(route, _RTM_NEWROUTE, _REQUEST | _ACK | _CREATE | _EXCLUSIVE, sequence))
    request(rt, requests, ["local 0.0.0.0/0 dev lo", "local ::/0 dev lo"])


def run_batch(nf: socket.socket, messages: Sequence[nft.Message]) -> None:
    """Put all of `messages` in place, or none of them. `nf` is a nfnetlink socket."""
    requests = [_edge(_BATCH_BEGIN)]
    for sequence, message in enumerate(messages, 1):
        body = _GENERIC.pack(_NFPROTO_INET, 0, 0) + render_attributes(message.attributes)
        flags = _REQUEST | _ACK | _CREATE | (_APPEND if message.kind is nft.Kind.RULE else _EXCLUSIVE)
        requests.append(_render(body, _NFTABLES << 8 | message.kind.value, flags, sequence))
    requests.append(_edge(_BATCH_END))
    request(nf, requests, [_describe(message) for message in messages])


def read_counters(nf: socket.socket, *, reset: bool = False) -> dict[str, tuple[int, int]]:
    """The named counters of the table: name → packets, bytes. Each is exact; the set is no snapshot.

    `reset` sets each to zero as it is read.
    """
    query = _GENERIC.pack(_NFPROTO_INET, 0, 0)
    query += render_attributes((("NFTA_OBJ_TABLE", nft.TABLE), ("NFTA_OBJ_TYPE", _COUNTER_OBJECT)))
    _send(nf, _render(query, _NFTABLES << 8 | (_GETOBJ_RESET if reset else _GETOBJ), _REQUEST | _DUMP, 1))
    counters = {}
    for answer in _answers(nf):
        if answer.flags & _DUMP_INTERRUPTED:
            raise SandboxError("the kernel's counters changed while they were read")
        if answer.type == _NLMSG_DONE:
            break
        _check_error(answer, "reading the counters")
        name, packets, size = _read_counter(answer)
        counters[name] = packets, size
    missing = set(nft.COUNTERS) - set(counters)
    if missing:
        raise SandboxError(f"the kernel gave no counter {', '.join(sorted(missing))}")
    return counters


def _read_counter(answer: _Answer) -> tuple[str, int, int]:
    values = parse_attributes(answer.body[_GENERIC.size :])
    data = parse_attributes(values.get(_OBJECT_DATA, b""))
    try:
        name = values[_OBJECT_NAME].rstrip(b"\0").decode("ascii")
        (packets,), (size,) = (struct.unpack("!Q", data[key]) for key in (_COUNTER_PACKETS, _COUNTER_BYTES))
    except (KeyError, ValueError, struct.error):
        name = ""
    if answer.type != _NFTABLES << 8 | nft.Kind.OBJECT.value or not name:
        raise SandboxError(
            f"the kernel answered with a message of type {answer.type:#x} instead of a counter"
        )
    return name, packets, size


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


def _render(body: bytes, kind: int, flags: int, sequence: int) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body


def _edge(kind: int) -> bytes:
    return _render(_GENERIC.pack(socket.AF_UNSPEC, 0, _NFTABLES), kind, _REQUEST, 0)
