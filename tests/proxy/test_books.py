"""What came in, and what is recorded of the rest: by its real causes, and no more than those explain."""

from __future__ import annotations

import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from tests.proxy.conftest import reset

from trio_egress.kernel.counters import DNS_LOST, WAY_LOST
from trio_egress.kernel.nft import COUNTERS, DNS_TCP, DNS_UDP, MEMBERSHIP, PROXY, REDIRECTED
from trio_egress.proxy.books import Books
from trio_egress.proxy.connection import NOT_ACCEPTED, SILENT
from trio_egress.proxy.dns import keep_dns_tcp
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.listen import keep_explicit, keep_listener, keep_transparent

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, World

RULE = '[[egress]]\ndestination = "api.example"\n'


def render_counters(**counts: int) -> dict[str, tuple[int, int]]:
    return {name: (counts.get(name, 0), 0) for name in (*COUNTERS, DNS_LOST, WAY_LOST)}


def told(world: World) -> list[dict[str, Any]]:
    """The facts of all receipts that make up books."""
    names = ("connections", "count", "over", "lost", "counter")
    return [{name: r.facts[name] for name in names if name in r.facts} for r in world.receipts()]


# settling


async def test_nothing_is_recorded_where_everything_came_in(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        books = world.gate.books
        for name in (REDIRECTED, PROXY, DNS_TCP, DNS_UDP):
            books.add(name, 3)
        books.settle(render_counters(redirected=3, proxy=3, dns_tcp=3, dns_udp=3))
    assert world.receipts() == []


async def test_connections_that_never_came_in_are_one_receipt_a_door(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        world.gate.books.add(REDIRECTED, 2)
        world.gate.books.settle(render_counters(redirected=7, proxy=2, dns_tcp=1))
    assert told(world) == [
        {"connections": 5, "count": 5},
        {"connections": 2, "count": 2},
        {"connections": 1, "count": 1, "over": "tcp"},
    ]


async def test_more_than_was_counted_is_never_made_up_for(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        world.gate.books.add(REDIRECTED, 2)
        world.gate.books.add(DNS_UDP, 9)
        world.gate.books.settle(render_counters(redirected=1, dns_udp=8))
    assert world.receipts() == []


@pytest.mark.parametrize(
    ("counts", "lost"),
    [
        ({"dns_udp": 10, "dns_lost": 6}, [("queue", 6)]),
        ({"dns_udp": 10, "dns_lost": 4, "way_lost": 2}, [("queue", 4), ("way", 2)]),
        ({"dns_udp": 10, "dns_lost": 4, "way_lost": 100}, [("queue", 4), ("way", 2)]),
        ({"dns_udp": 10, "dns_lost": 4, "way_lost": 1}, [("queue", 4), ("way", 1)]),
        ({"dns_udp": 10}, []),
        ({"dns_udp": 10, "dns_lost": 7}, [("queue", 7)]),
    ],
)
async def test_a_missing_query_is_explained_by_what_a_queue_lost_and_by_nothing_else(
    open_world: OpenWorld, counts: dict[str, int], lost: list[tuple[str, int]]
) -> None:
    async with open_world(RULE) as world:
        world.gate.books.add(DNS_UDP, 4)
        world.gate.books.settle(render_counters(**counts))
    assert [(r.facts["lost"], r.facts["count"]) for r in world.receipts()] == lost


async def test_group_reports_are_told(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        world.gate.books.settle(render_counters(membership=4))
    assert told(world) == [{"counter": MEMBERSHIP, "count": 4}]


async def test_datagrams_that_come_when_the_stub_has_ended_are_counted(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        books = world.gate.books
        with socket.socket(type=socket.SOCK_DGRAM) as stub, socket.socket(type=socket.SOCK_DGRAM) as client:
            stub.bind(("127.0.0.1", 0))
            counters = render_counters(dns_udp=3)
            assert not books.is_settled(counters)
            for raw in (b"", b"a query", bytes(9000)):
                client.sendto(raw, stub.getsockname())
            books.count_waiting([stub])
            books.count_waiting([stub])
            assert books.is_settled(counters)
            assert books.is_settled(render_counters(dns_udp=4, dns_lost=1))
    assert told(world) == [{"count": 3, "over": "udp"}]


async def test_a_connection_opens_no_books_of_its_own(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        entries = world.gate.books.open_entries(PROXY)
        with pytest.raises(TypeError):
            Gate(world.gate.policy, entries, world.gate.names)
        assert isinstance(world.gate.books, Books)
    assert world.receipts() == []


# every connection leaves a receipt


async def test_each_connection_has_a_number_of_its_own(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        streams = [await world.agent("203.0.113.9", 25) for _ in range(3)]
        streams += [await world.client() for _ in range(3)]
        for stream in streams:
            reset(stream)
    assert sorted(r.facts["connection"] for r in world.receipts()) == [1, 2, 3, 4, 5, 6]


async def test_an_intent_and_its_outcome_have_their_connections_number(open_world: OpenWorld) -> None:
    async with open_world(RULE, {"api.example": 9}) as world:
        stream = await world.agent("api.example", 80)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n")
        await stream.receive_some()
        reset(stream)
    assert [(r.phase, r.facts["connection"]) for r in world.receipts()] == [("intent", 1), ("outcome", 1)]


@pytest.mark.parametrize("raw", [b"", b"GET / HT", b"\x16\x03"])
async def test_a_connection_that_is_cut_off_leaves_a_receipt(open_world: OpenWorld, raw: bytes) -> None:
    async with open_world(RULE) as world:
        streams = [await world.agent("api.example", 443), await world.client()]
        for stream in streams:
            await stream.send_all(raw)
        await trio.testing.wait_all_tasks_blocked()
        world.cancel()
        for stream in streams:
            stream.socket.close()
    assert SILENT in {r.facts["reason"] for r in world.receipts()}
    assert sorted(r.facts["connection"] for r in world.receipts()) == [1, 2]


@pytest.mark.parametrize("keep", [keep_transparent, keep_explicit, keep_dns_tcp])
async def test_what_waits_in_the_backlog_at_the_end_is_recorded(open_world: OpenWorld, keep: Any) -> None:
    async with open_world(RULE) as world:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=64)
        clients = [socket.create_connection(listener.socket.getsockname()) for _ in range(20)]
        with listener.socket, trio.CancelScope() as scope:
            scope.cancel()
            await keep(listener, world.gate)
        for client in clients:
            client.close()
    receipts = world.receipts()
    if keep is keep_dns_tcp:
        assert sum(r.facts["connections"] for r in receipts) == 20
    else:
        assert sorted(r.facts["connection"] for r in receipts) == list(range(1, 21))
        assert {r.facts["reason"] for r in receipts} == {NOT_ACCEPTED}


async def test_a_backlog_is_emptied_when_accepting_ends_and_no_connection_is_handled_twice(
    open_world: OpenWorld,
) -> None:
    seen: Counter[str] = Counter()

    async def handle(sock: trio.socket.SocketType, gate: Gate) -> None:
        seen["handled"] += 1
        await trio.sleep_forever()

    async with open_world(RULE, connections=3) as world:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=64)
        clients = [socket.create_connection(listener.socket.getsockname()) for _ in range(10)]
        with listener.socket:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    keep_listener, listener, handle, world.gate, None, lambda sock: seen.update(["left"])
                )
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        for client in clients:
            client.close()
    assert seen == {"handled": 3, "left": 7}


async def test_a_listener_that_is_closed_has_no_backlog(open_world: OpenWorld) -> None:
    left: list[socket.socket] = []

    async def handle(sock: trio.socket.SocketType, gate: Gate) -> None:
        raise AssertionError

    async with open_world(RULE) as world, trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(keep_listener, listener, handle, world.gate, None, left.append)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        listener.socket.close()
    assert left == []


async def test_each_dns_connection_is_opened_by_its_first_query_alone(open_world: OpenWorld) -> None:
    query = bytes.fromhex("0001010000010000000000000465766c7607657861 6d706c650000010001".replace(" ", ""))
    async with open_world(RULE) as world:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        with listener.socket:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_dns_tcp, listener, world.gate)
                for queries in (3, 1, 0, 5):
                    stream = await trio.open_tcp_stream(*listener.socket.getsockname())
                    for _ in range(queries):
                        await stream.send_all(len(query).to_bytes(2, "big") + query)
                        assert await stream.receive_some()
                    await stream.aclose()
                waiting = await trio.open_tcp_stream(*listener.socket.getsockname())
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            await waiting.aclose()
    assert sum(r.facts.get("connections", 0) for r in world.receipts()) == 5
    assert sum(r.facts["count"] for r in world.receipts()) == 3 + 1 + 1 + 5 + 1
