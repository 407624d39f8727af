"""git over SSH at the boundary: what the process that ends SSH may say, what it is told, and what comes of it.

That process is played by the test, honest or not.
"""

from __future__ import annotations

import array
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
import trio.testing
from tests.proxy.conftest import few_descriptors, receive_all, receive_exactly
from tests.proxy.test_ssh import AFTER, CLIENT, OTHER, PINNED, SERVER, server
from tests.wire.ssh_specimens import LINE, offer, reply

from trio_egress.proxy.git_relay import RELAYS_MOST, GitRelay, HeldKey
from trio_egress.wire.git_relay import TRIED_MOST, Kind, Message, Side, Talk

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams, World

HOST = "git.example"
TARGET = "ssh://git.example:22"
KEY = HeldKey("deploy", "git", "the private key", "[deploy:0000]")
ASKED = {"user": "git", "command": "git-upload-pack 'org/repo.git'", "protocol": "version=2"}


def rules(git: str = 'fetch = ["org/*"]', *, pin: str = PINNED, more: str = "") -> str:
    return (
        f'[[egress]]\ndestination = "{HOST}"\nprotocol = "ssh"\nhost_keys = ["{pin}"]\ngit = {{ {git} }}\n{more}\n'
        f'[[secret]]\nname = "deploy"\nfrom = {{ env = "KEY" }}\nto = ["{HOST}"]\nas = "ssh"\n'
    )


class Relayed:
    """One connection of the process's: its three descriptors."""

    def __init__(self, descriptors: list[int]) -> None:
        streams = []
        for descriptor in descriptors:
            sock = socket.socket(fileno=descriptor)
            sock.setblocking(False)
            streams.append(trio.SocketStream(trio.socket.from_stdlib_socket(sock)))
        self.inner, self.outer, self.channel = streams
        self.talk = Talk(Side.RELAY)

    async def say(self, kind: Kind, **fields: str) -> None:
        await self.channel.send_all(self.talk.say(kind, **fields))

    async def hear(self) -> Message:
        while True:
            heard = self.talk.feed(await self.channel.receive_some(65536))
            if heard:
                (message,) = heard
                return message

    async def wait_hung_up(self) -> None:
        assert await receive_all(self.channel) == b""

    async def aclose(self) -> None:
        for stream in (self.inner, self.outer, self.channel):
            await trio.aclose_forcefully(stream)


class Process:
    """What takes the descriptors."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self.opened: list[Relayed] = []

    async def accept(self) -> Relayed:
        await trio.lowlevel.wait_readable(self._control)
        _, descriptors, _, _ = socket.recv_fds(self._control, 16, 3)
        self.opened.append(Relayed(list(array.array("i", descriptors))))
        return self.opened[-1]


@asynccontextmanager
async def open_process(world: World) -> AsyncIterator[Process]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setblocking(False)
        world.gate = attrs.evolve(world.gate, git=GitRelay(trio.socket.from_stdlib_socket(ours), [KEY]))
        process = Process(theirs)
        yield process
        for relayed in process.opened:
            await relayed.aclose()
        await world.wait_idle()


async def begin(world: World, process: Process) -> tuple[trio.SocketStream, Relayed]:
    agent = await world.agent(HOST, 22)
    await agent.send_all(LINE)
    relayed = await process.accept()
    assert await receive_exactly(relayed.inner, len(LINE)) == LINE
    await relayed.inner.send_all(b"whatever SSH says")
    assert await receive_exactly(agent, 17) == b"whatever SSH says"
    return agent, relayed


async def end(agent: trio.SocketStream, relayed: Relayed) -> None:
    """As the process does it when all is said."""
    await relayed.aclose()
    await receive_all(agent)
    await agent.aclose()


async def test_an_allowed_command_gets_the_key_after_its_intent_and_a_way_out(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(server(LINE + offer(), reply()))
    async with open_world(rules(), {f"{HOST}:22": port}) as world, open_process(world) as process:
        agent, relayed = await begin(world, process)
        await relayed.say(Kind.ASK, **ASKED)
        go = await relayed.hear()
        assert go.kind is Kind.GO
        assert (go.text("key"), go.text("user"), go.texts("host_keys")) == (KEY.text, "git", [PINNED])
        assert (go.text("command"), go.text("protocol")) == (ASKED["command"], "version=2")
        await relayed.outer.send_all(CLIENT)
        assert await receive_exactly(relayed.outer, len(SERVER)) == SERVER
        await relayed.outer.send_all(AFTER)
        assert await receive_exactly(relayed.outer, len(AFTER)) == AFTER
        await relayed.say(Kind.ENDED, status="0", reason="")
        await relayed.outer.send_eof()
        assert await receive_all(relayed.outer) == b""
        await end(agent, relayed)
    intent, outcome = world.receipts()
    assert intent.said == ("allow", "intent", f"{TARGET}/org/repo.git")
    assert outcome.said == ("allow", "outcome", f"{TARGET}/org/repo.git")
    assert (outcome.facts["service"], outcome.facts["command"]) == ("git-upload-pack", ASKED["command"])
    assert outcome.facts["secrets_used"] == ["[deploy:0000]"]
    assert (outcome.facts["host_key"], outcome.facts["bytes_up"]) == (PINNED, len(CLIENT + AFTER))
    assert outcome.facts["reason"].startswith("egress[0] ")


async def test_what_the_process_says_of_its_end_stands_in_the_outcome(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(server(LINE + offer(), reply()))
    async with open_world(rules(), {f"{HOST}:22": port}) as world, open_process(world) as process:
        agent, relayed = await begin(world, process)
        await relayed.say(Kind.ASK, **ASKED)
        await relayed.hear()
        await relayed.outer.send_all(CLIENT)
        await receive_exactly(relayed.outer, len(SERVER))
        await relayed.outer.send_eof()
        await relayed.say(Kind.ENDED, status="", reason="Permission denied")
        await receive_all(relayed.outer)
        await end(agent, relayed)
    assert world.outcome().facts["reason"] == "Permission denied"


async def test_a_server_that_shows_another_key_gets_nothing_more(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(server(LINE + offer(), reply()))
    async with open_world(rules(pin=OTHER), {f"{HOST}:22": port}) as world, open_process(world) as process:
        agent, relayed = await begin(world, process)
        await relayed.say(Kind.ASK, **ASKED)
        await relayed.hear()
        await relayed.outer.send_all(CLIENT)
        heard = await receive_all(relayed.outer)
        assert heard.startswith(LINE + offer())
        assert b"denied by the egress policy" in heard
        await end(agent, relayed)
    outcome = world.outcome()
    assert (outcome.verdict, outcome.layer, outcome.facts["host_key"]) == ("block", "host_key", PINNED)


@pytest.mark.parametrize(
    ("asked", "layer", "reason"),
    [
        (
            {"command": "git-upload-pack 'other/repo'"},
            "operation",
            "doesn't allow git to fetch from other/repo",
        ),
        ({"command": "git-receive-pack 'org/repo'"}, "operation", "doesn't allow git to push to org/repo"),
        ({"command": "id"}, "operation", "carries git alone, not the command id"),
        ({"user": "root"}, "secret", "the key deploy logs in as git, not as another user"),
    ],
)
async def test_what_is_denied_gets_no_key_and_no_way_out(
    open_world: OpenWorld, upstreams: Upstreams, asked: dict[str, str], layer: str, reason: str
) -> None:
    port = await upstreams.serve(server(LINE))
    async with open_world(rules(), {f"{HOST}:22": port}) as world, open_process(world) as process:
        agent, relayed = await begin(world, process)
        await relayed.say(Kind.ASK, **{**ASKED, **asked})
        no = await relayed.hear()
        assert no.kind is Kind.NO
        assert reason in no.text("reason")
        await end(agent, relayed)
    assert (world.block().layer, world.block().facts["reason"]) == (layer, no.text("reason"))
    assert upstreams.accepted == 0


async def test_every_attempt_at_something_else_has_a_denial(open_world: OpenWorld) -> None:
    async with open_world(rules()) as world, open_process(world) as process:
        agent, relayed = await begin(world, process)
        for what in ("a shell", "a tunnel device (-w)"):
            await relayed.say(Kind.TRIED, what=what)
        await end(agent, relayed)
    assert [receipt.said for receipt in world.receipts()] == [("block", "", TARGET)] * 2
    reasons = [
        receipt.facts["reason"].partition(" carries git alone, not ")[2] for receipt in world.receipts()
    ]
    assert reasons == ["a shell", "a tunnel device (-w)"]


def frame(letter: bytes, body: bytes) -> bytes:
    return letter + len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    "raw",
    [
        b"X\0\0\0\0",
        b"A\xff\xff\xff\xff",
        frame(b"A", b"{}"),
        frame(b"E", b'{"status": "0", "reason": ""}'),
        frame(b"N", b'{"reason": "I decide"}'),
        frame(b"T", b'{"what": "a shell"}') * (TRIED_MOST + 1),
    ],
)
async def test_a_process_that_breaks_its_rules_loses_its_connection(
    open_world: OpenWorld, raw: bytes
) -> None:
    async with open_world(rules()) as world, open_process(world) as process:
        agent, relayed = await begin(world, process)
        await relayed.channel.send_all(raw)
        await relayed.wait_hung_up()
        await end(agent, relayed)
        another, relayed = await begin(world, process)  # and nobody else loses theirs
        await end(another, relayed)
    assert all(receipt.verdict == "block" for receipt in world.receipts())


async def test_a_second_question_ends_what_the_first_began(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(server(LINE + offer(), reply()))
    async with open_world(rules(), {f"{HOST}:22": port}) as world, open_process(world) as process:
        agent, relayed = await begin(world, process)
        await relayed.say(Kind.ASK, **ASKED)
        await relayed.hear()
        await relayed.outer.send_all(CLIENT)
        await receive_exactly(relayed.outer, len(SERVER))
        await relayed.channel.send_all(Talk(Side.RELAY).say(Kind.ASK, **ASKED))
        await relayed.wait_hung_up()
        assert await receive_all(relayed.outer) == b""
        await end(agent, relayed)
    assert [receipt.phase for receipt in world.receipts()] == ["intent", "outcome"]


async def test_whoever_asks_for_nothing_is_waited_for_and_no_longer(open_world: OpenWorld) -> None:
    async with open_world(rules(), head_seconds=0.05) as world, open_process(world) as process:
        agent, relayed = await begin(world, process)
        await relayed.wait_hung_up()
        await end(agent, relayed)
    assert world.block().facts["reason"].endswith("not a connection that asks for nothing")


async def test_an_agent_that_leaves_midway_is_heard_of(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(server(LINE + offer(), reply()))
    async with open_world(rules(), {f"{HOST}:22": port}) as world, open_process(world) as process:
        agent, relayed = await begin(world, process)
        await relayed.say(Kind.ASK, **ASKED)
        await relayed.hear()
        await relayed.outer.send_all(CLIENT)
        await receive_exactly(relayed.outer, len(SERVER))
        await agent.aclose()
        assert await receive_all(relayed.inner) == b""
        await relayed.aclose()  # as the process does then
    assert [receipt.phase for receipt in world.receipts()] == ["intent", "outcome"]


async def test_a_rule_for_all_of_ssh_is_no_matter_of_the_process(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(server(LINE + offer(), reply()))
    plain = f'[[egress]]\ndestination = "{HOST}:22"\n'
    async with open_world(plain + rules(), {f"{HOST}:22": port}) as world, open_process(world) as process:
        agent = await world.agent(HOST, 22)
        await agent.send_all(CLIENT)
        assert await receive_exactly(agent, len(SERVER)) == SERVER
        await agent.aclose()
        assert process.opened == []


async def test_more_connections_than_there_is_room_for_wait(open_world: OpenWorld) -> None:
    async with open_world(rules()) as world, open_process(world) as process:
        begun = [await begin(world, process) for _ in range(RELAYS_MOST)]
        waiting = await world.agent(HOST, 22)
        await waiting.send_all(LINE)
        await end(*begun.pop())
        relayed = await process.accept()
        assert await receive_exactly(relayed.inner, len(LINE)) == LINE
        await end(waiting, relayed)
        for one in begun:
            await end(*one)
    assert len(world.receipts()) == RELAYS_MOST + 1


async def test_where_the_process_is_gone_a_connection_ends_with_a_receipt(open_world: OpenWorld) -> None:
    async with open_world(rules()) as world:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.close()
        with ours:
            ours.setblocking(False)
            world.gate = attrs.evolve(world.gate, git=GitRelay(trio.socket.from_stdlib_socket(ours), [KEY]))
            agent = await world.agent(HOST, 22)
            await agent.send_all(LINE)
            with pytest.raises(trio.BrokenResourceError):
                await agent.receive_some()
            await agent.aclose()
            await world.wait_idle()
    assert world.block().verdict == "block"


@pytest.mark.parametrize("left", range(6))
async def test_without_descriptors_a_connection_ends_with_a_receipt(open_world: OpenWorld, left: int) -> None:
    async with open_world(rules()) as world, open_process(world) as process:
        agent = await world.agent(HOST, 22)
        await trio.testing.wait_all_tasks_blocked()
        with few_descriptors(left):
            await agent.send_all(LINE)
            with pytest.raises(trio.BrokenResourceError):
                await agent.receive_some()
        await agent.aclose()
        await end(*await begin(world, process))
    assert [receipt.verdict for receipt in world.receipts()] == ["block", "block"]
