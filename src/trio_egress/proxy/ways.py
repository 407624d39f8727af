"""The connections to upstreams that one connection of the agent has, and may use again.

Rule 1: one is used again only for the same upstream, and only where it is clean: in HTTP/1.1 both sides were, in HTTP/2
        it takes further streams.
Rule 2: each side's protocol is its own. An agent that speaks HTTP/1.1 gets an upstream that does, and HTTP/2 only where
        that speaks nothing else; an agent that speaks HTTP/2 gets it where the upstream has it.
Rule 3: requests that an agent makes at once wait while one of them connects: it may be all that they need. Where each
        needs a connection of its own (HTTP/1.1), or there is none to be had, only the first is waited for.
Rule 4: a WebSocket has a connection of its own in HTTP/1.1, whatever its agent speaks; in HTTP/2 it is asked for only
        where the upstream has said that it can be (RFC 8441 3).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import trio

from trio_egress.errors import PeerError
from trio_egress.model import Endpoint, Upstream
from trio_egress.proxy.dial import Undialled, dial
from trio_egress.proxy.ends import ForwardingProxy, Http1Upstream, UpstreamEnd
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.judge import Door
from trio_egress.proxy.peer import Peer
from trio_egress.values import define, frozen

if TYPE_CHECKING:
    from trio_egress.proxy.exchange import Exchange
    from trio_egress.proxy.interception import Secured
    from trio_egress.proxy.multiplex import Multiplex


@frozen(eq=False)
class Way:
    """An upstream's end for one exchange. `again`: its connection had served another before."""

    end: UpstreamEnd
    endpoint: Endpoint
    again: bool
    _keep: Callable[[], None]
    _drop: Callable[[bool], None]

    @contextmanager
    def use(self, exchange: Exchange) -> Iterator[None]:
        """The body runs the exchange; afterwards the connection is kept, or ended as its fault says."""
        try:
            yield
        except BaseException:
            self._drop(False)
            raise
        if exchange.upstream_stays:
            self._keep()
        else:
            self._drop(exchange.fault is not None)


@define(eq=False)
class _Idle:
    """A connection of HTTP/1.1 that waits for the next exchange. `forwards`: to a proxy that passes requests on."""

    upstream: Upstream
    endpoint: Endpoint
    peer: Peer
    since: float
    forwards: bool = False


@frozen(eq=False)
class _Shared:
    """A connection of HTTP/2."""

    upstream: Upstream
    endpoint: Endpoint
    connection: Multiplex


class Ways:
    """Of one agent connection. `tasks`: where connections of HTTP/2 live; `many`: it asks for more than one at once."""

    def __init__(self, door: Door, gate: Gate, tasks: trio.Nursery | None, *, many: bool) -> None:
        self._door = door
        self._gate = gate
        self._tasks = tasks
        self._many = many
        self._idle: list[_Idle] = []
        self._shared: list[_Shared] = []
        self._turn = trio.Lock()
        self._apart: set[Upstream] = set()

    async def open_websocket(self, upstream: Upstream) -> Way | Undialled:
        """As `open`, for a WebSocket (Rule 4)."""
        for shared in list(self._shared):
            if shared.upstream == upstream and shared.connection.takes_streams:
                if await shared.connection.takes_websockets():
                    return self._share(shared, again=True)
                break
        found = await self._connect(upstream, many=False, plain=False)
        if isinstance(found, Undialled):
            return found
        if isinstance(found, _Idle):
            return self._lend(found, again=False)
        if await found.connection.takes_websockets():
            return self._share(found, again=False)
        return Undialled(f"{upstream.host} speaks HTTP/2 alone, and opens no WebSockets in it (RFC 8441)")

    async def open(self, upstream: Upstream) -> Way | Undialled:
        """An end to ask at, connected; every address that it is dialled at was checked."""
        if (found := self._find(upstream)) is not None:
            return found
        if self._many and upstream not in self._apart:
            async with self._turn:
                if (found := self._find(upstream)) is not None:
                    return found
                if upstream not in self._apart:
                    way = await self._dial(upstream)
                    if not any(shared.upstream == upstream for shared in self._shared):
                        self._apart.add(upstream)
                    return way
        return await self._dial(upstream)

    def close(self) -> None:
        """Once no exchange runs any more."""
        for idle in self._idle:
            idle.peer.close()

    def _find(self, upstream: Upstream) -> Way | None:
        for shared in self._shared:
            if shared.upstream == upstream and shared.connection.takes_streams:
                return self._share(shared, again=True)
        while self._idle:
            idle = self._idle.pop()
            fresh = trio.current_time() - idle.since <= self._gate.limits.reuse_seconds
            if fresh and idle.upstream == upstream and idle.peer.quiet():
                return self._lend(idle, again=True)
            idle.peer.close()
        return None

    async def _dial(self, upstream: Upstream) -> Way | Undialled:
        match await self._connect(upstream, many=self._many, plain=True):
            case Undialled() as fault:
                return fault
            case _Idle() as idle:
                return self._lend(idle, again=False)
            case shared:
                return self._share(shared, again=False)

    async def _connect(self, upstream: Upstream, *, many: bool, plain: bool) -> _Idle | _Shared | Undialled:
        """`many`: for requests that come at once; `plain`: a proxy on the way may be asked for each of them."""
        limits, interception = self._gate.limits, self._gate.interception
        if not self._door.secure:
            dialled = await dial(upstream, limits, plain=plain)
            if isinstance(dialled, Undialled):
                return dialled
            return _Idle(upstream, dialled.endpoint, dialled.open_peer(), 0.0, dialled.forwards)
        if interception is None:
            raise ValueError("this run has nothing to open TLS with")
        secured = await interception.dial(upstream, limits, many=many)
        if isinstance(secured, Undialled):
            return secured
        if not secured.peer.multiplexes:
            return _Idle(upstream, secured.endpoint, secured.peer, 0.0)
        return self._enter_shared(upstream, secured)

    def _enter_shared(self, upstream: Upstream, secured: Secured) -> _Shared:
        from trio_egress.proxy.multiplex import Multiplex

        if self._tasks is None:
            raise ValueError("there is nowhere for a connection of HTTP/2 to live")
        shared = _Shared(upstream, secured.endpoint, Multiplex(secured.peer, self._gate.limits, client=True))
        self._shared.append(shared)
        self._tasks.start_soon(self._keep_shared, shared)
        return shared

    async def _keep_shared(self, shared: _Shared) -> None:
        try:
            await shared.connection.keep()
        finally:
            self._shared.remove(shared)
            shared.connection.peer.close()

    def _share(self, shared: _Shared, *, again: bool) -> Way:
        stream = shared.connection.open_stream()
        return Way(stream, shared.endpoint, again, stream.leave, lambda _reset: stream.leave())

    def _lend(self, idle: _Idle, *, again: bool) -> Way:
        peer, kind = idle.peer, ForwardingProxy if idle.forwards else Http1Upstream
        end = kind(peer, self._gate.limits, idle.upstream)

        def keep() -> None:
            idle.since = trio.current_time()
            self._idle.append(idle)

        def drop(reset: bool) -> None:
            if reset:
                peer.reset()
            else:
                peer.close()

        return Way(end, idle.endpoint, again, keep, drop)


@asynccontextmanager
async def open_ways(door: Door, gate: Gate, *, many: bool = False) -> AsyncIterator[Ways]:
    """For one connection of the agent, as long as the body takes; afterwards all of them are closed."""
    if not door.secure:
        ways = Ways(door, gate, None, many=many)
        try:
            yield ways
        finally:
            ways.close()
        return
    fault: PeerError | None = None
    async with trio.open_nursery() as tasks:
        ways = Ways(door, gate, tasks, many=many)
        try:
            yield ways
        except PeerError as error:  # as itself, and not in a group
            fault = error
        finally:
            ways.close()
            tasks.cancel_scope.cancel()
    if fault is not None:
        raise fault
