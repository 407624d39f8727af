"""TLS on a redirected connection: judged by its server name, answered by alerts, tunnelled unread."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from tests.proxy.conftest import receive_all, receive_exactly, render_hello, reset, script

from trio_egress.model import Name
from trio_egress.wire.tls_hello import ACCESS_DENIED, INTERNAL_ERROR, UNRECOGNIZED_NAME, render_alert

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Resolver, Upstreams, World

HOST = "api.example"
OTHER = "other.example"
RULE = f'[[egress]]\ndestination = "{HOST}"\n'
BOTH = RULE + f'[[egress]]\ndestination = "{OTHER}"\n'
HELLO = render_hello(HOST)


async def ask(world: World, raw: bytes, host: str = HOST) -> bytes:
    """One connection that says `raw` and waits: all that comes back."""
    agent = await world.agent(host, 443)
    await agent.send_all(raw)
    answer = await receive_all(agent)
    await agent.aclose()
    return answer


# allowed


async def test_allowed_name_is_tunnelled_end_to_end(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        await stream.send_all(b"echo " + await stream.receive_some())
        await stream.aclose()

    port = await upstreams.serve_tls(HOST, serve)
    async with open_world(RULE, {HOST: port}) as world:
        context = world.client_tls()
        context.set_alpn_protocols(["h2", "http/1.1"])
        transport = await world.agent(HOST, 443)
        agent = trio.SSLStream(transport, context, server_hostname=HOST, https_compatible=True)
        await agent.send_all(b"hello")
        assert await agent.receive_some() == b"echo hello"
        await agent.aclose()
    target = "tls://api.example:443"
    assert [r.said for r in world.receipts()] == [("allow", "intent", target), ("allow", "outcome", target)]
    facts = world.outcome().facts
    assert (facts["sni"], facts["alpn"], facts["dialled"]) == (HOST, ["h2", "http/1.1"], f"127.0.0.1:{port}")
    assert facts["bytes_up"] > 300
    assert facts["bytes_down"] > 500


async def test_hello_in_single_bytes_goes_on_whole(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(script((HELLO, b"answer")))
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 443)
        for byte in HELLO:
            await agent.send_all(bytes([byte]))
        assert await receive_all(agent) == b"answer"
        await agent.aclose()
    assert world.outcome().facts["bytes_up"] == len(HELLO)
    assert world.outcome().facts["bytes_down"] == len(b"answer")


async def test_address_is_judged_by_the_server_name_and_the_name_is_dialled(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((HELLO, b"answer")))
    async with open_world(RULE, {HOST: port}) as world:
        assert await ask(world, HELLO, "93.184.216.34") == b"answer"
    assert world.outcome().target == "tls://api.example:443"
    assert world.outcome().facts["asked"] == "93.184.216.34:443"


@pytest.mark.parametrize("asked", ["name by IPv6", "::ffff:93.184.216.34"])
async def test_ipv6_is_judged_like_ipv4(open_world: OpenWorld, upstreams: Upstreams, asked: str) -> None:
    port = await upstreams.serve(script((HELLO, b"answer")))
    async with open_world(RULE, {HOST: port}) as world:
        addresses = world.gate.names.address_of(Name(HOST))
        assert addresses is not None
        host = str(addresses[1]) if asked == "name by IPv6" else asked
        assert await ask(world, HELLO, host) == b"answer"
    facts = world.outcome().facts
    assert facts.get("asked") == (None if asked == "name by IPv6" else "93.184.216.34:443")


async def test_address_without_a_server_name_is_judged_as_the_address(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    hello = render_hello(None)
    port = await upstreams.serve(script((hello, b"answer")))
    rule = '[[egress]]\ndestination = "93.184.216.34"\n'
    async with open_world(rule, {"93.184.216.34": port}) as world:
        assert await ask(world, hello, "93.184.216.34") == b"answer"
    assert world.outcome().target == "tls://93.184.216.34:443"


# denied


@pytest.mark.parametrize(
    ("host", "name", "alert", "layer"),
    [
        ("evil.example", "evil.example", ACCESS_DENIED, "default_deny"),
        (HOST, OTHER, UNRECOGNIZED_NAME, "name_mismatch"),
        (HOST, None, UNRECOGNIZED_NAME, "name_mismatch"),
        ("93.184.216.34", "evil.example", ACCESS_DENIED, "default_deny"),
        ("93.184.216.34", None, ACCESS_DENIED, "default_deny"),
    ],
)
async def test_what_is_not_allowed_gets_an_alert_and_is_never_dialled(
    open_world: OpenWorld, upstreams: Upstreams, host: str, name: str | None, alert: int, layer: str
) -> None:
    port = await upstreams.serve(script())
    async with open_world(BOTH, {HOST: port, OTHER: port}) as world:
        assert await ask(world, render_hello(name), host) == render_alert(alert)
    assert world.block().layer == layer
    assert world.block().facts.get("sni") == name
    assert upstreams.accepted == 0


async def test_real_client_is_told_that_access_is_denied(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        transport = await world.agent("evil.example", 443)
        agent = trio.SSLStream(transport, world.client_tls(), server_hostname="evil.example")
        with pytest.raises(trio.BrokenResourceError) as caught:
            await agent.do_handshake()
        await transport.aclose()
    assert isinstance(caught.value.__cause__, ssl.SSLError)
    assert "ACCESS_DENIED" in str(caught.value.__cause__)


async def test_a_rule_that_scans_does_not_let_tls_by(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(script())
    async with open_world(RULE + "scan = true\n", {HOST: port}) as world:
        agent = await world.agent(HOST, 443)
        await agent.send_all(HELLO)
        assert (await agent.receive_some())[:1] == b"\x16", "the boundary ends it itself"
        await agent.aclose()
    assert {receipt.facts["tls"] for receipt in world.receipts()} == {"intercepted"}
    assert upstreams.accepted == 0


async def test_bytes_that_are_no_hello_leave_a_receipt(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        agent = await world.agent(HOST, 443)
        await agent.send_all(b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00")
        with pytest.raises(trio.BrokenResourceError):
            await agent.receive_some()
        await agent.aclose()
    assert world.block().layer == "malformed"


async def test_hello_that_never_ends_is_cut_off(open_world: OpenWorld) -> None:
    async with open_world(RULE, peek_seconds=0.05) as world:
        agent = await world.agent(HOST, 443)
        await agent.send_all(HELLO[:-1])
        with pytest.raises(trio.BrokenResourceError):
            await agent.receive_some()
        await agent.aclose()
    assert "within 0.05 s" in world.block().facts["reason"]


# an agent that fails


@pytest.mark.parametrize("size", [1, 2, 5, 100])
async def test_agent_that_resets_inside_its_hello_leaves_a_receipt(open_world: OpenWorld, size: int) -> None:
    async with open_world(RULE) as world:
        agent = await world.agent(HOST, 443)
        await agent.send_all(HELLO[:size])
        await trio.testing.wait_all_tasks_blocked()
        reset(agent)
    assert world.block().facts["reason"] == "the agent reset the connection"


async def test_agent_that_closes_inside_its_hello_leaves_a_receipt(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        agent = await world.agent(HOST, 443)
        await agent.send_all(HELLO[:100])
        await agent.aclose()
    assert "inside its ClientHello" in world.block().facts["reason"]


async def test_agent_that_resets_during_the_dial_ends_with_an_outcome(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(stream)

    async with open_world(RULE, {HOST: await upstreams.serve(serve)}) as world:
        agent = await world.agent(HOST, 443)
        await agent.send_all(HELLO)
        reset(agent)
    assert "reset the connection" in (world.receipts()[-1].facts["reason"])


# an upstream that fails


async def test_name_with_only_inside_addresses_is_denied(open_world: OpenWorld, resolver: Resolver) -> None:
    resolver.answers[HOST.encode()] = ["169.254.169.254"]
    async with open_world(RULE) as world:
        assert await ask(world, HELLO) == render_alert(ACCESS_DENIED)
    assert (world.outcome().verdict, world.outcome().layer) == ("block", "address")


async def test_refused_dial_is_an_alert_of_our_own_failure(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async with open_world(RULE, {HOST: await upstreams.refused_port()}) as world:
        assert await ask(world, HELLO) == render_alert(INTERNAL_ERROR)
    assert "connection refused" in world.outcome().facts["reason"]
    assert world.outcome().verdict == "allow"


@pytest.mark.parametrize("stage", ["accept", "hello", "answer"])
async def test_upstream_that_resets_resets_the_agent(
    open_world: OpenWorld, upstreams: Upstreams, stage: str
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        if stage != "accept":
            await receive_exactly(stream, len(HELLO))
        if stage == "answer":
            await stream.send_all(b"some")
            await arrived.wait()
        reset(stream)

    arrived = trio.Event()
    async with open_world(RULE, {HOST: await upstreams.serve(serve)}) as world:
        agent = await world.agent(HOST, 443)
        await agent.send_all(HELLO)
        if stage == "answer":
            assert await receive_exactly(agent, 4) == b"some"
            arrived.set()
        with pytest.raises(trio.BrokenResourceError):
            await agent.receive_some()
        await agent.aclose()
    assert world.outcome().facts["reason"] == "the upstream reset the connection"


async def test_upstream_that_says_nothing_is_left_after_the_idle_time(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(stream)

    async with open_world(RULE, {HOST: await upstreams.serve(serve)}, tunnel_idle_seconds=0.05) as world:
        agent = await world.agent(HOST, 443)
        await agent.send_all(HELLO)
        with pytest.raises(trio.BrokenResourceError):
            await agent.receive_some()
        await agent.aclose()
    assert world.outcome().facts["reason"] == "both sides were silent for 0.05 s"
