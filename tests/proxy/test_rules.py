"""What a rule says of a request or of its use, on real connections: who gets through, and what the receipts say."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from tests.proxy.conftest import receive_all, receive_exactly, receive_until, script

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Receipt, Upstreams, World

HOST = "api.example"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def rule(keys: str, destination: str = HOST) -> str:
    return f'[[egress]]\ndestination = "{destination}"\n{keys}\n'


def request(target: str = "/", fields: str = "", method: str = "GET", body: str = "") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n{body}".encode()


async def answer_all(stream: trio.SocketStream) -> None:
    """Answer each request without a body that comes."""
    while True:
        raw = b""
        while b"\r\n\r\n" not in raw:
            piece = await stream.receive_some()
            if not piece:
                return
            raw += piece
        await stream.send_all(OK)


async def ask(world: World, raw: bytes, port: int = 80) -> bytes:
    agent = await world.agent(HOST, port)
    await agent.send_all(raw)
    await agent.send_eof()
    answer = await receive_all(agent)
    await agent.aclose()
    return answer


def problem(answer: bytes) -> dict[str, Any]:
    assert answer.startswith(b"HTTP/1.1 403 "), answer
    told: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return told


def blocks(world: World) -> list[Receipt]:
    return [receipt for receipt in world.receipts() if receipt.verdict == "block"]


@pytest.mark.parametrize(
    ("keys", "allowed", "denied", "layer"),
    [
        ('paths = ["/v1/**"]', request("/v1/a"), request("/v2/a"), "path"),
        ('paths = ["/v1/**"]', request("/v1/a?x=/../"), request("/v1/%2e%2e/admin"), "path"),
        ('paths = ["/v1/*"]', request("/v1/a.b"), request("/v1/a%2Fb"), "path"),
        ('query = ["page"]', request("/?page=1&page=2"), request("/?page=1&token=x"), "query"),
        ("query = []", request("/?"), request("/?a"), "query"),
        (
            'headers = { forbidden = ["x-key"] }',
            request(fields="X-Kez: 1\r\n"),
            request(fields="X_KEY: 1\r\n"),
            "header",
        ),
        ('headers = { required = ["x-run"] }', request(fields="X-Run: 1\r\n"), request(), "header"),
        (
            'git = { fetch = ["org/*"] }',
            request("/org/a.git/info/refs?service=git-upload-pack"),
            request("/org/a.git/info/refs?service=git-receive-pack"),
            "operation",
        ),
        (
            "limits = { body = 0 }",
            request(),
            request(method="POST", fields="Content-Length: 1\r\n", body="x"),
            "limit",
        ),
        ('limits = { requests = "1/day" }', request(), request(), "limit"),
    ],
)
async def test_what_a_rule_says_of_requests_is_held(
    open_world: OpenWorld, upstreams: Upstreams, keys: str, allowed: bytes, denied: bytes, layer: str
) -> None:
    port = await upstreams.serve(answer_all)
    async with open_world(rule(keys), {HOST: port}) as world:
        assert await ask(world, allowed) == OK
        told = problem(await ask(world, denied))
    (block,) = blocks(world)
    assert (block.layer, told["layer"]) == (layer, layer)
    assert block.facts["reason"] == told["detail"]
    assert block.facts["rule"] == f"egress[0] '{HOST}' (line 4)"
    assert upstreams.accepted == 1


async def test_the_control_without_the_keys_lets_all_of_it_by(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(answer_all)
    async with open_world(rule(""), {HOST: port}) as world:
        for raw in (request("/v1/%2e%2e/admin"), request("/?token=x"), request(fields="X-Key: 1\r\n")):
            assert await ask(world, raw) == OK


async def test_names_that_the_policy_looks_at_are_recorded_and_no_values(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(answer_all)
    keys = 'query = ["a", "b"]\nheaders = { required = ["x-run"] }\nlimits = { body = 9 }\ngit = { fetch = ["*"] }'
    keys = keys.rpartition("\n")[0]
    more = rule('git = { fetch = ["org/*"] }', "git.example")
    async with open_world(rule(keys) + more, {HOST: port}) as world:
        assert await ask(world, request("/p?b=secret&a", "X-Run: secret\r\n")) == OK
    facts = world.outcome().facts
    assert (facts["query"], facts["headers"], facts["body_bytes"]) == (["a", "b"], ["host", "x-run"], 0)
    assert facts["needs"] == ["meter"]
    assert isinstance(facts["judged_us"], int)
    assert "secret" not in str(world.receipts())


async def test_nothing_more_is_recorded_where_no_rule_looks_at_it(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(answer_all)
    async with open_world(rule(""), {HOST: port}) as world:
        assert await ask(world, request("/p?b=secret&a", "X-Run: secret\r\n")) == OK
    assert not {"query", "headers", "body_bytes", "judged_us", "needs"} & set(world.outcome().facts)


async def test_a_rule_that_denies_wins_with_its_reason(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(answer_all)
    rules = rule("") + rule(
        'deny = true\nname = "no-admin"\nreason = "ask Eve"\npaths = ["/admin/**"]', "*.example"
    )
    async with open_world(rules, {HOST: port}) as world:
        assert await ask(world, request("/a")) == OK
        for target in ("/admin/x", "/ADMIN/x", "/a/..;/admin/x", "/%61dmin%2Fx"):
            told = problem(await ask(world, request(target)))
            assert told["detail"].startswith("egress[1] no-admin '*.example' (line 7) denies it")
            assert told["detail"].endswith(": ask Eve")
    assert {block.layer for block in blocks(world)} == {"deny_rule"}


async def test_trailers_end_here_where_fields_are_judged(open_world: OpenWorld, upstreams: Upstreams) -> None:
    head = request(method="POST", fields="Transfer-Encoding: chunked\r\n")
    body = b"3\r\nabc\r\n0\r\nX-Key: 1\r\n\r\n"
    told = b"3\r\nabc\r\n0\r\n\r\n"
    port = await upstreams.serve(script((head + told, OK)))
    async with open_world(rule('headers = { forbidden = ["x-key"] }'), {HOST: port}) as world:
        assert await ask(world, head + body) == OK


# limits


async def test_a_body_without_a_length_is_cut_before_it_is_too_long(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    got = bytearray()

    async def serve(stream: trio.SocketStream) -> None:
        try:
            async for piece in stream:
                got.extend(piece)
        except trio.BrokenResourceError:
            pass

    port = await upstreams.serve(serve)
    head = request(method="POST", fields="Transfer-Encoding: chunked\r\n")
    async with open_world(rule("limits = { body = 4 }"), {HOST: port}) as world:
        told = problem(await ask(world, head + b"4\r\nabcd\r\n1\r\ne\r\n0\r\n\r\n"))
    assert (
        told["detail"]
        == f"egress[0] '{HOST}' (line 4) allows a body of at most 4 bytes: a human can raise `limits.body`"
    )
    assert (world.outcome().layer, world.outcome().facts["reason"]) == ("limit", told["detail"])
    assert b"e\r\n" not in bytes(got)


@pytest.mark.parametrize("budget", [1, 1000, 300_000, 1_500_000])
@pytest.mark.parametrize("way", ["up", "down"])
async def test_no_byte_goes_beyond_a_budget(
    open_world: OpenWorld, upstreams: Upstreams, way: str, budget: int
) -> None:
    arrived = bytearray()
    whole = bytes(2_000_000)

    async def take(stream: trio.abc.ReceiveStream) -> None:
        try:
            async for piece in stream:
                arrived.extend(piece)
        except trio.BrokenResourceError:
            pass

    async def give(stream: trio.abc.SendStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(whole)

    async def serve(stream: trio.SocketStream) -> None:
        await (take if way == "up" else give)(stream)

    port = await upstreams.serve(serve)
    rules = rule(f"limits = {{ bytes_{way} = {budget} }}", f"{HOST}:5000")
    async with open_world(rules, {f"{HOST}:5000": port}, silent_seconds=0.01) as world:
        agent = await world.agent(HOST, 5000)
        await (give if way == "up" else take)(agent)
        await world.wait_idle()
        await agent.aclose()
        again = await world.agent(HOST, 5000)
        await again.send_all(b"\0")
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(again)
        await again.aclose()
    outcome = world.outcome()
    assert outcome.layer == "limit"
    assert outcome.facts[f"bytes_{way}"] == budget
    assert f"`limits.bytes_{way}`" in outcome.facts["reason"]
    assert len(arrived) <= budget
    (block,) = blocks(world)
    assert (block.layer, block.facts["reason"]) == ("limit", outcome.facts["reason"])


async def test_a_budget_is_one_for_all_connections(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        try:
            async for _ in stream:
                pass
        except trio.BrokenResourceError:
            pass

    port = await upstreams.serve(serve)
    rules = rule("limits = { bytes_up = 1_000_000 }", f"{HOST}:5000")

    async def send() -> None:
        agent = await world.agent(HOST, 5000)
        try:
            await agent.send_all(bytes(600_000))
            await agent.send_eof()
            await receive_all(agent)
        except trio.BrokenResourceError:
            pass
        await agent.aclose()

    async with open_world(rules, {f"{HOST}:5000": port}) as world, trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(send)
    outcomes = [receipt for receipt in world.receipts() if receipt.phase == "outcome"]
    assert sum(outcome.facts["bytes_up"] for outcome in outcomes) <= 1_000_000
    assert any(receipt.layer == "limit" for receipt in world.receipts())


async def test_as_many_at_once_as_a_rule_says_and_another_when_one_has_ended(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def echo(stream: trio.SocketStream) -> None:
        async for piece in stream:
            await stream.send_all(piece)

    port = await upstreams.serve(echo)
    rules = rule("limits = { connections = 2 }", f"{HOST}:5000")

    async def open_one() -> trio.SocketStream:
        agent = await world.agent(HOST, 5000)
        await agent.send_all(b"\0")
        return agent

    async with open_world(rules, {f"{HOST}:5000": port}) as world:
        first, second = await open_one(), await open_one()
        assert await receive_exactly(first, 1) == await receive_exactly(second, 1) == b"\0"
        third = await open_one()
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(third)
        await first.send_eof()
        assert await receive_all(first) == b""
        fourth = await open_one()
        assert await receive_exactly(fourth, 1) == b"\0"
        for agent in (first, second, third, fourth):
            await agent.aclose()
    (block,) = blocks(world)
    assert block.layer == "limit"
    assert "(line 4) allows 2 at once, and so many are open" in block.facts["reason"]


async def test_each_request_of_a_kept_connection_counts(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(answer_all)
    async with open_world(rule('limits = { requests = "2/hour" }'), {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        for _ in range(2):
            await agent.send_all(request())
            assert await receive_exactly(agent, len(OK)) == OK
        await agent.send_all(request())
        assert b"allows 2/hour, and these are used up" in await receive_until(agent, b"}\n")
        await agent.aclose()
    assert [receipt.layer for receipt in blocks(world)] == ["limit"]


# protocols


@pytest.mark.parametrize(
    ("protocol", "said", "allowed"),
    [
        ("ssh", b"SSH-2.0-x\r\n", True),
        ("ssh", b"\0not ssh", False),
        ("ssh", request(), False),
        ("http", request(), True),
        ("http", b"SSH-2.0-x\r\n", False),
        ("http", b"\r\nGET / HTTP/1.1\r\n\r\n", False),
        ("tcp", b"\0anything", True),
        ("tcp", b"SSH-2.0-x\r\n", True),
    ],
)
async def test_only_the_protocol_of_the_rule_is_spoken(
    open_world: OpenWorld, upstreams: Upstreams, protocol: str, said: bytes, allowed: bool
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(OK)

    port = await upstreams.serve(serve)
    async with open_world(rule(f'protocol = "{protocol}"', f"{HOST}:2222"), {f"{HOST}:2222": port}) as world:
        agent = await world.agent(HOST, 2222)
        await agent.send_all(said.replace(HOST.encode(), HOST.encode() + b":2222"))
        await agent.send_eof()
        try:
            answer = await receive_all(agent)
        except trio.BrokenResourceError:
            answer = b""
        await agent.aclose()
    assert (OK in answer) == allowed
    assert bool(blocks(world)) != allowed
    assert upstreams.accepted == allowed


async def test_a_connect_is_answered_where_a_rule_allows_some_request(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(answer_all)
    async with open_world(rule('paths = ["/v1/**"]'), {HOST: port}) as world:
        agent = await world.client()
        await agent.send_all(f"CONNECT {HOST}:80 HTTP/1.1\r\nHost: {HOST}:80\r\n\r\n".encode())
        assert b" 200 " in await receive_until(agent, b"\r\n\r\n")
        await agent.send_all(request("/v1/x"))
        assert await receive_exactly(agent, len(OK)) == OK
        await agent.send_all(request("/v2/x"))
        assert problem(await receive_until(agent, b"}\n"))["layer"] == "path"
        await agent.aclose()


async def test_a_name_that_leads_to_a_denied_address_is_not_dialled(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(answer_all)
    rules = rule("") + rule('deny = true\nports = [80]\nreason = "not there"', "127.0.0.0/8")
    async with open_world(rules, {HOST: port}) as world:
        told = problem(await ask(world, request()))
    assert told["layer"] == "deny_rule"
    assert (
        told["detail"]
        == f"{HOST} leads only where it is denied: 127.0.0.1 by egress[1] '127.0.0.0/8' (line 7)"
    )
    outcome = world.outcome()
    assert (outcome.verdict, outcome.layer, outcome.facts["reason"]) == ("block", "deny_rule", told["detail"])
    assert upstreams.accepted == 0
