"""Plain HTTP through both doors, as transcripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from tests.proxy.conftest import receive_until
if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams

RULE = '[[egress]]\ndestination = "api.example"\n'


async def test_allowed_request_is_answered_and_paired(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        raw = await stream.receive_some()
        assert raw == b"GET /a?b HTTP/1.1\r\nHost: api.example\r\nX-Y: z\r\n\r\n"
        await stream.send_all(b"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\n\r\nhello")

    port = await upstreams.serve(serve)
    async with open_world(RULE, {"api.example": port}) as world:
        agent = await world.agent("api.example", 80)
        await agent.send_all(b"GET /a?b HTTP/1.1\r\nHost: api.example\r\nX-Y: z\r\n\r\n")
        assert await agent.receive_some() == b"HTTP/1.1 200 Fine\r\nContent-Length: 5\r\n\r\nhello"
        await agent.aclose()

    assert [r.said for r in world.receipts()] == [
        ("allow", "intent", "http://api.example:80/a"),
        ("allow", "outcome", "http://api.example:80/a"),
    ]
