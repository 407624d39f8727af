"""HTTP/2 of the agent on one connection: each of its requests is an attempt of its own, in a task of its own."""

from __future__ import annotations

import trio

from trio_egress.errors import PeerError
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.http2_stream import Stream
from trio_egress.proxy.judge import Door
from trio_egress.proxy.multiplex import Multiplex
from trio_egress.proxy.peer import Peer
from trio_egress.proxy.refusal import close_gently, describe_denial
from trio_egress.proxy.request import refuse_malformed, serve_request
from trio_egress.proxy.ways import Ways, open_ways
from trio_egress.wire import http2
from trio_egress.wire.message import BadMessage


async def handle_http2(agent: Peer, door: Door, gate: Gate) -> None:
    """Requests until the agent wants no more."""
    connection = Multiplex(agent, gate.limits, client=False)
    async with open_ways(door, gate, many=True) as ways, trio.open_nursery() as requests:

        def take(stream: Stream, fault: BadMessage | None) -> None:
            requests.start_soon(_serve, stream, fault, door, gate, ways)

        fault = await connection.keep(take)
    if isinstance(fault, BadMessage):
        await refuse_malformed(fault, door, gate)
    await close_gently(agent, gate.limits)


async def _serve(stream: Stream, fault: BadMessage | None, door: Door, gate: Gate, ways: Ways) -> None:
    """One request; a fault of the agent, recorded, ends no more than its stream."""
    code = http2.INTERNAL_ERROR
    try:
        if fault is None:
            await serve_request(stream, door, gate, ways)
        else:
            judged, status = await refuse_malformed(fault, door, gate)
            await stream.answer(describe_denial(judged, gate.policy.source_file, status))
        code = http2.NO_ERROR
    except PeerError:
        pass
    finally:
        stream.leave(code)
