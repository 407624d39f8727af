"""Tunnels of bytes that nobody reads: who may have one, both directions, every way to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from tests.proxy.conftest import receive_all, receive_exactly, receive_until, reset, script

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams

HOST = "db.example"
RULE = f'[[egress]]\ndestination = "{HOST}:5432"\n'
TARGET = "tcp://db.example:5432"


async def test_explicit_port_opens_a_tunnel(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(script((b"\0\0\0\x08start", b"ready")))
    async with open_world(RULE, {f"{HOST}:5432": port}) as world:
        agent = await world.agent(HOST, 5432)
        await agent.send_all(b"\0\0\0\x08start")
        assert await receive_all(agent) == b"ready"
        await agent.aclose()
    assert [r.said for r in world.receipts()] == [("allow", "intent", TARGET), ("allow", "outcome", TARGET)]
    assert world.outcome().facts["bytes_up"] == 9
    assert world.outcome().facts["bytes_down"] == 5


async def test_server_may_speak_first(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(script((b"", b"SSH-2.0-x\r\n"), (b"SSH-2.0-y\r\n", b"")))
    async with open_world(RULE, {f"{HOST}:5432": port}, silent_seconds=0.01) as world:
        agent = await world.agent(HOST, 5432)
        assert await receive_exactly(agent, 11) == b"SSH-2.0-x\r\n"
        await agent.send_all(b"SSH-2.0-y\r\n")
        assert await receive_all(agent) == b""
        await agent.aclose()
    assert world.outcome().said == ("allow", "outcome", TARGET)


async def test_half_close_goes_through_in_both_directions(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        said = await receive_all(stream)
        await stream.send_all(said[::-1])
        await stream.send_eof()

    async with open_world(RULE, {f"{HOST}:5432": await upstreams.serve(serve)}) as world:
        agent = await world.agent(HOST, 5432)
        await agent.send_all(b"\0abc")
        await agent.send_eof()
        assert await receive_all(agent) == b"cba\0"
        await agent.aclose()
    assert "reason" in world.outcome().facts
    assert "reset" not in world.outcome().facts["reason"]


async def test_denied_tcp_is_reset_at_once(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(script())
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 5433)
        await agent.send_all(b"\0abc")
        with pytest.raises(trio.BrokenResourceError):
            await agent.receive_some()
        await agent.aclose()
    assert world.block().said == ("block", "", "tcp://db.example:5433")
    assert upstreams.accepted == 0


@pytest.mark.parametrize(("host", "port"), [("evil.example", 443), ("93.184.216.34", 22)])
async def test_silent_client_without_any_rule_is_reset_in_under_a_second(
    open_world: OpenWorld, host: str, port: int
) -> None:
    async with open_world(RULE) as world:
        agent = await world.agent(host, port)
        with trio.fail_after(60), pytest.raises(trio.BrokenResourceError):
            await agent.receive_some()
        await agent.aclose()
    assert "no rule allows" in world.block().facts["reason"]


async def test_silent_client_that_may_still_speak_is_waited_for_and_then_reset(open_world: OpenWorld) -> None:
    rule = f'[[egress]]\ndestination = "{HOST}"\n'
    async with open_world(rule, silent_seconds=0.01, peek_seconds=0.05) as world:
        agent = await world.agent(HOST, 443)
        with pytest.raises(trio.BrokenResourceError):
            await agent.receive_some()
        await agent.aclose()
    assert world.block().facts["reason"] == "the agent said nothing that can be judged within 0.05 s"


async def test_undecided_first_bytes_are_tcp_after_a_pause(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((b"GET", b"ok")))
    async with open_world(RULE, {f"{HOST}:5432": port}, silent_seconds=0.01) as world:
        agent = await world.agent(HOST, 5432)
        await agent.send_all(b"GET")
        assert await receive_all(agent) == b"ok"
        await agent.aclose()
    assert world.outcome().said == ("allow", "outcome", TARGET)


async def test_refused_dial_is_a_reset(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async with open_world(RULE, {f"{HOST}:5432": await upstreams.refused_port()}) as world:
        agent = await world.agent(HOST, 5432)
        await agent.send_all(b"\0abc")
        with pytest.raises(trio.BrokenResourceError):
            await agent.receive_some()
        await agent.aclose()
    assert "connection refused" in world.outcome().facts["reason"]


async def test_client_that_closes_without_a_byte_leaves_a_receipt_and_dials_nothing(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    rule = f'[[egress]]\ndestination = "{HOST}"\n'
    port = await upstreams.serve(script())
    async with open_world(rule, {HOST: port}) as world:
        for host, number in ((HOST, 443), (HOST, 80), ("evil.example", 443)):
            await (await world.agent(host, number)).aclose()
            await world.wait_idle()
    assert [receipt.said for receipt in world.receipts()] == [
        ("allow", "intent", "tls://db.example:443"),
        ("allow", "outcome", "tls://db.example:443"),
        ("allow", "intent", "http://db.example:80"),
        ("allow", "outcome", "http://db.example:80"),
        ("block", "", "tcp://evil.example:443"),
    ]
    assert "before its first byte" in world.receipts()[1].facts["reason"]
    assert upstreams.accepted == 0


async def test_client_that_half_closes_without_a_byte_hears_an_allowed_server(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((b"", b"SSH-2.0-x\r\n")))
    async with open_world(RULE, {f"{HOST}:5432": port}) as world:
        agent = await world.agent(HOST, 5432)
        await agent.send_eof()
        assert await receive_all(agent) == b"SSH-2.0-x\r\n"
        await agent.aclose()
    assert world.outcome().said == ("allow", "outcome", TARGET)


async def test_client_that_resets_without_a_byte_leaves_a_receipt(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script())
    async with open_world(RULE, {f"{HOST}:5432": port}) as world:
        agent = await world.agent(HOST, 5432)
        await trio.testing.wait_all_tasks_blocked()
        reset(agent)
    assert world.block().facts["reason"] == "the agent reset the connection"
    assert upstreams.accepted == 0


async def test_agent_that_resets_its_tunnel_resets_the_upstream(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await receive_exactly(stream, 4)
        reset(agent)
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()

    async with open_world(RULE, {f"{HOST}:5432": await upstreams.serve(serve)}) as world:
        agent = await world.agent(HOST, 5432)
        await agent.send_all(b"\0abc")
    assert world.outcome().facts["reason"] == "the agent reset the connection"
    assert world.outcome().facts["bytes_up"] == 4


async def test_end_of_the_run_ends_a_tunnel_with_its_outcome(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await receive_exactly(stream, 4)
        world.cancel()

    # The world's exit absorbs its own cancellation, so that what follows it does run.
    async with open_world(RULE, {f"{HOST}:5432": await upstreams.serve(serve)}) as world:
        agent = await world.agent(HOST, 5432)
        await agent.send_all(b"\0abc")
        await trio.sleep(float("inf"))
    agent.socket.close()
    assert world.outcome().facts["reason"] == "the run ended"
    assert world.outcome().facts["bytes_up"] == 4


async def test_two_hundred_connections_at_once_each_have_their_own_pair(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        raw = await receive_until(stream, b".")
        if upstreams.accepted == 200:
            everyone.set()
        await everyone.wait()
        await stream.send_all(raw)

    async def ask(number: int) -> None:
        agent = await world.agent(HOST, 5432)
        await agent.send_all(b"\0%d." % number)
        assert await receive_all(agent) == b"\0%d." % number
        await agent.aclose()

    everyone = trio.Event()
    port = await upstreams.serve(serve)
    async with open_world(RULE, {f"{HOST}:5432": port}) as world, trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(ask, number)
    flows = [receipt.facts["flow"] for receipt in world.receipts() if receipt.phase == "outcome"]
    assert len(flows) == len(set(flows)) == 200


async def test_no_more_connections_than_the_limit_are_served_at_once(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.send_all(await receive_all(stream))

    port = await upstreams.serve(serve)
    async with open_world(RULE, {f"{HOST}:5432": port}, connections=1) as world:
        first, second = await world.agent(HOST, 5432), await world.agent(HOST, 5432)
        await second.send_all(b"\0abc")
        await second.send_eof()
        await trio.testing.wait_all_tasks_blocked()
        assert upstreams.accepted == 0
        await first.aclose()
        assert await receive_all(second) == b"\0abc"
        await second.aclose()
