"""HTTP/1.1 on one connection, plain or inside TLS that ends here: one request after the other.

Rule 1: the connection goes on only where both the request and its answer came to a clean end.
"""

from __future__ import annotations

from math import inf

import trio

from trio_egress.errors import PeerError
from trio_egress.model import Transport
from trio_egress.proxy.asked import find_place, serve_asked
from trio_egress.proxy.connect import answer_connect
from trio_egress.proxy.ends import Http1Agent
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.judge import Door
from trio_egress.proxy.peer import Peer
from trio_egress.proxy.refusal import close_gently, refuse_request
from trio_egress.proxy.request import refuse_malformed, serve_request
from trio_egress.proxy.ways import Ways, open_ways
from trio_egress.wire.http1 import AgentSide
from trio_egress.wire.message import BadMessage, RequestHead


async def handle_http(agent: Peer, door: Door, gate: Gate) -> Door | None:
    """Requests until one side wants no more. Returns the door behind a CONNECT that was allowed."""
    async with open_ways(door, gate) as ways:
        return await _serve(agent, door, gate, ways)


async def _serve(agent: Peer, door: Door, gate: Gate, ways: Ways) -> Door | None:
    limits = gate.limits
    while await _wait_request(agent, limits.keepalive_seconds):
        side = AgentSide(limits.head_bytes, limits.header_count)
        try:
            head = await _read_head(agent, side, limits.head_seconds)
        except PeerError as fault:
            judged, status = await refuse_malformed(fault, door, gate)
            await refuse_request(agent, judged, gate, status=status)
            return None
        if head.method == "CONNECT" and door.transport is Transport.FORWARD:
            agent.ahead = side.leftover()
            return await answer_connect(agent, head, door, gate)
        if door.transport is Transport.FORWARD and (place := find_place(head, gate)) is not None:
            await serve_asked(Http1Agent(agent, side, head, limits), place, door, gate)
            return None
        if not await serve_request(Http1Agent(agent, side, head, limits), door, gate, ways):
            return None
    await close_gently(agent, limits)
    return None


async def _wait_request(agent: Peer, seconds: float) -> bool:
    """Whether another request begins. Between two requests a client may end in any way that it likes."""
    if agent.ahead:
        return True
    agent.deadline = trio.current_time() + seconds
    try:
        return await agent.fill()
    except (PeerError, trio.TooSlowError):
        return False


async def _read_head(agent: Peer, side: AgentSide, seconds: float) -> RequestHead:
    agent.deadline = trio.current_time() + seconds
    side.feed(agent.take())
    try:
        while (head := side.head()) is None:
            side.feed(await agent.recv())
    except trio.TooSlowError:
        raise BadMessage(f"the request head wasn't complete within {seconds:g} s", 408) from None
    agent.deadline = inf
    return head
