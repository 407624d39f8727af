"""Attempts that somebody is asked about: on every way in, whatever the answer is, and where there is none."""

from __future__ import annotations

import json
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from tests.proxy.conftest import HEAD, receive_all, receive_until, script

from trio_egress.model import Name, Protocol, Transport
from trio_egress.policy.load import load_policy
from trio_egress.proxy.approval import PENDING, ApproverError, Question, Said
from trio_egress.proxy.judge import Door, judge_tcp

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Receipt, Upstreams, World

HOST = "api.example"
ASK = f'[[egress]]\ndestination = "{HOST}"\nreason = "a try"\nask = true\n'
SEEN = ASK.replace("ask = true", 'ask = true\ntls = "intercept"')
TCP = '[[egress]]\ndestination = "db.example:5432"\nask = true\n'
GET = b"GET /a?b=c HTTP/1.1\r\nHost: api.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Answer = Callable[[Question], Awaitable[Said]]


@attrs.define
class Asked:
    """An approver that is a test's own, and all that it was asked."""

    answer: Answer
    everything: bool = False
    kind: str = "program"
    questions: list[Question] = attrs.field(factory=list)

    async def ask(self, question: Question) -> Said:
        self.questions.append(question)
        return await self.answer(question)


async def agree(question: Question) -> Said:
    return Said(True, "anna")


async def refuse(question: Question) -> Said:
    return Said(False, "anna")


async def ask(world: World, raw: bytes, host: str = HOST, port: int = 80) -> bytes:
    agent = await world.agent(host, port)
    await agent.send_all(raw)
    answer = await receive_answer(agent)
    await agent.aclose()
    return answer


async def receive_answer(stream: trio.abc.ReceiveStream) -> bytes:
    """A whole one of HTTP, or what there is of another."""
    raw = bytes(await stream.receive_some())
    while raw.startswith(b"HTTP/") and not _is_whole(raw):
        raw += await stream.receive_some()
    return raw


def _is_whole(raw: bytes) -> bool:
    head, end, body = raw.partition(b"\r\n\r\n")
    return bool(end) and len(body) >= int(head.lower().partition(b"content-length:")[2].split()[0])


def told(receipt: Receipt) -> tuple[object, object, object]:
    facts = receipt.facts
    return facts.get("asked_of"), facts.get("answer"), facts.get("answered_by")


async def test_approved_request_goes_on_and_says_who_approved_it(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    approver = Asked(agree)
    port = await upstreams.serve(script((GET, OK)))
    async with open_world(ASK, {HOST: port}, approver=approver) as world:
        assert await ask(world, GET) == OK
    intent, outcome = world.receipts()
    assert (intent.phase, told(intent)) == ("intent", ("program", "allow", "anna"))
    assert isinstance(intent.facts["answer_us"], int)
    assert outcome.verdict == "allow"
    (question,) = approver.questions
    assert (question.attempt.method, question.attempt.path) == ("GET", "/a")
    assert (question.why, question.seconds, question.marked) == ("a try", 60, True)


async def test_nothing_is_recorded_or_dialled_while_the_question_stands(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    seen: list[tuple[int, int]] = []

    async def answer(question: Question) -> Said:
        seen.append((len(world.receipts()), upstreams.accepted))
        return Said(True, "anna")

    port = await upstreams.serve(script((GET, OK)))
    async with open_world(ASK, {HOST: port}, approver=Asked(answer)) as world:
        await ask(world, GET)
    assert seen == [(0, 0)]
    assert upstreams.accepted == 1


async def hang_up(question: Question) -> Said:
    raise ApproverError("the program that decides is gone")


async def say_nothing(question: Question) -> Said:
    await trio.sleep_forever()
    raise AssertionError


async def nameless(question: Question) -> Said:
    return Said(True, "")


@pytest.mark.parametrize(
    ("answer", "word", "reason"),
    [
        (refuse, "deny", "asks first, and anna said no"),
        (hang_up, "failed", "asks first, and the program that decides is gone"),
        (say_nothing, "timed_out", "asks first, and there was no answer within 1 s"),
        (nameless, "deny", "asks first, and whoever was asked said no"),
    ],
)
async def test_whatever_is_no_clear_yes_is_a_denial(
    open_world: OpenWorld, upstreams: Upstreams, answer: Answer, word: str, reason: str
) -> None:
    port = await upstreams.serve(script((GET, OK)))
    rules = ASK.replace("true", "{ seconds = 1 }")
    async with open_world(rules, {HOST: port}, approver=Asked(answer)) as world:
        said = await ask(world, GET)
    assert said.startswith(b"HTTP/1.1 403 ")
    problem = json.loads(said.partition(b"\r\n\r\n")[2])
    assert problem["layer"] == "approval"
    assert reason in problem["detail"]
    assert (world.block().layer, world.block().facts["answer"]) == ("approval", word)
    assert upstreams.accepted == 0


async def test_without_an_approver_what_a_rule_asks_about_is_denied(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((GET, OK)))
    async with open_world(ASK, {HOST: port}) as world:
        assert b'"layer": "approval"' in await ask(world, GET)
    assert told(world.block()) == ("nobody", "nobody", None)
    assert "there is nobody to ask in this run" in str(world.block().facts["reason"])
    assert upstreams.accepted == 0


async def test_rule_that_asks_nobody_needs_no_approver(open_world: OpenWorld, upstreams: Upstreams) -> None:
    approver = Asked(refuse)
    port = await upstreams.serve(script((GET, OK)))
    async with open_world(ASK.replace("ask = true", ""), {HOST: port}, approver=approver) as world:
        assert await ask(world, GET) == OK
    assert approver.questions == []


async def test_program_that_sees_everything_can_only_narrow(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    approver = Asked(refuse, everything=True)
    port = await upstreams.serve(script((GET, OK)))
    async with open_world(ASK.replace("ask = true", ""), {HOST: port}, approver=approver) as world:
        assert b"403" in await ask(world, GET)
        assert b"403" in await ask(world, GET.replace(b"api.", b"other."), "other.example")
    assert [question.marked for question in approver.questions] == [False]
    assert [receipt.layer for receipt in world.receipts()] == ["approval", "default_deny"]


async def test_what_the_policy_denies_is_not_asked_about(open_world: OpenWorld) -> None:
    approver = Asked(agree, everything=True)
    async with open_world(ASK + 'methods = ["PUT"]\n', approver=approver) as world:
        await ask(world, GET)
    assert approver.questions == []
    assert world.block().layer == "method"


# every way in


async def test_tunnel_of_tcp_is_asked_about(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(script((b"\0abc", b"yes")))
    approver = Asked(agree)
    async with open_world(TCP, {"db.example:5432": port}, approver=approver) as world:
        assert await ask(world, b"\0abc", "db.example", 5432) == b"yes"
        approver.answer = refuse
        agent = await world.agent("db.example", 5432)
        await agent.send_all(b"\0abc")
        with pytest.raises(trio.BrokenResourceError):
            await agent.receive_some()
        await agent.aclose()
    assert upstreams.accepted == 1
    assert [told(receipt)[1] for receipt in world.receipts() if receipt.phase != "outcome"] == [
        "allow",
        "deny",
    ]


async def test_ssh_is_asked_about_and_told_in_words(open_world: OpenWorld, upstreams: Upstreams) -> None:
    rules = '[[egress]]\ndestination = "git.example"\nprotocol = "ssh"\nask = true\n'
    port = await upstreams.serve(script())
    approver = Asked(refuse)
    async with open_world(rules, {"git.example:22": port}, approver=approver) as world:
        agent = await world.agent("git.example", 22)
        await agent.send_all(b"SSH-2.0-x\r\n")
        assert b"anna said no" in await receive_all(agent)
        await agent.aclose()
    assert approver.questions[0].attempt.protocol is Protocol.SSH
    assert upstreams.accepted == 0


async def fetch(world: World, stream: trio.abc.Stream, raw: bytes = GET) -> bytes:
    async with stream:
        tls = trio.SSLStream(stream, world.client_tls(), server_hostname=HOST, https_compatible=True)
        await tls.send_all(raw)
        return await receive_answer(tls)


async def serve_ok(stream: trio.SSLStream[trio.SocketStream]) -> None:
    await receive_until(stream, b"\r\n\r\n")
    await stream.send_all(OK)


async def test_tls_that_stays_closed_is_asked_about_once(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve_tls(HOST, serve_ok)
    approver = Asked(agree)
    async with open_world(ASK, {HOST: port}, approver=approver) as world:
        assert await fetch(world, await world.agent(HOST, 443)) == OK
        approver.answer = refuse
        with pytest.raises(trio.BrokenResourceError) as alert:
            await fetch(world, await world.agent(HOST, 443))
    assert isinstance(alert.value.__cause__, ssl.SSLError)
    assert [question.attempt.protocol for question in approver.questions] == [Protocol.TLS] * 2


async def test_each_request_inside_tls_is_asked_about_and_the_connection_is_not(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve_tls(HOST, serve_ok)
    approver = Asked(agree)
    async with open_world(SEEN, {HOST: port}, approver=approver) as world:
        assert await fetch(world, await world.agent(HOST, 443)) == OK
        approver.answer = refuse
        assert b"anna said no" in await fetch(world, await world.agent(HOST, 443))
    assert [(q.attempt.path, q.attempt.secure) for q in approver.questions] == [("/a", True)] * 2


async def test_tunnel_by_connect_is_asked_about_by_what_is_inside(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve_tls(HOST, serve_ok)
    approver = Asked(agree)
    async with open_world(ASK, {HOST: port}, approver=approver) as world:
        client = await world.client()
        await client.send_all(b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example:443\r\n\r\n")
        await receive_until(client, b"\r\n\r\n")
        assert await fetch(world, client) == OK
    assert len(approver.questions) == 1


async def test_connection_that_asks_for_nothing_is_no_question(open_world: OpenWorld) -> None:
    approver = Asked(agree)
    async with open_world(ASK, approver=approver) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_eof()
        await receive_all(agent)
        await agent.aclose()
    assert approver.questions == []
    assert world.block().layer == "approval"


# many at once


async def test_question_holds_up_nobody_else(open_world: OpenWorld, upstreams: Upstreams) -> None:
    answered = trio.Event()

    async def answer(question: Question) -> Said:
        if question.attempt.path == "/slow":
            await answered.wait()
        return Said(True, "anna")

    slow = GET.replace(b"/a?b=c", b"/slow")
    port = await upstreams.serve(serve_plain)
    async with open_world(ASK, {HOST: port}, approver=Asked(answer)) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(slow)
        assert await ask(world, GET) == OK
        answered.set()
        assert await agent.receive_some() == OK
        await agent.aclose()


async def serve_plain(stream: trio.SocketStream) -> None:
    await receive_until(stream, b"\r\n\r\n")
    await stream.send_all(OK)


async def test_one_question_too_many_is_denied_and_those_before_it_stand(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    full, go_on = trio.Event(), trio.Event()

    async def answer(question: Question) -> Said:
        if len(approver.questions) == PENDING:
            full.set()
        await go_on.wait()
        return Said(True, "anna")

    approver = Asked(answer)
    port = await upstreams.serve(serve_plain)
    async with open_world(ASK, {HOST: port}, approver=approver) as world:
        async with trio.open_nursery() as nursery:
            answers: list[bytes] = []

            async def one() -> None:
                answers.append(await ask(world, GET))

            for _ in range(PENDING):
                nursery.start_soon(one)
            await full.wait()
            assert b"questions stand already" in await ask(world, GET)
            go_on.set()
        assert answers == [OK] * PENDING
    assert [r.facts["answer"] for r in world.receipts() if r.verdict == "block"] == ["too_many"]


# what changes while it stands


def policy_of(rules: str, port: int) -> str:
    return f'{HEAD}{rules}\n[resolve]\n"{HOST}" = "127.0.0.1:{port}"\n'


@pytest.mark.parametrize(
    ("rules", "layer"),
    [
        (ASK.replace(HOST, "b.example"), "default_deny"),
        ('[[egress]]\ndestination = "b.example"\n' + ASK, "approval"),
        (ASK + "scan = true\n", "approval"),
        (ASK.replace("a try", "why not"), "rule"),
    ],
)
async def test_approval_is_for_the_policy_that_asked(
    open_world: OpenWorld, upstreams: Upstreams, rules: str, layer: str
) -> None:
    port = await upstreams.serve(serve_plain)

    async def answer(question: Question) -> Said:
        world.gate.in_force.change(load_policy(policy_of(rules, port), "agent.toml"), world.gate.ledger)
        return Said(True, "anna")

    async with open_world(ASK, {HOST: port}, approver=Asked(answer)) as world:
        await ask(world, GET)
    assert world.receipts()[0].layer == layer
    assert upstreams.accepted == (layer == "rule")


async def test_flow_that_nobody_approved_is_a_bug(open_world: OpenWorld) -> None:
    async with open_world(TCP) as world:
        door = Door(Transport.TRANSPARENT, Name("db.example"), 5432)
        judged = judge_tcp(world.gate.policy, door, world.gate.ledger.moment())
        assert judged.decision.ask == 60
        with pytest.raises(ValueError, match="nobody has approved"):
            async with world.gate.open_flow(judged):
                raise AssertionError
    assert world.receipts() == []
