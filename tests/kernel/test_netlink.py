"""Requests to the real kernel, and what is made of answers that it would never give."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.kernel.namespace import NETLINK_NETFILTER, Namespace, Network

from trio_egress.errors import SandboxError
from trio_egress.kernel import netlink, nft
from trio_egress.kernel.nft import Kind, Message, Nest

PORTS = nft.ListenerPorts(1, 2, 3, 4, 5, 6)


# the real kernel


@pytest.mark.sandbox
def test_loopback_may_be_brought_up_twice(space: Namespace) -> None:
    with space.netlink(socket.NETLINK_ROUTE) as route:
        with space.open_socket() as client, pytest.raises(OSError, match="unreachable"):
            client.connect(("127.0.0.1", 1))
        netlink.bring_up_loopback(route)
        netlink.bring_up_loopback(route)
        with space.open_socket() as client, pytest.raises(ConnectionRefusedError):
            client.connect(("127.0.0.1", 1))


@pytest.mark.sandbox
def test_route_that_exists_is_an_error_with_its_name(space: Namespace) -> None:
    with space.netlink(socket.NETLINK_ROUTE) as route:
        netlink.bring_up_loopback(route)
        netlink.add_local_routes(route)
        with pytest.raises(SandboxError, match=r"local 0\.0\.0\.0/0 dev lo: File exists"):
            netlink.add_local_routes(route)


@pytest.mark.sandbox
def test_routes_without_loopback_fail(space: Namespace) -> None:
    with (
        space.netlink(socket.NETLINK_ROUTE) as route,
        pytest.raises(SandboxError, match=r"^local 0\.0\.0\.0/0 dev lo: "),
    ):
        netlink.add_local_routes(route)


@pytest.mark.sandbox
def test_batch_with_one_bad_message_changes_nothing(space: Namespace) -> None:
    bad = Message(Kind.RULE, (("NFTA_RULE_TABLE", nft.TABLE), ("NFTA_RULE_CHAIN", "no such chain")))
    with space.netlink(NETLINK_NETFILTER) as rules:
        with pytest.raises(SandboxError, match="nftables rule no such chain: No such file or directory"):
            netlink.run_batch(rules, [*nft.ruleset(PORTS), bad])
        with pytest.raises(SandboxError, match="no counter"):
            netlink.read_counters(rules)
        netlink.run_batch(rules, nft.ruleset(PORTS))
        assert set(netlink.read_counters(rules)) == set(nft.COUNTERS)


@pytest.mark.sandbox
def test_table_that_exists_is_not_added_to(network: Network) -> None:
    with pytest.raises(SandboxError, match="File exists"):
        netlink.run_batch(network.rules, nft.ruleset(network.ports))


@pytest.mark.sandbox
def test_counters_start_at_zero(network: Network) -> None:
    assert netlink.read_counters(network.rules) == dict.fromkeys(nft.COUNTERS, (0, 0))


@pytest.mark.sandbox
def test_mode_of_the_socket_stays_as_it_was(network: Network) -> None:
    for timeout in (None, 0.0, 7.0):
        network.rules.settimeout(timeout)
        netlink.read_counters(network.rules)
        assert network.rules.gettimeout() == timeout


@pytest.mark.sandbox
def test_closed_socket_is_a_sandbox_error(space: Namespace) -> None:
    route = space.netlink(socket.NETLINK_ROUTE)
    route.close()
    with pytest.raises(SandboxError, match="cannot ask the kernel"):
        netlink.bring_up_loopback(route)


# answers that the kernel would never give


class Kernel:
    """A netlink socket whose answers are given beforehand. `sender` 0 is the kernel."""

    def __init__(self, *answers: bytes, sender: int = 0, flags: int = 0, sent: int | None = None) -> None:
        self._reader, self._writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for answer in answers:
            self._writer.send(answer)
        self._sender, self._flags, self._sent = sender, flags, sent

    def fileno(self) -> int:
        return self._reader.fileno()

    def send(self, raw: bytes) -> int:
        return len(raw) if self._sent is None else self._sent

    def recvmsg(self, size: int, ancillary: int, flags: int) -> tuple[bytes, list[Any], int, tuple[int, int]]:
        raw, _, _, _ = self._reader.recvmsg(size, ancillary, flags)
        return raw, [], self._flags, (self._sender, 0)

    def close_writer(self) -> None:
        self._writer.close()

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


MakeKernel = Callable[..., Any]


@pytest.fixture
def kernel() -> Iterator[MakeKernel]:
    opened: list[Kernel] = []

    def make(*answers: bytes, **facts: int) -> Kernel:
        opened.append(Kernel(*answers, **facts))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def answer(kind: int, body: bytes, sequence: int = 1, flags: int = 0) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body


def acknowledge(sequence: int, code: int = 0) -> bytes:
    return answer(2, struct.pack("=i", code) + bytes(16), sequence)


def test_acknowledgements_may_come_in_any_order_and_packing(kernel: MakeKernel) -> None:
    netlink.request(kernel(acknowledge(3), acknowledge(1) + acknowledge(2)), [b"x"], ["one", "two", "three"])


def test_error_is_told_by_the_name_of_its_message(kernel: MakeKernel) -> None:
    sock = kernel(acknowledge(1) + acknowledge(2, -errno.EPERM))
    with pytest.raises(SandboxError, match=r"^two: Operation not permitted$"):
        netlink.request(sock, [b"x"], ["one", "two"])


def test_error_without_a_known_message_is_an_error_too(kernel: MakeKernel) -> None:
    with pytest.raises(SandboxError, match=r"^the request: Operation not permitted$"):
        netlink.request(kernel(acknowledge(0, -errno.EPERM)), [b"x"], ["one"])


def test_silence_ends_in_a_sandbox_error(kernel: MakeKernel) -> None:
    with pytest.raises(SandboxError, match="did not answer over netlink for 0 s"):
        netlink.request(kernel(acknowledge(1)), [b"x"], ["one", "two"], seconds=0.05)


def test_another_process_cannot_answer_for_the_kernel(kernel: MakeKernel) -> None:
    with pytest.raises(SandboxError, match="did not answer"):
        netlink.request(kernel(acknowledge(1), sender=4711), [b"x"], ["one"], seconds=0.05)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\x00" * 3, "ends in 3 odd bytes"),
        (b"\x00" * 16, "claims 0 bytes of 16"),
        (struct.pack("=IHHII", 15, 2, 0, 1, 0), "claims 15 bytes of 16"),
        (struct.pack("=IHHII", 17, 2, 0, 1, 0), "claims 17 bytes of 16"),
        (answer(2, b"\x00\x00\x00"), "3 bytes"),
        (acknowledge(2) + b"\x00", "ends in 1 odd bytes"),
        (answer(7, b""), "one: the kernel answered with a message of type 0x7"),
    ],
)
def test_odd_answer_is_a_sandbox_error(kernel: MakeKernel, raw: bytes, message: str) -> None:
    with pytest.raises(SandboxError, match=message):
        netlink.request(kernel(raw), [b"x"], ["one", "two"])


def test_truncated_answer_is_a_sandbox_error(kernel: MakeKernel) -> None:
    with pytest.raises(SandboxError, match="more than 65536 bytes"):
        netlink.request(kernel(acknowledge(1), flags=socket.MSG_TRUNC), [b"x"], ["one"])


def test_empty_answer_is_a_sandbox_error(kernel: MakeKernel) -> None:
    sock = kernel()
    sock.close_writer()
    with pytest.raises(SandboxError, match="empty"):
        netlink.request(sock, [b"x"], ["one"])


def test_failing_read_is_a_sandbox_error(kernel: MakeKernel) -> None:
    class Overflowed(Kernel):
        def recvmsg(self, *_: object) -> tuple[bytes, list[Any], int, tuple[int, int]]:
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))

    sock: Any = Overflowed(acknowledge(1))
    with pytest.raises(SandboxError, match="cannot read the kernel's answer over netlink: No buffer space"):
        netlink.request(sock, [b"x"], ["one"])
    sock.close()


def test_half_sent_request_is_a_sandbox_error(kernel: MakeKernel) -> None:
    with pytest.raises(SandboxError, match="took 3 of 4 bytes"):
        netlink.request(kernel(sent=3), [b"xxxx"], ["one"])


def counter(name: str, packets: int = 5, size: int = 500, kind: int = 0x0A12, flags: int = 2) -> bytes:
    def attribute(number: int, value: bytes) -> bytes:
        return struct.pack("=HH", 4 + len(value), number) + value + bytes(-len(value) % 4)

    data = attribute(1, struct.pack("!Q", size)) + attribute(2, struct.pack("!Q", packets))
    body = bytes(4) + attribute(1, nft.TABLE.encode() + b"\x00") + attribute(2, name.encode() + b"\x00")
    return answer(kind, body + attribute(3, struct.pack("!I", 1)) + attribute(4, data), flags=flags)


DONE = answer(3, bytes(4))


def test_counters_are_read_over_several_datagrams(kernel: MakeKernel) -> None:
    half = len(nft.COUNTERS) // 2
    first = b"".join(counter(name) for name in nft.COUNTERS[:half])
    second = b"".join(counter(name, 7, 700) for name in nft.COUNTERS[half:])
    counters = netlink.read_counters(kernel(first, second, DONE))
    assert counters[nft.COUNTERS[0]] == (5, 500)
    assert counters[nft.COUNTERS[-1]] == (7, 700)


def test_missing_counter_is_a_sandbox_error(kernel: MakeKernel) -> None:
    given = b"".join(counter(name) for name in nft.COUNTERS if name != "udp")
    with pytest.raises(SandboxError, match=r"gave no counter udp$"):
        netlink.read_counters(kernel(given, DONE))


def test_counters_that_changed_underway_are_a_sandbox_error(kernel: MakeKernel) -> None:
    with pytest.raises(SandboxError, match="changed while they were read"):
        netlink.read_counters(kernel(counter("udp", flags=2 | 0x10), DONE))


@pytest.mark.parametrize("raw", [counter("udp", kind=0x0A00), answer(0x0A12, bytes(4), flags=2)])
def test_answer_that_is_no_counter_is_a_sandbox_error(kernel: MakeKernel, raw: bytes) -> None:
    with pytest.raises(SandboxError, match="instead of a counter"):
        netlink.read_counters(kernel(raw, DONE))


def test_refused_dump_is_a_sandbox_error(kernel: MakeKernel) -> None:
    with pytest.raises(SandboxError, match="reading the counters: Operation not permitted"):
        netlink.read_counters(kernel(acknowledge(1, -errno.EPERM)))


STATISTICS = 0x0104


def statistics(*drops: int) -> bytes:
    """What one processor's connection tracking has seen: attributes 2 (found) and 10 (dropped)."""
    numbers = b"".join(struct.pack("=HH", 8, 10) + drop.to_bytes(4, "big") for drop in drops)
    return answer(STATISTICS, bytes(4) + struct.pack("=HHI", 8, 2, 0xFFFFFFFF) + numbers, flags=2)


def test_drops_of_connection_tracking_are_summed_over_processors(kernel: MakeKernel) -> None:
    assert netlink.read_conntrack_drops(kernel(statistics(3), statistics(), statistics(40), DONE)) == 43


def test_a_kernel_that_has_no_statistics_has_seen_no_drops(kernel: MakeKernel) -> None:
    assert netlink.read_conntrack_drops(kernel(acknowledge(1, -errno.EINVAL))) == 0


def test_answer_that_is_no_statistics_is_a_sandbox_error(kernel: MakeKernel) -> None:
    with pytest.raises(SandboxError, match="instead of statistics"):
        netlink.read_conntrack_drops(kernel(counter("udp"), DONE))


@pytest.mark.parametrize("raw", [counter("udp"), answer(16, bytes(16))])
def test_answer_that_is_no_interface_is_a_sandbox_error(kernel: MakeKernel, raw: bytes) -> None:
    with pytest.raises(SandboxError, match="instead of lo"):
        netlink.read_loopback(kernel(raw))


def test_refused_look_at_the_interface_is_a_sandbox_error(kernel: MakeKernel) -> None:
    with pytest.raises(SandboxError, match="reading lo: Operation not permitted"):
        netlink.read_loopback(kernel(acknowledge(1, -errno.EPERM)))


# the bytes


def encode_batch(messages: list[Message]) -> bytes:
    """What run_batch sends."""
    sent: list[bytes] = []

    class Recorder(Kernel):
        def send(self, raw: bytes) -> int:
            sent.append(raw)
            return len(raw)

    recorder: Any = Recorder(*[acknowledge(number) for number in range(1, len(messages) + 1)])
    netlink.run_batch(recorder, messages)
    recorder.close()
    (raw,) = sent
    return raw


def split(raw: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    while raw:
        length, kind, flags, sequence, _ = struct.unpack_from("=IHHII", raw)
        yield kind, flags, sequence, raw[16:length]
        raw = raw[(length + 3) & ~3 :]


def test_batch_is_one_transaction_with_numbered_messages() -> None:
    messages = list(split(encode_batch(nft.ruleset(PORTS))))
    assert [kind for kind, *_ in (messages[0], messages[-1])] == [0x10, 0x11]
    assert [sequence for _, _, sequence, _ in messages[1:-1]] == list(range(1, len(messages) - 1))
    assert all(flags & 4 for _, flags, _, _ in messages[1:-1])  # each is acknowledged
    assert {kind >> 8 for kind, *_ in messages[1:-1]} == {10}


def test_log_group_is_sixteen_bits_wide() -> None:
    """In 32 bits the kernel would read group 0, and every refusal would go unseen."""
    raw = encode_batch(nft.ruleset(PORTS))
    assert raw.count(struct.pack("=HH", 6, 1) + struct.pack("!H", nft.LOG_GROUP)) == len(nft.REFUSED)


def decode(value: Any) -> Any:
    """What pyroute2 reads, in the form of nft.Message; numbers with a name come as the name."""
    match value:
        case {"attrs": attributes}:
            return tuple((name, decode(inner)) for name, inner in attributes)
        case list():
            return tuple(decode(inner) for inner in value)
        case _:
            return value


def shape(value: nft.Value) -> Any:
    match value:
        case Nest(attributes):
            return tuple((name, shape(inner)) for name, inner in attributes)
        case tuple():
            return tuple(shape(inner) for inner in value)
        case _:
            return value


def names(value: Any) -> Any:
    """Attribute names and plain text in their places, which no decoding changes."""
    if isinstance(value, tuple):
        return tuple(names(inner) for inner in value)
    return value if isinstance(value, str) and not value.startswith(("NF_", "NFT_")) else "…"


def make_readers() -> dict[Kind, Any]:
    """The message classes of pyroute2 0.9.7 with what it lacks: named objects, and a log group of 16 bits."""
    from pyroute2.netlink import nla
    from pyroute2.netlink.nfnetlink import nfgen_msg, nftsocket

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
        )

        class counter(nla):  # type: ignore[misc]
            nla_map = (("NFTA_COUNTER_UNSPEC", "none"), ("NFTA_COUNTER_BYTES", "be64"))

    return {
        Kind.TABLE: nftsocket.nft_table_msg,
        Kind.CHAIN: nftsocket.nft_chain_msg,
        Kind.RULE: Rule,
        Kind.OBJECT: NamedObject,
    }


def test_another_library_reads_every_attribute_of_the_rules() -> None:
    readers = make_readers()
    for messages in (nft.ruleset(PORTS), nft.closing()):
        for (_, _, sequence, body), message in zip(
            list(split(encode_batch(messages)))[1:-1], messages, strict=True
        ):
            header = struct.pack("=IHHII", 16 + len(body), 0, 0, sequence, 0)
            decoded = readers[message.kind](header + body)
            decoded.decode()
            assert names(decode({"attrs": decoded["attrs"]})) == names(shape(Nest(message.attributes)))


def test_nested_attributes_keep_their_order() -> None:
    hook = Nest((("NFTA_HOOK_HOOKNUM", 3), ("NFTA_HOOK_PRIORITY", -100)))
    raw = encode_batch([Message(Kind.CHAIN, (("NFTA_CHAIN_NAME", "c"), ("NFTA_CHAIN_HOOK", hook)))])
    number = struct.pack("=HHI", 8, 1, socket.htonl(3))
    assert number + struct.pack("=HH", 8, 2) + struct.pack("!i", -100) in raw
