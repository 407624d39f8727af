"""An agent that hangs up withdraws its question: nobody is asked any more, and no answer to it counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from h2.errors import ErrorCodes
from tests.proxy.conftest import receive_until, script
from tests.proxy.http2_peers import open_talk
from tests.proxy.test_approval import ASK, GET, HOST, OK, SEEN, TCP

from trio_egress.proxy.approval import Question, Said
from trio_egress.proxy.peer import Peer

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams, World

SSH = '[[egress]]\ndestination = "git.example"\nprotocol = "ssh"\nask = true\n'
PROMISED = b"POST / HTTP/1.1\r\nHost: api.example\r\nContent-Length: 9\r\n\r\nunread"


@attrs.define
class Waits:
    """An approver that never answers."""

    kind: str = "program"
    everything: bool = False
    asked: trio.Event = attrs.field(factory=trio.Event)
    over: trio.Event = attrs.field(factory=trio.Event)

    async def ask(self, question: Question) -> Said:
        self.asked.set()
        try:
            await trio.sleep_forever()
        finally:
            self.over.set()
        raise AssertionError


async def by_request(world: World, waits: Waits) -> None:
    agent = await world.agent(HOST, 80)
    await agent.send_all(PROMISED)
    await waits.asked.wait()
    await agent.aclose()


async def by_hello(world: World, waits: Waits) -> None:
    agent = await world.agent(HOST, 443)
    tls = trio.SSLStream(agent, world.client_tls(), server_hostname=HOST)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tls.do_handshake)
        await waits.asked.wait()
        nursery.cancel_scope.cancel()
    await trio.aclose_forcefully(agent)


async def by_request_inside(world: World, waits: Waits) -> None:
    agent = await world.agent(HOST, 443)
    tls = trio.SSLStream(agent, world.client_tls(), server_hostname=HOST, https_compatible=True)
    await tls.send_all(GET)
    await waits.asked.wait()
    await tls.aclose()


async def by_stream(world: World, waits: Waits) -> None:
    """HTTP/2, whose connection stays."""
    context = world.client_tls()
    context.set_alpn_protocols(["h2"])
    tls = trio.SSLStream(await world.agent(HOST, 443), context, server_hostname=HOST, https_compatible=True)
    head = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/")]
    async with open_talk(tls) as talk:
        number = await talk.ask(head)
        await waits.asked.wait()
        talk.h2.reset_stream(number, ErrorCodes.CANCEL)
        await talk.flush()
        await waits.over.wait()
    await trio.aclose_forcefully(tls)


async def by_ssh(world: World, waits: Waits) -> None:
    agent = await world.agent("git.example", 22)
    await agent.send_all(b"SSH-2.0-x\r\n")
    await waits.asked.wait()
    await agent.aclose()


async def by_reset(world: World, waits: Waits) -> None:
    agent = await world.agent("db.example", 5432)
    await agent.send_all(b"\0abc")
    await waits.asked.wait()
    Peer(agent.socket, ConnectionError).reset()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rules", "hang_up"),
    [
        (ASK, by_request),
        (ASK, by_hello),
        (SEEN, by_request_inside),
        (SEEN, by_stream),
        (SSH, by_ssh),
        (TCP, by_reset),
    ],
)
async def test_whoever_hangs_up_withdraws_its_question(
    open_world: OpenWorld,
    upstreams: Upstreams,
    rules: str,
    hang_up: Callable[[World, Waits], Awaitable[None]],
) -> None:
    waits = Waits()
    port = await upstreams.serve(script())
    names = (HOST, "git.example:22", "db.example:5432")
    async with open_world(rules, dict.fromkeys(names, port), approver=waits) as world:
        await hang_up(world, waits)
        await waits.over.wait()
    (block,) = (receipt for receipt in world.receipts() if receipt.verdict == "block")
    assert (block.layer, block.facts["answer"]) == ("approval", "withdrawn")
    assert "the agent has hung up before there was an answer" in str(block.facts["reason"])
    assert upstreams.accepted == 0


async def test_answer_that_comes_with_the_hang_up_does_not_count(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script())

    @attrs.define
    class Late(Waits):
        async def ask(self, question: Question) -> Said:
            self.asked.set()
            with trio.CancelScope(shield=True):
                await closed.wait()
                await trio.testing.wait_all_tasks_blocked()
            return Said(True, "anna")

    waits, closed = Late(), trio.Event()
    async with open_world(ASK, {HOST: port}, approver=waits) as world:
        await by_request(world, waits)
        closed.set()
    assert world.block().facts["answer"] == "withdrawn"
    assert upstreams.accepted == 0


async def test_one_that_has_said_all_of_its_bytes_and_listens_is_still_there(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    """As `nc -N`: of bytes that nobody can read, an end of one direction is no hang-up."""
    asked, go_on = trio.Event(), trio.Event()

    @attrs.define
    class Agrees(Waits):
        async def ask(self, question: Question) -> Said:
            asked.set()
            await go_on.wait()
            return Said(True, "anna")

    async def serve(stream: trio.SocketStream) -> None:
        await receive_until(stream, b"abc")
        await stream.send_all(OK)

    port = await upstreams.serve(serve)
    async with open_world(TCP, {"db.example:5432": port}, approver=Agrees()) as world:
        agent = await world.agent("db.example", 5432)
        await agent.send_all(b"\0abc")
        await asked.wait()
        await agent.send_eof()
        await trio.testing.wait_all_tasks_blocked()
        go_on.set()
        assert await agent.receive_some() == OK
        await agent.aclose()
    assert world.receipts()[0].facts["answer"] == "allow"
