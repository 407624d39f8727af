"""Pinned host keys: which replies reach the agent, what ends a connection before one does, what the agent is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio
from tests.proxy.conftest import HEAD, receive_all, receive_exactly, reset
from tests.wire.ssh_specimens import ECDSA, LINE, key, note, offer, part, reply

from trio_egress.policy.load import load_policy
from trio_egress.wire.ssh_messages import HostKey, measure_packet, unpack

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams, World

HOST = "git.example"
TARGET = "ssh://git.example:22"
PINNED = HostKey("ssh-ed25519", key()).fingerprint
OTHER = HostKey("ssh-ed25519", key("ssh-ed25519", b"another key".ljust(32))).fingerprint
AFTER = b"all that is encrypted"
CLIENT = LINE + offer() + part()
SERVER = LINE + offer() + reply()


def rule(*keys: str, more: str = "") -> str:
    pinned = ", ".join(f'"{one}"' for one in keys)
    return f'[[egress]]\ndestination = "{HOST}"\nprotocol = "ssh"\nhost_keys = [{pinned}]\n{more}'


def server(*said: bytes, hears: int = len(CLIENT)) -> Callable[[trio.SocketStream], Awaitable[None]]:
    """Says the first at once and the second when it has heard so many bytes; then repeats whatever it hears."""

    async def serve(stream: trio.SocketStream) -> None:
        first, *rest = said
        with suppress(trio.BrokenResourceError):  # the boundary resets what it refuses
            await stream.send_all(first)
            await receive_exactly(stream, hears)
            for each in rest:
                await stream.send_all(each)
            async for raw in stream:
                await stream.send_all(raw)

    return serve


async def talk(world: World, upstream_port: int = 22) -> tuple[trio.SocketStream, bytes]:
    """What the agent hears of a whole key exchange."""
    agent = await world.agent(HOST, upstream_port)
    await agent.send_all(CLIENT)
    return agent, await receive_exactly(agent, len(SERVER))


async def hear_refusal(world: World, said: bytes = CLIENT) -> tuple[bytes, int, str]:
    """What the agent hears before SSH_MSG_DISCONNECT, the reason's number and its words."""
    agent = await world.agent(HOST, 22)
    await agent.send_all(said)
    heard = await receive_all(agent)
    at = heard.index(b"\n") + 1
    while at + (size := measure_packet(heard, at)) < len(heard):
        at += size
    payload = unpack(heard[at:])
    assert payload[0] == 1
    length = int.from_bytes(payload[5:9], "big")
    await agent.aclose()
    return heard[:at], payload[4], payload[9 : 9 + length].decode("ascii")


async def test_a_pinned_key_lets_the_connection_go_on(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(server(LINE + offer(), reply()))
    async with open_world(rule(PINNED), {f"{HOST}:22": port}) as world:
        agent, heard = await talk(world)
        assert heard == SERVER
        await agent.send_all(AFTER)
        assert await receive_exactly(agent, len(AFTER)) == AFTER
        await agent.send_eof()
        assert await receive_all(agent) == b""
        await agent.aclose()
        await world.wait_idle()
    outcome = world.outcome()
    assert outcome.said == ("allow", "outcome", TARGET)
    assert (outcome.facts["host_key"], outcome.facts["kex"]) == (PINNED, "curve25519-sha256")
    assert outcome.facts["bytes_up"] == len(CLIENT + AFTER)
    assert outcome.facts["bytes_down"] == len(SERVER + AFTER)
    assert "host_key" in world.receipts()[0].facts["needs"]


async def test_a_wrong_key_ends_it_before_the_agent_has_the_reply(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(server(LINE + offer(), reply() + AFTER))
    async with open_world(rule(OTHER), {f"{HOST}:22": port}) as world:
        heard, number, words = await hear_refusal(world)
        await world.wait_idle()
    assert heard == LINE + offer()
    assert number == 9
    assert words.startswith(
        "denied by the egress policy: git.example:22 shows the host key ssh-ed25519 SHA256:"
    )
    outcome = world.outcome()
    assert (outcome.verdict, outcome.layer) == ("block", "host_key")
    assert outcome.facts["host_key"] == PINNED
    assert outcome.facts["reason"] in words
    assert outcome.facts["bytes_up"] == len(CLIENT)
    assert outcome.facts["bytes_down"] == len(LINE + offer())


async def test_without_a_pin_the_same_server_is_let_through(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(server(LINE + offer(), reply()))
    unpinned = f'[[egress]]\ndestination = "{HOST}"\nprotocol = "ssh"\n'
    async with open_world(unpinned, {f"{HOST}:22": port}) as world:
        agent, heard = await talk(world)
        assert heard == SERVER
        await agent.aclose()
        await world.wait_idle()
    assert (world.outcome().facts["host_key"], world.outcome().facts["kex"]) == (PINNED, "curve25519-sha256")


@pytest.mark.parametrize(
    ("client", "said"),
    [
        (LINE + offer("diffie-hellman-group14-sha1"), LINE + offer("diffie-hellman-group14-sha1") + reply()),
        (b"SSH-1.5-x\r\nold", b"SSH-1.5-y\nold"),
        (LINE + b"\0\0\x10\0half a packet", b"no SSH at all"),
        (LINE + bytes(100), b"x" * 300),
        (CLIENT, LINE + offer(guesses=True) + reply()),
    ],
)
async def test_without_a_pin_what_cannot_be_followed_goes_through_as_it_is(
    open_world: OpenWorld, upstreams: Upstreams, client: bytes, said: bytes
) -> None:
    port = await upstreams.serve(server(b"", said, hears=len(client)))
    async with open_world(f'[[egress]]\ndestination = "{HOST}:22"\n', {f"{HOST}:22": port}) as world:
        agent = await world.agent(HOST, 22)
        await agent.send_all(client)
        assert await receive_exactly(agent, len(said)) == said
        for _ in range(2):
            await agent.send_all(AFTER)
            assert await receive_exactly(agent, len(AFTER)) == AFTER
        await agent.aclose()
        await world.wait_idle()
    assert "host_key" not in world.outcome().facts
    assert world.outcome().facts["bytes_up"] == len(client + AFTER + AFTER)


@pytest.mark.parametrize("keys", [(OTHER, PINNED), (PINNED, OTHER)])
async def test_a_key_that_any_rule_for_it_pins_is_good(
    open_world: OpenWorld, upstreams: Upstreams, keys: tuple[str, ...]
) -> None:
    port = await upstreams.serve(server(LINE + offer(), reply()))
    async with open_world("".join(map(rule, keys)), {f"{HOST}:22": port}) as world:
        agent, heard = await talk(world)
        assert heard == SERVER
        await agent.aclose()
        await world.wait_idle()


@pytest.mark.parametrize(
    ("client", "said", "reason"),
    [
        (LINE + offer("diffie-hellman-group14-sha1"), offer("diffie-hellman-group14-sha1"), "group14-sha1"),
        (LINE + offer(keys="ssh-rsa"), offer(keys="ssh-rsa"), "a host key by ssh-rsa"),
        (LINE + offer(ciphers="none"), offer(ciphers="none"), "encryption by none"),
        (LINE + offer(), offer(guesses=True), "the server guesses"),
        (LINE + offer(), offer(keys=ECDSA), "no algorithm that both sides have"),
        (LINE + offer(), offer() + offer(), "can't be followed"),
    ],
)
async def test_a_key_exchange_that_proves_nothing_is_refused(
    open_world: OpenWorld, upstreams: Upstreams, client: bytes, said: bytes, reason: str
) -> None:
    port = await upstreams.serve(server(LINE, said, hears=len(client)))
    async with open_world(rule(PINNED), {f"{HOST}:22": port}) as world:
        heard, number, words = await hear_refusal(world, client)
        await world.wait_idle()
    assert heard.startswith(b"SSH-2.0-")  # ours, where all of the server's words came at once
    assert number == 3
    assert reason in words
    outcome = world.outcome()
    assert (outcome.verdict, outcome.layer) == ("block", "host_key")
    assert "host_key" not in outcome.facts


async def test_an_agent_that_speaks_ssh1_is_told_so_in_a_line_of_ours(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(server(b"", hears=1))
    async with open_world(rule(PINNED), {f"{HOST}:22": port}) as world:
        heard, number, words = await hear_refusal(world, b"SSH-1.5-x\r\n")
        await world.wait_idle()
    assert (heard, number) == (b"SSH-2.0-trio-egress\r\n", 3)
    assert "doesn't identify itself as SSH-2.0" in words
    assert world.outcome().facts["bytes_up"] == 0


async def test_a_denied_agent_is_told_why_before_anything_is_dialled(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(server(b"", hears=1))
    https = f'[[egress]]\ndestination = "{HOST}"\n'
    async with open_world(https, {f"{HOST}:22": port}) as world:
        heard, number, words = await hear_refusal(world, LINE)
        await world.wait_idle()
    assert (heard, number) == (b"SSH-2.0-trio-egress\r\n", 11)
    assert words == f"denied by the egress policy: {world.block().facts['reason']}"
    assert upstreams.accepted == 0


@pytest.mark.parametrize("policy", [rule(PINNED), f'[[egress]]\ndestination = "{HOST}:22"\n'])
async def test_an_upstream_that_is_not_there_is_told_as_such(
    open_world: OpenWorld, upstreams: Upstreams, policy: str
) -> None:
    port = await upstreams.refused_port()
    async with open_world(policy, {f"{HOST}:22": port}) as world:
        _, number, words = await hear_refusal(world)
        await world.wait_idle()
    assert number == 11
    assert words.startswith("the upstream could not be reached: ")


async def test_a_server_that_says_goodbye_is_heard(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.send_all(LINE + note(1))
        await stream.send_eof()
        await receive_all(stream)

    port = await upstreams.serve(serve)
    async with open_world(rule(PINNED), {f"{HOST}:22": port}) as world:
        agent = await world.agent(HOST, 22)
        await agent.send_all(LINE)
        assert await receive_all(agent) == LINE + note(1)
        await agent.aclose()
        await world.wait_idle()
    assert world.outcome().facts["reason"] == "the connection ended before the server showed its host key"


async def test_a_key_exchange_has_its_time(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(server(LINE, hears=1 << 20))
    async with open_world(rule(PINNED), {f"{HOST}:22": port}, head_seconds=0.01) as world:
        agent = await world.agent(HOST, 22)
        await agent.send_all(LINE)
        await world.wait_idle()
        reset(agent)
    assert world.outcome().facts["reason"] == "the SSH key exchange took more than 0.01 s"


async def test_a_budget_is_counted_from_the_first_line_and_its_end_told(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(server(LINE + offer(), reply()))
    more = f"limits = {{ bytes_up = {len(CLIENT) + 4} }}\n"
    async with open_world(rule(PINNED, more=more), {f"{HOST}:22": port}) as world:
        agent, _ = await talk(world)
        await agent.send_all(AFTER)
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(agent)
        await agent.aclose()
        await world.wait_idle()
    outcome = world.outcome()
    assert (outcome.layer, outcome.facts["bytes_up"]) == ("limit", len(CLIENT) + 4)
    assert "bytes_up" in outcome.facts["reason"]


@pytest.mark.parametrize(
    ("keys", "goes_on"), [((PINNED,), True), ((OTHER,), False), ((PINNED, OTHER), False)]
)
async def test_a_changed_policy_ends_what_other_pins_had_let_through(
    open_world: OpenWorld, upstreams: Upstreams, keys: tuple[str, ...], goes_on: bool
) -> None:
    port = await upstreams.serve(server(LINE + offer(), reply()))
    async with open_world(rule(PINNED), {f"{HOST}:22": port}) as world:
        agent, _ = await talk(world)
        pins = f'[resolve]\n"{HOST}:22" = "127.0.0.1:{port}"\n'
        policy = load_policy(f"{HEAD}{rule(*keys)}{pins}", "agent.toml")
        world.gate.in_force.change(policy, world.gate.ledger)
        if goes_on:
            await agent.send_all(AFTER)
            assert await receive_exactly(agent, len(AFTER)) == AFTER
        else:
            with pytest.raises(trio.BrokenResourceError):
                await receive_all(agent)
        await agent.aclose()
        await world.wait_idle()
    assert ("the policy was changed" in world.outcome().facts["reason"]) is not goes_on
