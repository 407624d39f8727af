"""The explicit proxy: absolute-form requests, and CONNECT with what is said inside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio
from tests.proxy.conftest import receive_all, receive_exactly, receive_until, render_hello, reset, script

from trio_egress.proxy.connect import ESTABLISHED
from trio_egress.wire.tls_hello import ACCESS_DENIED, UNRECOGNIZED_NAME, render_alert

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams, World

HOST = "api.example"
OTHER = "other.example"
RULE = f'[[egress]]\ndestination = "{HOST}"\n'
BOTH = RULE + f'[[egress]]\ndestination = "{OTHER}"\n'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HELLO = render_hello(HOST)


def get(url: str, host: str = HOST) -> bytes:
    return f"GET {url} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def connect(target: str) -> bytes:
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode()


async def ask(world: World, raw: bytes) -> bytes:
    client = await world.client()
    await client.send_all(raw)
    await client.send_eof()
    answer = await receive_all(client)
    await client.aclose()
    return answer


async def ask_inside(world: World, target: str, raw: bytes) -> bytes:
    """CONNECT, then `raw`: what comes back inside."""
    client = await world.client()
    await client.send_all(connect(target))
    assert await receive_exactly(client, len(ESTABLISHED)) == ESTABLISHED
    await client.send_all(raw)
    answer = await receive_all(client)
    await client.aclose()
    return answer


# absolute-form requests


async def test_each_request_is_judged_by_its_own_host(open_world: OpenWorld, upstreams: Upstreams) -> None:
    one = await upstreams.serve(script((get("/a"), OK), (get("/c"), OK)))
    two = await upstreams.serve(script((get("/b", OTHER), OK)))
    async with open_world(BOTH, {HOST: one, OTHER: two}) as world:
        client = await world.client()
        await client.send_all(get(f"http://{HOST}/a"))
        assert await receive_exactly(client, len(OK)) == OK
        await client.send_all(get(f"http://{HOST}/c"))
        assert await receive_exactly(client, len(OK)) == OK
        await client.send_all(get("http://evil.example/", "evil.example"))
        assert b"no rule allows evil.example:80" in await receive_until(client, b"}\n")
        await client.send_all(get(f"http://{OTHER}/b", OTHER))
        assert await receive_exactly(client, len(OK)) == OK
        await client.aclose()
    assert upstreams.accepted == 2
    assert [(r.verdict, r.target) for r in world.receipts() if r.phase != "intent"] == [
        ("allow", "http://api.example:80/a"),
        ("allow", "http://api.example:80/c"),
        ("block", "http://evil.example:80/"),
        ("allow", "http://other.example:80/b"),
    ]


async def test_port_of_the_target_is_judged_and_told(open_world: OpenWorld, upstreams: Upstreams) -> None:
    host = f"{HOST}:8080"
    port = await upstreams.serve(script((get("/", host), OK)))
    async with open_world(f'[[egress]]\ndestination = "{host}"\n', {host: port}) as world:
        assert await ask(world, get(f"http://{host}", host)) == OK
        assert (await ask(world, get("http://api.example/"))).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    ("raw", "status", "layer", "said"),
    [
        (get("/a"), 400, "malformed", "this is an HTTP proxy"),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "malformed", "this is an HTTP proxy"),
        (get(f"https://{HOST}/"), 403, "protocol", "asks for it by CONNECT"),
        (get(f"ftp://{HOST}/"), 400, "malformed", "must be http, not ftp"),
        (get("http:///a"), 400, "malformed", "a request target must be"),
        (get("http://[::1/a"), 400, "malformed", "'[' without ']'"),
        (get("http://a%2e/"), 400, "malformed", "percent-encoding"),
        (get(f"http://{HOST}/", OTHER), 403, "name_mismatch", "Host says other.example"),
        (get(f"http://{HOST}/", f"{HOST}:81"), 403, "name_mismatch", "Host says api.example"),
    ],
)
async def test_request_that_is_for_no_proxy_is_told_why(
    open_world: OpenWorld, upstreams: Upstreams, raw: bytes, status: int, layer: str, said: str
) -> None:
    port = await upstreams.serve(script())
    async with open_world(BOTH, {HOST: port, OTHER: port}) as world:
        answer = await ask(world, raw)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert said in json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]
    assert world.block().layer == layer
    assert upstreams.accepted == 0


async def test_client_that_says_nothing_leaves_a_receipt_all_the_same(open_world: OpenWorld) -> None:
    async with open_world(RULE) as world:
        assert await ask(world, b"") == b""
        reset(await world.client())
        own = f"http://127.0.0.1:{world.proxy_port}"
    receipts = world.receipts()
    assert {(r.verdict, r.target) for r in receipts} == {("block", own)}
    assert sorted(r.facts["connection"] for r in receipts) == [1, 2]


# CONNECT


async def test_connect_is_answered_then_judged_by_the_hello(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        await stream.send_all(b"echo " + await stream.receive_some())
        await stream.aclose()

    port = await upstreams.serve_tls(HOST, serve)
    async with open_world(RULE, {HOST: port}) as world:
        transport = await world.client()
        await transport.send_all(connect(f"{HOST}:443"))
        assert await receive_exactly(transport, len(ESTABLISHED)) == ESTABLISHED
        assert world.receipts() == []
        assert upstreams.accepted == 0
        client = trio.SSLStream(transport, world.client_tls(), server_hostname=HOST, https_compatible=True)
        await client.send_all(b"hello")
        assert await client.receive_some() == b"echo hello"
        await client.aclose()
    assert [r.target for r in world.receipts()] == ["tls://api.example:443"] * 2
    assert world.outcome().facts["sni"] == HOST


async def test_hello_in_the_same_segment_as_connect_goes_on(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((HELLO, b"answer")))
    async with open_world(RULE, {HOST: port}) as world:
        assert await ask(world, connect(f"{HOST}:443") + HELLO) == ESTABLISHED + b"answer"


async def test_connect_to_an_address_is_judged_by_the_server_name(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((HELLO, b"answer")))
    rule = RULE + '[[egress]]\ndestination = "93.184.216.34"\n'
    async with open_world(rule, {HOST: port}) as world:
        assert await ask_inside(world, "93.184.216.34:443", HELLO) == b"answer"
    assert world.outcome().target == "tls://api.example:443"
    assert world.outcome().facts["asked"] == "93.184.216.34:443"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("evil.example:443", "no rule allows evil.example:443"),
        (f"{HOST}:22", "allows ports 80 and 443, not port 22"),
        ("127.0.0.1:443", "no rule allows 127.0.0.1:443"),
    ],
)
async def test_denied_connect_is_a_403_with_its_reason(open_world: OpenWorld, target: str, said: str) -> None:
    async with open_world(RULE) as world:
        answer = await ask(world, connect(target))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert said in json.loads(answer.partition(b"\r\n\r\n")[2])["detail"]
    assert world.block().target == f"tls://{target}"


@pytest.mark.parametrize(
    "raw",
    [
        connect(HOST),
        connect(f"{HOST}:0"),
        connect(f"{HOST}:65536"),
        connect(f"user@{HOST}:443"),
        connect(f"{HOST}:443/"),
        connect(":443"),
        b"CONNECT api.example:443 HTTP/1.1\r\nHost: api.example\r\nContent-Length: 5\r\n\r\nabcde",
    ],
)
async def test_connect_that_names_no_host_and_port_is_a_400(open_world: OpenWorld, raw: bytes) -> None:
    async with open_world(RULE) as world:
        assert (await ask(world, raw)).startswith(b"HTTP/1.1 400 ")
    assert world.block().layer == "malformed"


@pytest.mark.parametrize(
    ("inside", "alert", "layer"),
    [
        (render_hello(OTHER), UNRECOGNIZED_NAME, "name_mismatch"),
        (render_hello(None), UNRECOGNIZED_NAME, "name_mismatch"),
    ],
)
async def test_hello_must_name_the_host_of_connect(
    open_world: OpenWorld, upstreams: Upstreams, inside: bytes, alert: int, layer: str
) -> None:
    port = await upstreams.serve(script())
    async with open_world(BOTH, {HOST: port, OTHER: port}) as world:
        assert await ask_inside(world, f"{HOST}:443", inside) == render_alert(alert)
    assert world.block().layer == layer
    assert upstreams.accepted == 0


async def test_hello_to_an_allowed_address_must_name_an_allowed_host(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script())
    async with open_world('[[egress]]\ndestination = "93.184.216.34"\n', {"93.184.216.34": port}) as world:
        assert await ask_inside(world, "93.184.216.34:443", HELLO) == render_alert(ACCESS_DENIED)
    assert world.block().target == "tls://api.example:443"


async def test_plain_http_inside_connect_is_judged_by_request(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((get("/a"), OK)))
    async with open_world(RULE + 'methods = ["GET"]\n', {HOST: port}) as world:
        raw = get("/a") + b"DELETE /a HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n"
        answer = await ask_inside(world, f"{HOST}:80", raw)
    assert answer.startswith(OK)
    assert b"allows GET, not DELETE" in answer
    assert [r.verdict for r in world.receipts()] == ["allow", "allow", "block"]


async def test_host_inside_connect_must_be_the_one_asked_for(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script())
    async with open_world(BOTH, {HOST: port, OTHER: port}) as world:
        answer = await ask_inside(
            world, f"{HOST}:80", get("/", OTHER).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        )
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert world.block().layer == "name_mismatch"


async def test_connect_inside_connect_is_refused(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(script())
    async with open_world(BOTH, {HOST: port, OTHER: port}) as world:
        client = await world.client()
        await client.send_all(connect(f"{HOST}:80"))
        assert await receive_exactly(client, len(ESTABLISHED)) == ESTABLISHED
        await client.send_all(connect(f"{HOST}:80"))
        assert (await receive_until(client, b"}\n")).startswith(b"HTTP/1.1 403 ")
        await client.aclose()
    assert upstreams.accepted == 0


async def test_tcp_inside_connect_needs_a_rule_with_the_port(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((b"\0abc", b"ok")))
    rule = RULE + f'[[egress]]\ndestination = "{HOST}:5432"\n'
    async with open_world(rule, {f"{HOST}:5432": port}) as world:
        assert await ask_inside(world, f"{HOST}:5432", b"\0abc") == b"ok"
        await world.wait_idle()
        client = await world.client()
        await client.send_all(connect(f"{HOST}:443") + b"\0abc")
        assert await receive_exactly(client, len(ESTABLISHED)) == ESTABLISHED
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some()
        await client.aclose()
    assert [r.verdict for r in world.receipts()] == ["allow", "allow", "block"]


async def test_server_may_speak_first_inside_connect(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(script((b"", b"SSH-2.0-x\r\n")))
    rule = f'[[egress]]\ndestination = "{HOST}:22"\n'
    async with open_world(rule, {f"{HOST}:22": port}, silent_seconds=0.01) as world:
        assert await ask(world, connect(f"{HOST}:22")) == ESTABLISHED + b"SSH-2.0-x\r\n"
