"""A WebSocket that is asked for at an endpoint of the explicit proxy (`proxy_path`), by a client without TLS.

What it asks for is judged, recorded and carried as if it had gone there; its frames are in the clear here.

Rule 1: an endpoint opens WebSockets and nothing else, and whatever is asked there is the connection's last request.
"""

from __future__ import annotations

import attrs

from trio_egress.model import Transport
from trio_egress.policy.hosts import parse_host
from trio_egress.proxy.ends import Http1Agent
from trio_egress.proxy.gate import Gate
from trio_egress.proxy.judge import Door
from trio_egress.proxy.refusal import describe_denial
from trio_egress.proxy.request import refuse_malformed, serve_request
from trio_egress.proxy.ways import open_ways
from trio_egress.wire.asked_address import Asked, find_endpoint, parse_asked
from trio_egress.wire.message import BadMessage, RequestHead
from trio_egress.wire.websocket_opening import WEBSOCKET


def find_place(head: RequestHead, gate: Gate) -> str | None:
    """The endpoint that a request to the explicit proxy is for; None where it is one to a proxy, or to nothing."""
    if head.scheme is not None or head.authority is not None:
        return None
    return find_endpoint(head.path, gate.policy.endpoints)


async def serve_asked(agent: Http1Agent, endpoint: str, door: Door, gate: Gate) -> None:
    """One request at `endpoint`. Raises the agent's fault, once recorded."""
    own = attrs.evolve(door, transport=Transport.WEBSOCKET)
    try:
        asked = _read(agent.request, endpoint)
        inner = _find_door(asked)
    except BadMessage as fault:
        judged, status = await refuse_malformed(fault, own, gate)
        await agent.answer(describe_denial(judged, gate.policy.source_file, status))
        return
    agent.request = attrs.evolve(agent.request, host=asked.authority, path=asked.path, persists=False)
    async with open_ways(inner, gate) as ways:
        await serve_request(agent, inner, gate, ways)


def _read(head: RequestHead, endpoint: str) -> Asked:
    """Raises BadMessage."""
    if WEBSOCKET not in head.upgrades:
        raise BadMessage("this endpoint opens WebSockets, and the request asks for none")
    return parse_asked(head.path, endpoint)


def _find_door(asked: Asked) -> Door:
    """Raises BadMessage."""
    try:
        host = parse_host(asked.host)
    except ValueError as error:
        raise BadMessage(f"the address has no host: {error}") from None
    return Door(Transport.WEBSOCKET, host, asked.port, asks_for_tls=asked.secure)
