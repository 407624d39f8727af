"""Accepting: who is no redirected connection, running out of descriptors, and bugs that end the run."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from tests.proxy.conftest import few_descriptors, receive_all

from trio_egress.proxy.listen import keep_listener, keep_transparent

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld

    from trio_egress.proxy.gate import Gate

RULE = '[[egress]]\ndestination = "api.example"\n'


async def connect(listener: trio.SocketListener) -> trio.SocketStream:
    host, port = listener.socket.getsockname()
    return await trio.open_tcp_stream(host, port)


async def test_connection_to_the_transparent_listener_itself_is_refused(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world, trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(keep_transparent, listener, world.gate)
        agent = await connect(listener)
        await agent.send_all(b"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n")
        with pytest.raises(trio.BrokenResourceError):
            await agent.receive_some()
        nursery.cancel_scope.cancel()
        agent.socket.close()
        port = listener.socket.getsockname()[1]
        listener.socket.close()
    assert world.block().target == f"tcp://127.0.0.1:{port}"
    assert world.block().layer == "malformed"


async def test_without_descriptors_connections_wait_in_the_backlog(
    open_world: OpenWorld, mock_clock: trio.testing.MockClock
) -> None:
    served = trio.Event()

    async def handle(sock: trio.socket.SocketType, gate: Gate) -> None:
        served.set()

    async with open_world(RULE) as world, trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(keep_listener, listener, handle, world.gate)
        agent = await connect(listener)
        await served.wait()
        served = trio.Event()
        waiting = await connect(listener)
        await served.wait()
        await agent.aclose()
        await waiting.aclose()

        served = trio.Event()
        waiting = trio.SocketStream(trio.socket.socket())
        with few_descriptors():
            await waiting.socket.connect(listener.socket.getsockname())
            await trio.testing.wait_all_tasks_blocked()
            assert not served.is_set()
        mock_clock.jump(1)
        await served.wait()
        assert await receive_all(waiting) == b""
        await waiting.aclose()
        nursery.cancel_scope.cancel()
        listener.socket.close()


async def test_without_descriptors_what_waits_at_the_end_is_left_to_the_books(open_world: OpenWorld) -> None:
    async def handle(sock: trio.socket.SocketType, gate: Gate) -> None:
        raise AssertionError("nothing is accepted")

    left: list[socket.socket] = []
    accepting = trio.CancelScope()
    accepting.cancel()
    async with open_world(RULE) as world:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        waiting = await connect(listener)
        with few_descriptors():
            await keep_listener(listener, handle, world.gate, accepting, left.append)
        await waiting.aclose()
        listener.socket.close()
    assert left == []


async def test_bug_in_a_connection_goes_up_and_closes_it(open_world: OpenWorld) -> None:
    async def handle(sock: trio.socket.SocketType, gate: Gate) -> None:
        raise LookupError("a bug")

    async with open_world(RULE) as world:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        agent = trio.SocketStream(trio.socket.socket())

        async def run() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_listener, listener, handle, world.gate)
                await agent.socket.connect(listener.socket.getsockname())

        with pytest.raises(BaseExceptionGroup) as caught:
            await run()
        assert caught.value.subgroup(LookupError) is not None
        assert await receive_all(agent) == b""
        await agent.aclose()
        listener.socket.close()


async def test_open_connections_go_on_when_no_more_are_accepted(open_world: OpenWorld) -> None:
    started, go_on = trio.Event(), trio.Event()

    async def handle(sock: trio.socket.SocketType, gate: Gate) -> None:
        started.set()
        await go_on.wait()
        await sock.send(b"done")

    accepting = trio.CancelScope()
    async with open_world(RULE) as world:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_listener, listener, handle, world.gate, accepting)
            agent = await connect(listener)
            await started.wait()
            accepting.cancel()
            await trio.testing.wait_all_tasks_blocked()
            go_on.set()
        assert await receive_all(agent) == b"done"
        await agent.aclose()
        listener.socket.close()
