"""Plain HTTP on a redirected connection, as transcripts. The explicit proxy's are in test_connect.py."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest
import trio
import trio.testing
from tests.proxy.conftest import receive_all, receive_exactly, receive_until, reset, script

from trio_egress.evidence.receipt import Draft
from trio_egress.policy.load import load_policy
from trio_egress.recorder import Recorder

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Resolver, Upstreams, World

HOST = "api.example"
RULE = f'[[egress]]\ndestination = "{HOST}"\n'
GET_RULE = f'[[egress]]\ndestination = "{HOST}"\nmethods = ["GET"]\n'

GET = b"GET /a HTTP/1.1\r\nHost: api.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
INTENT = ("allow", "intent", "http://api.example:80/a")
OUTCOME = ("allow", "outcome", "http://api.example:80/a")


async def ask(world: World, raw: bytes, host: str = HOST, port: int = 80) -> bytes:
    """One connection that says `raw` and no more: all that comes back."""
    agent = await world.agent(host, port)
    await agent.send_all(raw)
    await agent.send_eof()
    answer = await receive_all(agent)
    await agent.aclose()
    return answer


# allowed


async def test_allowed_request_is_answered_and_paired(open_world: OpenWorld, upstreams: Upstreams) -> None:
    asked = b"GET /a?token=x HTTP/1.1\r\nHost: api.example\r\nX-Y: z\r\n\r\n"
    port = await upstreams.serve(script((asked, OK)))
    async with open_world(RULE, {HOST: port}) as world:
        assert await ask(world, asked) == OK
    assert [receipt.said for receipt in world.receipts()] == [INTENT, OUTCOME]
    facts = world.outcome().facts
    assert facts["dialled"] == f"127.0.0.1:{port}"
    assert (facts["status"], facts["bytes_up"], facts["bytes_down"]) == (200, len(asked), len(OK))


async def test_intent_is_on_disk_before_the_upstream_is_dialled(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    seen: list[tuple[str, str, str]] = []

    async def serve(stream: trio.SocketStream) -> None:
        seen.extend(receipt.said for receipt in world.receipts())
        await receive_until(stream, b"\r\n\r\n")
        await stream.send_all(OK)

    port = await upstreams.serve(serve)
    async with open_world(RULE, {HOST: port}) as world:
        await ask(world, GET)
    assert seen == [INTENT]


async def test_each_request_of_a_connection_is_an_attempt(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((GET, OK), (GET, OK)))
    async with open_world(GET_RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(GET)
        assert await receive_exactly(agent, len(OK)) == OK
        await agent.send_all(b"DELETE /a HTTP/1.1\r\nHost: api.example\r\n\r\n")
        assert b"allows GET, not DELETE" in await receive_until(agent, b"}\n")
        await agent.send_all(GET)
        assert await receive_exactly(agent, len(OK)) == OK
        await agent.aclose()
    assert upstreams.accepted == 1
    block = ("block", "", "http://api.example:80/a")
    assert [receipt.said for receipt in world.receipts()] == [INTENT, OUTCOME, block, INTENT, OUTCOME]


async def test_method_that_a_field_asks_for_is_judged_too(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    """By its value, also where the same request with another one was let by before."""
    asked = [
        b"POST /a HTTP/1.1\r\nHost: api.example\r\nX-HTTP-Method-Override: %b\r\nContent-Length: 0\r\n\r\n"
        % word
        for word in (b"GET", b"delete")
    ]
    rules = f'{RULE}[[egress]]\ndestination = "{HOST}"\ndeny = true\nmethods = ["DELETE"]\n'
    port = await upstreams.serve(script((asked[0], OK)))
    async with open_world(rules, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(asked[0])
        assert await receive_exactly(agent, len(OK)) == OK
        await agent.send_all(asked[1])
        assert (await receive_until(agent, b"}\n")).startswith(b"HTTP/1.1 403 ")
        await agent.aclose()
    (block,) = [receipt for receipt in world.receipts() if receipt.verdict == "block"]
    assert (block.layer, block.facts["method_overrides"]) == ("deny_rule", ["DELETE"])
    assert "because a field asks for another method" in block.facts["reason"]


async def test_pipelined_requests_are_judged_one_by_one(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(script((GET, OK), (GET, OK)))
    async with open_world(RULE, {HOST: port}) as world:
        assert await ask(world, GET + GET) == OK + OK
    assert [receipt.said for receipt in world.receipts()] == [INTENT, OUTCOME] * 2


async def test_request_in_single_bytes_is_one_request(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(script((GET, OK)))
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        for byte in GET:
            await agent.send_all(bytes([byte]))
        assert await receive_exactly(agent, len(OK)) == OK
        await agent.aclose()
    assert [receipt.said for receipt in world.receipts()] == [INTENT, OUTCOME]


async def test_address_is_judged_by_host_and_the_name_is_dialled(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((GET, OK)))
    async with open_world(RULE, {HOST: port}) as world:
        assert await ask(world, GET, "93.184.216.34") == OK
    assert world.outcome().target == "http://api.example:80/a"
    assert world.outcome().facts["asked"] == "93.184.216.34:80"


async def test_target_in_absolute_form_goes_on_as_a_path(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(script((GET, OK)))
    async with open_world(RULE, {HOST: port}) as world:
        assert await ask(world, b"GET http://api.example/a HTTP/1.1\r\nHost: api.example\r\n\r\n") == OK


async def test_options_for_the_server_goes_on(open_world: OpenWorld, upstreams: Upstreams) -> None:
    asked = b"OPTIONS * HTTP/1.1\r\nHost: api.example\r\n\r\n"
    port = await upstreams.serve(script((asked, OK)))
    async with open_world(RULE, {HOST: port}) as world:
        assert await ask(world, asked) == OK


async def test_http_1_0_without_host_is_judged_by_what_was_asked_for(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((GET, OK)))
    async with open_world(RULE, {HOST: port}) as world:
        answer = await ask(world, b"GET /a HTTP/1.0\r\n\r\n")
    assert answer == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


# what goes on


async def test_hop_by_hop_fields_end_at_the_proxy(open_world: OpenWorld, upstreams: Upstreams) -> None:
    asked = (
        b"GET /a HTTP/1.1\r\nHost: api.example\r\nConnection: X-Mine, host\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n"
        b"TE: trailers\r\nProxy-Authorization: Basic eA==\r\nProxy-Connection: close\r\nCookie: c\r\n\r\n"
    )
    told = b"GET /a HTTP/1.1\r\nHost: api.example\r\nCookie: c\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nConnection: X-Theirs\r\nX-Theirs: 1\r\nContent-Length: 0\r\nKeep-Alive: 5\r\n\r\n"
    port = await upstreams.serve(script((told, answer)))
    async with open_world(RULE, {HOST: port}) as world:
        assert await ask(world, asked) == b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


async def test_offer_of_h2c_is_dropped(open_world: OpenWorld, upstreams: Upstreams) -> None:
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    port = await upstreams.serve(script((GET, OK)))
    async with open_world(RULE, {HOST: port}) as world:
        assert await ask(world, GET[:-2] + offer) == OK


async def test_upgrade_to_websocket_is_refused_with_a_reason(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script())
    async with open_world(RULE, {HOST: port}) as world:
        answer = await ask(world, GET[:-2] + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"upgrade to websocket" in answer
    assert world.block().layer == "protocol"
    assert upstreams.accepted == 0


async def test_continue_is_asked_for_and_passed_on(open_world: OpenWorld, upstreams: Upstreams) -> None:
    head = b"POST /a HTTP/1.1\r\nHost: api.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
    go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
    asked = head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    port = await upstreams.serve(script((asked, go_on), (b"body", OK)))
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(head)
        assert await receive_exactly(agent, len(go_on)) == go_on
        await agent.send_all(b"body")
        assert await receive_exactly(agent, len(OK)) == OK
        await agent.aclose()


async def test_interim_answers_go_on_but_not_to_http_1_0(open_world: OpenWorld, upstreams: Upstreams) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    port = await upstreams.serve(script((GET, hints + OK)))
    async with open_world(RULE, {HOST: port}) as world:
        assert await ask(world, GET) == hints + OK
        assert (await ask(world, GET.replace(b"1.1", b"1.0"))).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 999\r\n\r\n"),
    ],
)
async def test_answers_without_a_body_end_with_their_head(
    open_world: OpenWorld, upstreams: Upstreams, method: bytes, answer: bytes
) -> None:
    asked = GET.replace(b"GET", method)
    port = await upstreams.serve(script((asked, answer), (GET, OK)))
    async with open_world(RULE, {HOST: port}) as world:
        assert await ask(world, asked + GET) == answer + OK
    assert upstreams.accepted == 1


async def test_chunks_and_trailers_are_written_anew_in_both_directions(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    head = b"POST /a HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    trailers = b"X-Sum: 1\r\nContent-Length: 9\r\nConnection: x\r\nX-HTTP-Method: DELETE\r\n"
    body = b"3;ext=1\r\nabc\r\n0\r\n%b\r\n" % trailers
    told = b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    port = await upstreams.serve(script((head + told, answer + body)))
    async with open_world(RULE, {HOST: port}) as world:
        assert await ask(world, head + body) == answer + told


async def test_body_that_ends_with_the_connection_becomes_chunks(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((GET, b"HTTP/1.0 200 OK\r\n\r\nabc")))
    async with open_world(RULE, {HOST: port}) as world:
        answer = await ask(world, GET + GET)
    assert answer == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" * 2
    assert upstreams.accepted == 2


async def test_body_that_ends_with_the_connection_does_so_for_http_1_0(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(
        script((GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"))
    )
    async with open_world(RULE, {HOST: port}) as world:
        answer = await ask(world, GET.replace(b"1.1", b"1.0"))
    assert answer == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"


@pytest.mark.parametrize("chunked", [False, True])
async def test_large_bodies_arrive_whole_and_are_counted(
    open_world: OpenWorld, upstreams: Upstreams, chunked: bool
) -> None:
    body = bytes(range(256)) * 16384
    framed = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    framing = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: %d\r\n\r\n" % len(body)
    arrived: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        received = (await receive_until(stream, b"\r\n\r\n")).partition(b"\r\n\r\n")[2]
        while len(received) < len(body) or (chunked and not received.endswith(b"0\r\n\r\n")):
            received += await stream.receive_some()
        arrived.append(received)
        await stream.send_all(b"HTTP/1.1 200 OK\r\n" + framing + framed)

    port = await upstreams.serve(serve)
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(b"PUT /a HTTP/1.1\r\nHost: api.example\r\n" + framing + framed)
        await agent.send_eof()
        answer = await receive_all(agent)
        await agent.aclose()
    assert chunked or arrived == [body]
    facts = world.outcome().facts
    assert facts["bytes_down"] == len(answer)
    assert facts["bytes_up"] >= len(body)
    assert len(answer) >= len(body)


async def test_answer_before_the_upload_ends_is_seen(open_world: OpenWorld, upstreams: Upstreams) -> None:
    head = b"POST /a HTTP/1.1\r\nHost: api.example\r\nContent-Length: 99999999\r\n\r\n"
    answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno"
    port = await upstreams.serve(script((head, answer)))
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(head)
        told = answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        assert await receive_all(agent) == told
        await agent.aclose()
    assert world.outcome().facts["status"] == 413


async def test_answer_after_an_upstream_that_stops_reading_is_seen(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    head = b"POST /a HTTP/1.1\r\nHost: api.example\r\nContent-Length: 99999999\r\n\r\n"

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        reset(stream)

    port = await upstreams.serve(serve)
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(head + bytes(65536))
        assert (await receive_all(agent)).startswith(b"HTTP/1.1 413 ")
        await agent.aclose()


# denied


async def test_denied_request_is_told_who_can_change_it(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(script())
    async with open_world(GET_RULE, {HOST: port}) as world:
        raw = await ask(world, b"POST /a HTTP/1.1\r\nHost: api.example\r\nContent-Length: 5\r\n\r\nhello")
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"HTTP/1.1 403 Denied By Egress Policy"
    assert b"X-Trio-Egress: denied" in head
    assert b"Content-Type: application/problem+json" in head
    problem = json.loads(body)
    assert problem["detail"] == world.block().facts["reason"]
    assert problem["rule"] == "egress[0] api.example"
    assert problem["policy"] == {"file": "agent.toml", "line": 4}
    assert problem["retry"] is False
    assert problem["remedy"] == "a person can add POST to `methods` in agent.toml (line 4)"
    assert world.block().layer == "method"
    assert upstreams.accepted == 0


async def test_host_without_a_rule_is_refused_with_403(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        raw = await ask(world, b"GET /a HTTP/1.1\r\nHost: evil.example\r\n\r\n", "evil.example")
    assert raw.startswith(b"HTTP/1.1 403 ")
    assert "no rule allows evil.example:80" in json.loads(raw.partition(b"\r\n\r\n")[2])["detail"]
    assert world.block().said == ("block", "", "http://evil.example:80/a")


async def test_denied_head_has_no_body(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        raw = await ask(world, b"HEAD / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "evil.example")
    assert raw.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "host",
    ["other.example", "api.example.evil.example", "evil.example:80", "93.184.216.34", "api.example:81"],
)
async def test_host_that_was_not_asked_for_is_refused_before_dialling(
    open_world: OpenWorld, upstreams: Upstreams, host: str
) -> None:
    rules = RULE + "".join(f'[[egress]]\ndestination = "{name}"\n' for name in ("other.example", "*.example"))
    port = await upstreams.serve(script())
    async with open_world(rules, {HOST: port}) as world:
        raw = await ask(world, f"GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert raw.startswith(b"HTTP/1.1 403 ")
    assert world.block().layer == "name_mismatch"
    assert upstreams.accepted == 0


async def test_connect_is_not_taken_on_a_redirected_connection(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script())
    async with open_world(RULE, {HOST: port}) as world:
        raw = await ask(world, b"CONNECT api.example:80 HTTP/1.1\r\nHost: api.example:80\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 403 ")
    assert world.block().facts["host"] == HOST
    assert upstreams.accepted == 0


SMUGGLED = {
    "two framings": b"POST / HTTP/1.1\r\nHost: api.example\r\nContent-Length: 4\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: api.example\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "a strange coding": b"POST / HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: api.example\r\nHost: evil.example\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost: api.example\r\nContent-Length : 5\r\n\r\nabcde",
    "a signed length": b"POST / HTTP/1.1\r\nHost: api.example\r\nContent-Length: +5\r\n\r\nabcde",
    "user information": b"GET http://api.example@evil.example/ HTTP/1.1\r\nHost: api.example\r\n\r\n",
    "a fragment": b"GET http://api.example#@evil.example/ HTTP/1.1\r\nHost: api.example\r\n\r\n",
    "a bare target": b"GET /a b HTTP/1.1\r\nHost: api.example\r\n\r\n",
    "an old version with chunks": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("raw", SMUGGLED.values(), ids=SMUGGLED)
async def test_ambiguous_requests_never_reach_an_upstream(
    open_world: OpenWorld, upstreams: Upstreams, raw: bytes
) -> None:
    port = await upstreams.serve(script())
    async with open_world(RULE, {HOST: port}) as world:
        answer = await ask(world, raw)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
    assert answer.count(b"HTTP/1.1 4") + answer.count(b"HTTP/1.1 5") == 1
    assert world.block().layer == "malformed"
    assert upstreams.accepted == 0


async def test_http_2_preface_is_told_the_version(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        answer = await ask(world, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 505 ")


LIMITED = RULE + "limits = { connections = 100 }\n"


@pytest.mark.parametrize("host", [HOST, "other.example"])
@pytest.mark.parametrize("more", [b"", b"Expect: 100-continue\r\n"], ids=["usual", "unusual"])
async def test_length_that_no_receipt_can_tell_is_refused(
    open_world: OpenWorld, upstreams: Upstreams, host: str, more: bytes
) -> None:
    port = await upstreams.serve(script())
    asked = b"POST /a HTTP/1.1\r\nHost: %b\r\n%bContent-Length: %d\r\n\r\n" % (host.encode(), more, 2**53)
    async with open_world(LIMITED, {HOST: port}) as world:
        assert (await ask(world, asked)).startswith(b"HTTP/1.1 413 ")
    assert "that long" in world.block().facts["reason"]
    assert upstreams.accepted == 0


async def test_greatest_length_is_judged_and_told(open_world: OpenWorld, upstreams: Upstreams) -> None:
    asked = b"POST /a HTTP/1.1\r\nHost: other.example\r\nContent-Length: %d\r\n\r\n" % (2**53 - 1)
    async with open_world(LIMITED) as world:
        assert (await ask(world, asked)).startswith(b"HTTP/1.1 403 ")
    assert world.block().facts["body_bytes"] == 2**53 - 1


@pytest.mark.parametrize("head", [b"X: " + b"x" * 70000, b"X: y\r\n" * 200 + b"X: y"], ids=["long", "many"])
async def test_heads_are_bounded(open_world: OpenWorld, head: bytes) -> None:
    async with open_world(RULE) as world:
        answer = await ask(world, b"GET / HTTP/1.1\r\nHost: api.example\r\n" + head + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert world.block().layer == "limit"


async def test_head_that_never_ends_is_cut_off(open_world: OpenWorld) -> None:
    async with open_world(RULE, head_seconds=0.05) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(b"GET / HTTP/1.1\r\nX: ")
        assert (await receive_all(agent)).startswith(b"HTTP/1.1 408 ")
        await agent.aclose()
    assert world.block().layer == "limit"


async def test_silence_between_requests_ends_the_connection(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((GET, OK)))
    async with open_world(RULE, {HOST: port}, keepalive_seconds=0.05) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(GET)
        assert await receive_all(agent) == OK
        await agent.aclose()
    assert [receipt.said for receipt in world.receipts()] == [INTENT, OUTCOME]


# an upstream that fails


async def test_name_with_only_inside_addresses_is_refused_with_403(
    open_world: OpenWorld, resolver: Resolver
) -> None:
    resolver.answers[HOST.encode()] = ["10.0.0.1", "127.0.0.1"]
    async with open_world(RULE) as world:
        answer = await ask(world, GET)
    assert answer.startswith(b"HTTP/1.1 403 ")
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert problem["detail"] == world.outcome().facts["reason"]
    assert "10.0.0.1 is private" in problem["detail"]
    assert "allow_private = true" in problem["remedy"]
    assert (world.outcome().verdict, world.outcome().layer) == ("block", "address")
    assert "dialled" not in world.outcome().facts


async def test_denied_name_is_never_resolved(open_world: OpenWorld, resolver: Resolver) -> None:
    async with open_world(RULE) as world:
        await ask(world, GET.replace(b"api.", b"evil."), "evil.example")
    assert resolver.asked == []


async def test_refused_dial_is_an_upstreams_failure(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async with open_world(RULE, {HOST: await upstreams.refused_port()}) as world:
        answer = await ask(world, GET)
    assert answer.startswith(b"HTTP/1.1 502 ")
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert problem["origin"] == "upstream"
    assert "connection refused" in problem["detail"]
    assert world.outcome().verdict == "allow"
    assert world.outcome().facts["reason"] == problem["detail"]


async def test_upstream_that_says_nothing_is_too_late(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(stream)

    async with open_world(RULE, {HOST: await upstreams.serve(serve)}, idle_seconds=0.05) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(GET)
        assert (await receive_all(agent)).startswith(b"HTTP/1.1 504 ")
        await agent.aclose()
    assert world.outcome().facts["reason"] == "nothing moved for 0.05 s"


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nX: "], ids=["after the request", "inside the head"]
)
@pytest.mark.parametrize("end", ["reset", "close"])
async def test_upstream_that_ends_before_its_answer_is_a_502(
    open_world: OpenWorld, upstreams: Upstreams, said: bytes, end: str
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await receive_exactly(stream, len(GET))
        await stream.send_all(said)
        if end == "reset":
            reset(stream)

    async with open_world(RULE, {HOST: await upstreams.serve(serve)}) as world:
        assert (await ask(world, GET)).startswith(b"HTTP/1.1 502 ")
    assert world.outcome().facts["reason"].startswith("the upstream")


async def test_upstream_that_resets_when_it_accepts_is_a_502(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        reset(stream)

    async with open_world(RULE, {HOST: await upstreams.serve(serve)}) as world:
        assert (await ask(world, GET)).startswith(b"HTTP/1.1 502 ")
    assert world.outcome().facts["reason"] == "the upstream reset the connection"


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked", b"X: until-close"]
)
async def test_upstream_that_resets_inside_a_body_resets_the_agent(
    open_world: OpenWorld, upstreams: Upstreams, framing: bytes
) -> None:
    said = b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + b"5\r\nhello\r\n"

    async def serve(stream: trio.SocketStream) -> None:
        await receive_exactly(stream, len(GET))
        await stream.send_all(said)
        await go_on.wait()
        reset(stream)

    go_on = trio.Event()
    async with open_world(RULE, {HOST: await upstreams.serve(serve)}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(GET)
        await receive_until(agent, b"hello")
        go_on.set()
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(agent)
        await agent.aclose()
    assert world.outcome().facts["reason"] == "the upstream reset the connection"


async def test_upstream_that_closes_inside_a_body_resets_the_agent(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"
    async with open_world(RULE, {HOST: await upstreams.serve(script((GET, said)))}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(GET)
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(agent)
        await agent.aclose()
    assert world.outcome().facts["reason"] == "the upstream ended inside a body"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9007199254740992\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
async def test_answer_that_is_none_is_a_502(
    open_world: OpenWorld, upstreams: Upstreams, answer: bytes
) -> None:
    port = await upstreams.serve(script((GET, answer)))
    async with open_world(RULE, {HOST: port}) as world:
        assert (await ask(world, GET)).startswith(b"HTTP/1.1 502 ")
    assert world.outcome().facts["reason"].startswith("the upstream's answer: ")


async def test_reused_upstream_that_ends_instead_of_answering_ends_the_agents_connection(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((GET, OK), (GET, b"")))
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(GET)
        assert await receive_exactly(agent, len(OK)) == OK
        await agent.send_all(GET)
        with pytest.raises(trio.BrokenResourceError):
            await agent.receive_some()
        await agent.aclose()


async def test_upstream_that_closed_between_requests_is_dialled_anew(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((GET, OK)))
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        for _ in range(2):
            await agent.send_all(GET)
            assert await receive_exactly(agent, len(OK)) == OK
            await trio.testing.wait_all_tasks_blocked()
        await agent.aclose()
    assert upstreams.accepted == 2


BODY = b"\r\nContent-Length: 1\r\n\r\nx"


@pytest.mark.parametrize(
    "asked",
    [
        GET.replace(b"\r\n\r\n", BODY),
        GET.replace(b"GET", b"POST").replace(b"\r\n\r\n", b"\r\nExpect: 100-continue" + BODY),
    ],
    ids=["a body that nobody expects", "a body that is asked for first"],
)
async def test_upstream_that_was_told_of_no_other_request_is_not_used_again_though_it_stays(
    open_world: OpenWorld, upstreams: Upstreams, asked: bytes
) -> None:
    """Whoever leaves the body unread, and goes on, would take it for the next request."""
    answered = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal answered
        async for _ in stream:
            answered += 1
            await stream.send_all(OK)

    async with open_world(RULE, {HOST: await upstreams.serve(serve)}) as world:
        agent = await world.agent(HOST, 80)
        for raw in (asked, GET, GET):
            await agent.send_all(raw)
            assert await receive_exactly(agent, len(OK)) == OK
        await agent.aclose()
    assert (answered, upstreams.accepted) == (3, 2)


class _Asked(BaseHTTPRequestHandler):
    """Answers before it has a body that it is asked about first, as the library proposes, and leaves that unread."""

    protocol_version = "HTTP/1.1"
    ran: ClassVar[list[str]] = []

    def handle_expect_100(self) -> bool:
        self.send_response(417)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False

    def do_GET(self) -> None:
        self.ran.append(self.requestline)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        """Says nothing."""


ONLY_OK = RULE + 'paths = ["/ok"]\n'
HIDDEN = b"DELETE /admin HTTP/1.1\r\nHost: api.example\r\n\r\n"
ASKED_FIRST = (
    b"POST /ok HTTP/1.1\r\nHost: api.example\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n%b"
)


async def test_a_request_in_a_body_that_is_asked_for_first_is_not_run(open_world: OpenWorld) -> None:
    """With the control: by itself, and to the server without the proxy, it is."""
    _Asked.ran.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Asked) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            whole = ASKED_FIRST % (len(HIDDEN), HIDDEN) + GET.replace(b"/a", b"/ok")
            async with await trio.open_tcp_stream("127.0.0.1", server.server_port) as direct:
                await direct.send_all(whole)
                while "GET /ok HTTP/1.1" not in _Asked.ran:
                    await direct.receive_some()
            assert _Asked.ran == ["DELETE /admin HTTP/1.1", "GET /ok HTTP/1.1"]
            _Asked.ran.clear()
            async with open_world(ONLY_OK, {HOST: server.server_port}) as world:
                agent = await world.agent(HOST, 80)
                await agent.send_all(whole)
                assert b"417" in await agent.receive_some()
                assert b"200" in await agent.receive_some()
                await agent.aclose()
            assert _Asked.ran == ["GET /ok HTTP/1.1"]
        finally:
            server.shutdown()
            thread.join()


async def test_upstream_with_bytes_left_over_is_not_used_again(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((GET, OK + OK)))
    async with open_world(RULE, {HOST: port}) as world:
        assert await ask(world, GET + GET) == OK + OK
    assert upstreams.accepted == 2


# an agent that fails


async def test_agent_that_resets_inside_a_head_leaves_a_receipt(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(b"GET / HTTP/1.1\r\n")
        await trio.testing.wait_all_tasks_blocked()
        reset(agent)
    assert world.block().facts["reason"] == "the agent reset the connection"


async def test_agent_that_closes_inside_a_head_leaves_a_receipt(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        answer = await ask(world, b"GET / HTTP/1.1\r\nX")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert world.block().layer == "malformed"


async def test_agent_that_resets_between_requests_leaves_no_more_receipts(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((GET, OK)))
    async with open_world(RULE, {HOST: port}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(GET)
        assert await receive_exactly(agent, len(OK)) == OK
        reset(agent)
    assert [receipt.said for receipt in world.receipts()] == [INTENT, OUTCOME]
    assert "reset" not in world.outcome().facts["reason"]


@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
async def test_agent_that_resets_inside_a_body_resets_the_upstream(
    open_world: OpenWorld, upstreams: Upstreams, framing: bytes
) -> None:
    ends: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        await receive_until(stream, b"hello")
        arrived.set()
        try:
            ends.append(await stream.receive_some())
        except trio.BrokenResourceError:
            ends.append(b"reset")

    arrived = trio.Event()
    async with open_world(RULE, {HOST: await upstreams.serve(serve)}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(
            b"PUT /a HTTP/1.1\r\nHost: api.example\r\n" + framing + b"\r\n\r\n5\r\nhello\r\n"
        )
        await arrived.wait()
        reset(agent)
        await world.wait_idle()
        await trio.testing.wait_all_tasks_blocked()
    assert ends == [b"reset"]
    assert world.outcome().facts["reason"] == "the agent reset the connection"


async def test_agent_that_closes_inside_a_body_resets_the_upstream(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(stream)

    async with open_world(RULE, {HOST: await upstreams.serve(serve)}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(b"PUT /a HTTP/1.1\r\nHost: api.example\r\nContent-Length: 100\r\n\r\nhello")
        await agent.send_eof()
        with pytest.raises(trio.BrokenResourceError):
            await agent.receive_some()
        await agent.aclose()
    assert world.outcome().facts["reason"] == "the agent ended inside a body"


async def test_agent_that_breaks_its_chunks_resets_the_upstream(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(stream)

    async with open_world(RULE, {HOST: await upstreams.serve(serve)}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(
            b"PUT /a HTTP/1.1\r\nHost: api.example\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"
        )
        with pytest.raises(trio.BrokenResourceError):
            await agent.receive_some()
        await agent.aclose()
    assert "not HTTP/1.1" in world.outcome().facts["reason"]


async def test_agent_that_resets_while_it_waits_is_noticed(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await receive_exactly(stream, len(GET))
        reset(agent)
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()

    async with open_world(RULE, {HOST: await upstreams.serve(serve)}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(GET)
    assert world.outcome().facts["reason"] == "the agent reset the connection"


async def test_agent_that_resets_inside_an_answer_resets_the_upstream(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await receive_exactly(stream, len(GET))
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(bytes(99999999))

    async with open_world(RULE, {HOST: await upstreams.serve(serve)}) as world:
        agent = await world.agent(HOST, 80)
        await agent.send_all(GET)
        await agent.receive_some()
        reset(agent)
    assert world.outcome().facts["reason"] == "the agent reset the connection"
    assert world.outcome().facts["bytes_down"] < 99999999


async def test_agent_that_half_closes_still_gets_its_answer(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await receive_exactly(stream, len(GET))
        await trio.testing.wait_all_tasks_blocked()
        await stream.send_all(OK)

    async with open_world(RULE, {HOST: await upstreams.serve(serve)}) as world:
        assert await ask(world, GET) == OK


@pytest.mark.parametrize("secure", [False, True])
async def test_nothing_goes_on_that_was_forbidden_while_its_intent_was_written(
    open_world: OpenWorld, upstreams: Upstreams, secure: bool
) -> None:
    """On a connection that is there already nothing else is waited for before it goes. The control is the first."""
    heard = bytearray()

    async def serve(stream: trio.abc.Stream) -> None:
        while raw := await stream.receive_some():
            heard.extend(raw)
            if heard.endswith(b"\r\n\r\n"):
                await stream.send_all(OK)

    context = '[[egress]]\ndestination = "api.example"\ntls = "intercept"\n'
    port = await (upstreams.serve_tls(HOST, serve) if secure else upstreams.serve(serve))
    async with open_world(context if secure else RULE, {HOST: port}) as world:
        plain = await world.agent(HOST, 443 if secure else 80)
        agent: trio.abc.Stream = plain
        if secure:
            agent = trio.SSLStream(plain, world.client_tls(), server_hostname=HOST, https_compatible=True)
        await agent.send_all(GET)
        assert await receive_exactly(agent, len(OK)) == OK
        recorder = world.gate.recorder
        assert isinstance(recorder, Recorder)

        def watch(draft: Draft) -> None:
            if draft.phase == "intent" and draft.target.endswith("/a"):
                none = load_policy('version = "1.0"\ndefault_deny = true\n', "agent.toml")
                world.gate.in_force.change(none, world.gate.ledger)

        recorder._watch = watch
        sent = bytes(heard)
        await agent.send_all(GET)
        with suppress(trio.BrokenResourceError):
            assert await agent.receive_some() == b""
        await plain.aclose()
    assert bytes(heard) == sent
    assert world.receipts()[-1].verdict == "block"
    assert world.receipts()[-1].facts["bytes_up"] == 0
