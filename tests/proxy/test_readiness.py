"""What wakes whoever waits for a socket, and when."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf

import pytest
import trio
import trio.testing

from trio_egress.proxy.readiness import Readiness


@contextmanager
def open_pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        yield near, far


async def test_what_came_before_the_first_wait_ends_it() -> None:
    with open_pair() as (near, far):
        far.send(b"a")
        assert await Readiness().wait_readable(near.fileno(), inf, None, -1)


async def test_each_word_wakes_anew() -> None:
    with open_pair() as (near, far):
        ready = Readiness()
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ready.wait_readable, near.fileno(), inf, None, -1)
                await trio.testing.wait_all_tasks_blocked()
                ready.readable = False
                far.send(b"a")
            assert ready.readable
            assert near.recv(1) == b"a"


async def test_time_that_is_over_ends_a_wait(autojump_clock: trio.testing.MockClock) -> None:
    with open_pair() as (near, _):
        ready = Readiness()
        for seconds in (600.0, 0.3, 30.0):
            began = trio.current_time()
            assert not await ready.wait_readable(near.fileno(), began + seconds, None, -1)
            assert trio.current_time() - began == pytest.approx(seconds)


async def test_another_socket_wakes_too_and_says_that_it_is_gone() -> None:
    with open_pair() as (near, _), open_pair() as (beside, other):
        ready, watched = Readiness(), Readiness()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ready.wait_readable, near.fileno(), inf, watched, beside.fileno())
            await trio.testing.wait_all_tasks_blocked()
            other.close()
    assert watched.gone
    assert not ready.gone


async def test_room_to_send_wakes() -> None:
    with open_pair() as (near, far):
        ready = Readiness()
        sent = 0
        with suppress(BlockingIOError):
            while True:
                sent += near.send(bytes(65536))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ready.wait_writable, near.fileno(), inf)
            await trio.testing.wait_all_tasks_blocked()
            while sent:
                sent -= len(far.recv(65536))


async def test_a_wait_that_was_given_up_leaves_room_for_the_next() -> None:
    with open_pair() as (near, far):
        ready = Readiness()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ready.wait_readable, near.fileno(), inf, None, -1)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        far.send(b"a")
        assert await ready.wait_readable(near.fileno(), inf, None, -1)


async def test_two_tasks_do_not_wait_for_the_same() -> None:
    with open_pair() as (near, _):
        ready = Readiness()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ready.wait_readable, near.fileno(), inf, None, -1)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await ready.wait_readable(near.fileno(), inf, None, -1)
            nursery.cancel_scope.cancel()
