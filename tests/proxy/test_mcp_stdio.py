"""Conversations of MCP clients and servers, line by line: whose answer is whose, what ends, and what goes nowhere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trio_egress.errors import PeerError
from trio_egress.model import Side
from trio_egress.proxy.mcp_stdio import UNASKED, Conversation, Ended
from trio_egress.recorder import Recorder
from trio_egress.wire.jsonrpc import IN_FLIGHT
from trio_egress.wire.lines import Lines

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Receipt, World

CLIENT, SERVER = Side.CLIENT, Side.SERVER


class Talk:
    """A conversation, and what either side has heard. `gone`: sides that hear nothing any more."""

    def __init__(self, world: World) -> None:
        assert isinstance(world.gate.recorder, Recorder)
        self.world = world
        self.heard: dict[Side, list[Any]] = {CLIENT: [], SERVER: []}
        self.gone: set[Side] = set()
        self.conversation = Conversation(
            world.gate, world.gate.recorder, self._sender(CLIENT), self._sender(SERVER)
        )

    def _sender(self, side: Side) -> Any:
        async def send(raw: bytes) -> None:
            await trio.lowlevel.checkpoint()
            if side in self.gone:
                raise PeerError(f"the {side.value} is gone")
            assert raw.endswith(b"\n")
            self.heard[side].append(json.loads(raw))

        return send

    async def say(self, side: Side, **message: object) -> None:
        await self.write(side, json.dumps({"jsonrpc": "2.0", **message}).encode())

    async def write(self, side: Side, raw: bytes) -> None:
        for line in Lines().feed(raw + b"\n"):
            await self.conversation.take(side, line)

    def errors(self, side: Side) -> list[tuple[object, int]]:
        return [(each["id"], each["error"]["code"]) for each in self.heard[side] if "error" in each]

    @property
    def told(self) -> list[Receipt]:
        return [receipt for receipt in self.world.receipts() if receipt.phase != "intent"]


@asynccontextmanager
async def talk(open_world: OpenWorld, rules: str = "") -> AsyncIterator[Talk]:
    async with open_world(rules) as world:
        talking = Talk(world)
        try:
            yield talking
        finally:
            talking.conversation.close()


async def test_an_answer_goes_to_whoever_asked_whatever_the_order(open_world: OpenWorld) -> None:
    async with talk(open_world) as talking:
        await talking.say(CLIENT, id=1, method="a")
        await talking.say(CLIENT, id="x", method="b")
        await talking.say(SERVER, id=1, method="c")
        await talking.say(SERVER, id="x", result="b")
        await talking.say(CLIENT, id=1, result="c")
        await talking.say(SERVER, id=1, result="a")
    assert [each.get("result") for each in talking.heard[CLIENT]] == [None, "b", "a"]
    assert [each.get("result") for each in talking.heard[SERVER]] == [None, None, "c"]
    assert [(r.target, r.facts["from"]) for r in talking.told] == [
        ("mcp:b", "client"),
        ("mcp:c", "server"),
        ("mcp:a", "client"),
    ]


@pytest.mark.parametrize("answer", [{"id": 2}, {"id": "1"}, {"id": 0}])
async def test_an_answer_with_another_id_goes_nowhere(
    open_world: OpenWorld, answer: dict[str, object]
) -> None:
    async with talk(open_world) as talking:
        await talking.say(CLIENT, id=1, method="a")
        await talking.say(SERVER, **answer, result=1)
        assert talking.heard[CLIENT] == []
        await talking.say(SERVER, id=1, result=2)
        await talking.say(SERVER, id=1, result=3)
    assert [each["result"] for each in talking.heard[CLIENT]] == [2]
    assert [(r.verdict, r.layer) for r in talking.told] == [
        ("block", "malformed"),
        ("allow", "rule"),
        ("block", "malformed"),
    ]


async def test_an_answer_before_its_question_is_on_disk_goes_nowhere(open_world: OpenWorld) -> None:
    """A server can guess the next id."""
    async with talk(open_world) as talking, trio.open_nursery() as nursery:
        nursery.start_soon(partial(talking.say, CLIENT, id=1, method="a"))
        await talking.say(SERVER, id=1, result="guessed")
        while not talking.heard[SERVER]:
            await trio.lowlevel.checkpoint()
        assert talking.heard[CLIENT] == []
        await talking.say(SERVER, id=1, result="true")
    assert [each["result"] for each in talking.heard[CLIENT]] == ["true"]


async def test_what_is_taken_back_waits_for_no_answer(open_world: OpenWorld) -> None:
    async with talk(open_world) as talking:
        await talking.say(CLIENT, id=1, method="a")
        for identity in (True, [1], None, 2):  # none of which is its id
            await talking.say(CLIENT, method="notifications/cancelled", params={"requestId": identity})
        with trio.move_on_after(0) as patience:
            await talking.conversation.wait_answered()
        assert patience.cancelled_caught
        await talking.say(CLIENT, method="notifications/cancelled", params={"requestId": 1})
        await talking.conversation.wait_answered()
        await talking.say(SERVER, id=1, result="late")
        await talking.say(CLIENT, id=1, method="a")
        await talking.say(SERVER, id=1, result="in time")
    assert [each["result"] for each in talking.heard[CLIENT]] == ["in time"]
    first, *_ = (r for r in talking.told if r.target == "mcp:a")
    assert first.facts["reason"] == "it was taken back"


@pytest.mark.parametrize(("number", "truth"), [(0, False), (1, True)])
async def test_a_truth_value_takes_back_no_number_and_no_word(
    open_world: OpenWorld, number: int, truth: bool
) -> None:
    """False is 0 in a dictionary, and "False" as a text."""
    async with talk(open_world) as talking:
        for identity in (number, str(truth)):
            await talking.say(SERVER, id=identity, method="ping")
        await talking.say(SERVER, method="notifications/cancelled", params={"requestId": truth})
        for identity in (str(truth), number):
            await talking.say(CLIENT, id=identity, result={})
    assert [each["id"] for each in talking.heard[SERVER]] == [str(truth), number]


async def test_so_many_questions_wait_at_once_and_no_more(open_world: OpenWorld) -> None:
    async with talk(open_world) as talking, trio.open_nursery() as nursery:
        for number in range(IN_FLIGHT):
            nursery.start_soon(partial(talking.say, CLIENT, id=number, method="a"))
        while len(talking.heard[SERVER]) < IN_FLIGHT:
            await trio.lowlevel.checkpoint()
        await talking.say(CLIENT, id="more", method="a")
        assert talking.errors(CLIENT) == [("more", -32600)]
        await talking.say(SERVER, id=5, result=1)
        await talking.say(CLIENT, id="more", method="a")
    assert len(talking.heard[SERVER]) == IN_FLIGHT + 1
    assert [r.layer for r in talking.told if r.verdict == "block"] == ["limit"]


async def test_an_id_in_use_is_refused_without_answering_its_question(open_world: OpenWorld) -> None:
    async with talk(open_world) as talking:
        for identity in (1, 1, "1"):
            await talking.say(CLIENT, id=identity, method="a")
    assert talking.errors(CLIENT) == [(None, -32600), (None, -32600)]
    assert len(talking.heard[SERVER]) == 1


async def test_a_server_that_says_no_message_is_not_heard_any_more(open_world: OpenWorld) -> None:
    async with talk(open_world) as talking:
        await talking.say(CLIENT, id=1, method="a")
        with pytest.raises(Ended, match="isn't JSON"):
            await talking.write(SERVER, b"hello")
        await talking.conversation.end("the server said what is no message")
    assert talking.errors(CLIENT) == [(1, -32000)]
    assert [(r.verdict, r.target) for r in talking.told] == [("block", "mcp:message"), ("allow", "mcp:a")]


async def test_a_flood_of_answers_to_nothing_ends(open_world: OpenWorld) -> None:
    async with talk(open_world) as talking:
        for number in range(UNASKED - 1):
            await talking.say(SERVER, id=number, result=1)
        with pytest.raises(Ended, match="100 answers to nothing"):
            await talking.say(SERVER, id=1, result=1)
    assert len(talking.told) == UNASKED


async def test_a_client_that_is_gone_leaves_no_question_without_an_outcome(open_world: OpenWorld) -> None:
    async with talk(open_world) as talking:
        await talking.say(CLIENT, id=1, method="a")
        await talking.say(SERVER, id=1, method="b")
        talking.gone.add(CLIENT)
        with pytest.raises(PeerError, match="gone"):
            await talking.say(SERVER, id=1, result=1)
        with pytest.raises(PeerError, match="gone"):
            await talking.say(SERVER, method="notifications/message")
        with pytest.raises(PeerError, match="gone"):
            await talking.write(CLIENT, b"what it said before")
    assert [r.target for r in talking.told if r.phase == "outcome"] == [
        "mcp:a",
        "mcp:notifications/message",
        "mcp:b",
    ]


async def test_a_server_that_is_gone_leaves_no_question_without_an_outcome(open_world: OpenWorld) -> None:
    async with talk(open_world) as talking:
        talking.gone.add(SERVER)
        with pytest.raises(PeerError, match="gone"):
            await talking.say(CLIENT, id=1, method="a")
        await talking.conversation.end()
    assert talking.errors(CLIENT) == [(1, -32000)]
    assert [(r.phase, r.facts["reason"]) for r in talking.told] == [("outcome", "the server has ended")]


async def test_what_the_policy_denies_frees_its_id(open_world: OpenWorld) -> None:
    async with talk(open_world, '[mcp]\nmethods = ["initialize", "a"]\nserver_methods = []\n') as talking:
        await talking.say(CLIENT, id=1, method="b")
        await talking.say(CLIENT, id=1, method="a")
        await talking.say(CLIENT, method="b")
        await talking.say(SERVER, id=1, method="a")
        await talking.say(SERVER, method="a")
    assert talking.errors(CLIENT) == [(1, -32001)]
    assert talking.errors(SERVER) == [(1, -32001)]
    assert [each["method"] for each in talking.heard[SERVER] if "method" in each] == ["a"]
    assert len(talking.heard[CLIENT]) == 1


async def test_an_error_is_told_by_its_code(open_world: OpenWorld) -> None:
    async with talk(open_world) as talking:
        for code in (-32601, 1 << 60):
            await talking.say(CLIENT, id=1, method="a")
            await talking.say(SERVER, id=1, error={"code": code, "message": "no"})
    assert [r.facts.get("error") for r in talking.told] == [-32601, None]
