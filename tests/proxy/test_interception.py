"""TLS that ends at the boundary: requests inside are judged one by one, and the upstream is who it says or unheard."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
import ssl
import warnings
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest
import trio
import trustme
from tests.proxy.conftest import few_descriptors, receive_all, receive_exactly, receive_until, reset

from trio_egress.policy.load import load_policy

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Upstreams, World

HOST = "api.example"
RULE = f'[[egress]]\ndestination = "{HOST}"\nmethods = ["GET", "POST"]\npaths = ["/v1/**"]\n'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Secure = trio.SSLStream[trio.SocketStream]


def request(path: str = "/v1/a", method: str = "GET", host: str = HOST, fields: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode()


def serve(*exchanges: tuple[bytes, bytes]) -> Callable[[Secure], Awaitable[None]]:
    """As `script`, inside TLS."""

    async def handle(stream: Secure) -> None:
        for expected, answer in exchanges:
            assert await receive_exactly(stream, len(expected)) == expected
            await stream.send_all(answer)

    return handle


async def open_tls(world: World, host: str = HOST, name: str = HOST) -> Secure:
    """A client of the run, its handshake done."""
    transport = await world.agent(host, 443)
    stream = trio.SSLStream(transport, world.client_tls(), server_hostname=name, https_compatible=True)
    await stream.do_handshake()
    return stream


async def ask(world: World, *raw: bytes) -> bytes:
    """One connection and its requests: everything that comes back, until its end."""
    stream = await open_tls(world)
    for one in raw:
        await stream.send_all(one)
    answer = await receive_all(stream)
    await stream.aclose()
    return answer


def problem(answer: bytes) -> tuple[int, str]:
    """Status and layer of a denial."""
    head, _, body = answer.partition(b"\r\n\r\n")
    told = json.loads(body)
    return int(head.split()[1]), str(told.get("layer", told.get("origin")))


# what is allowed


async def test_an_allowed_request_goes_on_as_it_was(open_world: OpenWorld, upstreams: Upstreams) -> None:
    told = request(fields="X-Key: 1\r\n")
    port = await upstreams.serve_tls(HOST, serve((told, OK)))
    async with open_world(RULE, {HOST: port}) as world:
        assert await ask(world, request(fields="X-Key: 1\r\nConnection: close\r\n")) == OK.replace(
            b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"
        )
    said = [r.said for r in world.receipts()]
    assert sorted(said) == [
        ("allow", "intent", "https://api.example:443/v1/a"),
        ("allow", "intent", "tls://api.example:443"),
        ("allow", "outcome", "https://api.example:443/v1/a"),
        ("allow", "outcome", "tls://api.example:443"),
    ]
    (inside,) = [r for r in world.receipts() if r.said == said[2]]
    assert (inside.facts["status"], inside.facts["dialled"]) == (200, f"127.0.0.1:{port}")
    assert (inside.facts["bytes_up"], inside.facts["bytes_down"]) == (
        len(told),
        len(OK) + len("Connection: close\r\n"),
    )
    (tunnel,) = [
        r for r in world.receipts() if r.phase == "outcome" and r is not inside and r.said != inside.said
    ]
    assert (tunnel.facts["tls"], tunnel.facts["tls_version"], tunnel.facts["needs"]) == (
        "intercepted",
        "TLSv1.3",
        ["tls"],
    )
    assert (tunnel.facts["bytes_up"], tunnel.facts["bytes_down"]) == (0, 0)
    assert {r.facts["connection"] for r in world.receipts()} == {1}


async def test_many_requests_share_both_connections(open_world: OpenWorld, upstreams: Upstreams) -> None:
    asked = [request(f"/v1/{number}") for number in range(20)]
    port = await upstreams.serve_tls(HOST, serve(*[(one, OK) for one in asked]))
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        for one in asked:
            await stream.send_all(one)
            assert await receive_exactly(stream, len(OK)) == OK
        await stream.aclose()
    assert upstreams.accepted == 1


async def test_bulk_goes_through_whole_both_ways(open_world: OpenWorld, upstreams: Upstreams) -> None:
    body = bytes(range(256)) * 8192
    head = request(method="POST", fields=f"Content-Length: {len(body)}\r\n")

    async def handle(stream: Secure) -> None:
        got = (await receive_until(stream, b"\r\n\r\n")).partition(b"\r\n\r\n")[2]
        while len(got) < len(body):
            got += await stream.receive_some()
        assert got == body
        await stream.send_all(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + got)

    port = await upstreams.serve_tls(HOST, handle)
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, head + body)
            answer = await receive_until(stream, b"\r\n\r\n")
            answer = answer.partition(b"\r\n\r\n")[2]
            while len(answer) < len(body):
                answer += await stream.receive_some()
        assert answer == body
        await stream.aclose()
    (inside,) = [r for r in world.receipts() if r.phase == "outcome" and r.facts["proto"] == "http"]
    assert inside.facts["bytes_up"] == len(head) + len(body)


async def test_it_works_behind_connect_too(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve_tls(HOST, serve((request(), OK)))
    async with open_world(RULE, {HOST: port}) as world:
        transport = await world.client()
        await transport.send_all(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        await receive_until(transport, b"\r\n\r\n")
        stream = trio.SSLStream(transport, world.client_tls(), server_hostname=HOST, https_compatible=True)
        await stream.send_all(request())
        assert await receive_exactly(stream, len(OK)) == OK
        await stream.aclose()


async def visit(
    world: World, context: ssl.SSLContext, host: str, session: ssl.SSLSession | None
) -> ssl.SSLObject:
    """A client that may have been here before, up to an answer: what comes with it of a session, it has."""
    transport = await world.agent(host, 443)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=host, session=session)

    async def repeat(step: Callable[[], object]) -> None:
        while True:
            try:
                step()
            except ssl.SSLWantReadError:
                await transport.send_all(outgoing.read())
                incoming.write(await transport.receive_some())
            else:
                return

    await repeat(client.do_handshake)
    client.write(request("/denied", host=host))
    await repeat(client.read)
    await transport.aclose()
    return client


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_no_session_is_taken_up_again_at_this_host_or_another(
    open_world: OpenWorld, version: ssl.TLSVersion
) -> None:
    async with open_world(RULE + RULE.replace(HOST, "other.example")) as world:
        context = world.client_tls()
        context.minimum_version = context.maximum_version = version
        first = await visit(world, context, HOST, None)
        for host in (HOST, "other.example"):
            again = await visit(world, context, host, first.session)
            assert again.session_reused is False


# what is denied


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (request(method="DELETE"), (403, "method")),
        (request("/v2/a"), (403, "path")),
        (request("/v1/../v2"), (403, "path")),
        (request(method="CONNECT", path=f"{HOST}:443", host=f"{HOST}:443"), (403, "method")),
        (request(host="other.example"), (421, "name_mismatch")),
        (request(host=f"{HOST}:8443"), (421, "name_mismatch")),
        (request("http://api.example/v1/a"), (421, "name_mismatch")),
        (request("https://other.example/v1/a", host="other.example"), (421, "name_mismatch")),
        (request(fields="Upgrade: websocket\r\nConnection: upgrade\r\n"), (403, "protocol")),
        (b"GET /v1/a HTTP/1.1\r\nHost: api.example\r\nHost: other.example\r\n\r\n", (400, "malformed")),
        (
            request(method="POST", fields="Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
            (400, "malformed"),
        ),
        (b"\x16\x03\x01 TLS inside TLS\r\n\r\n", (400, "malformed")),
    ],
)
async def test_what_no_rule_allows_inside_is_told_and_never_dialled(
    open_world: OpenWorld, upstreams: Upstreams, raw: bytes, told: tuple[int, str]
) -> None:
    port = await upstreams.serve_tls(HOST, serve())
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(raw)
        head = await receive_until(stream, b"\r\n\r\n")
        while b"remedy" not in head:
            head += await stream.receive_some()
        assert problem(head) == told
        await stream.aclose()
    (block,) = [r for r in world.receipts() if r.verdict == "block"]
    assert block.layer == told[1]
    assert upstreams.accepted == 0


async def test_a_denied_request_ends_nothing(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve_tls(HOST, serve((request(), OK)))
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(request("/v2"))
        assert b" 403 " in await receive_until(stream, b"}\n")
        await stream.send_all(request())
        assert await receive_exactly(stream, len(OK)) == OK
        await stream.aclose()


async def test_what_a_rule_denies_is_denied_inside_tls_that_another_allows(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    plain = f'[[egress]]\ndestination = "{HOST}"\n'
    denying = f'{plain}deny = true\npaths = ["/admin/**"]\n'
    port = await upstreams.serve_tls(HOST, serve((request("/v1"), OK)))
    async with open_world(plain + denying, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(request("/%61dmin/x"))
        assert b" 403 " in await receive_until(stream, b"}\n")
        await stream.send_all(request("/v1"))
        assert await receive_exactly(stream, len(OK)) == OK
        await stream.aclose()
    (block,) = [r for r in world.receipts() if r.verdict == "block"]
    assert block.layer == "deny_rule"


async def test_limits_are_of_requests_and_not_of_their_connection(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    rule = f'[[egress]]\ndestination = "{HOST}"\nlimits = {{ requests = "2/day", connections = 1 }}\n'
    port = await upstreams.serve_tls(HOST, serve((request(), OK), (request(), OK)))
    async with open_world(rule, {HOST: port}) as world:
        stream = await open_tls(world)
        for _ in range(2):
            await stream.send_all(request())
            assert await receive_exactly(stream, len(OK)) == OK
        await stream.send_all(request())
        assert b" 403 " in await receive_until(stream, b"}\n")
        await stream.aclose()
    (block,) = [r for r in world.receipts() if r.verdict == "block"]
    assert block.layer == "limit"


# the upstream


def certify(authority: trustme.CA, *names: str, **more: object) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names, **more).configure_cert(context)  # type: ignore[arg-type]
    return context


@pytest.mark.parametrize("fault", ["another name", "a common name alone", "expired", "a stranger's"])
async def test_an_upstream_that_is_not_who_it_says_hears_nothing(
    open_world: OpenWorld, upstreams: Upstreams, authority: trustme.CA, fault: str
) -> None:
    heard: list[bytes] = []
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    context = {
        "another name": lambda: certify(authority, "other.example"),
        "a common name alone": lambda: certify(authority, common_name=HOST),
        "expired": lambda: certify(authority, HOST, not_after=past),
        "a stranger's": lambda: certify(trustme.CA(), HOST),
    }[fault]()

    async def handle(stream: trio.SocketStream) -> None:
        secure = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        with contextlib.suppress(trio.BrokenResourceError):
            heard.append(bytes(await secure.receive_some()))

    port = await upstreams.serve(handle)
    async with open_world(RULE, {HOST: port}) as world:
        status, layer = problem(await ask(world, request()))
    assert b"".join(heard) == b""
    outcome = next(r for r in world.receipts() if r.phase == "outcome" and r.facts["proto"] == "http")
    assert (status, layer, outcome.verdict, outcome.layer) == (403, "certificate", "block", "certificate")
    assert f"{HOST} can't be trusted: " in outcome.facts["reason"]


async def test_an_upstream_of_tls_1_0_is_one_too(
    open_world: OpenWorld, upstreams: Upstreams, authority: trustme.CA
) -> None:
    context = certify(authority, HOST)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1

    def shake_hands(descriptor: int) -> None:
        """As OpenSSL's own servers do: with an alert."""
        with socket.socket(fileno=os.dup(descriptor)) as sock, contextlib.suppress(OSError):
            sock.setblocking(True)
            context.wrap_socket(sock, server_side=True)

    async def handle(stream: trio.SocketStream) -> None:
        await trio.to_thread.run_sync(shake_hands, stream.socket.fileno())

    port = await upstreams.serve(handle)
    async with open_world(RULE, {HOST: port}) as world:
        assert problem(await ask(world, request())) == (403, "certificate")
    outcome = next(r for r in world.receipts() if r.phase == "outcome" and r.facts["proto"] == "http")
    assert outcome.facts["reason"] == f"{HOST} can't be trusted: it speaks no TLS from version 1.2 on"
    assert outcome.facts["bytes_up"] == 0


async def test_an_upstream_without_tls_is_a_fault_of_its_own(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def handle(stream: trio.SocketStream) -> None:
        await stream.send_all(OK)

    port = await upstreams.serve(handle)
    async with open_world(RULE, {HOST: port}) as world:
        assert problem(await ask(world, request())) == (502, "upstream")


async def test_a_silent_upstream_is_given_up(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async def stay_silent(_stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    port = await upstreams.serve(stay_silent)
    async with open_world(RULE, {HOST: port}, connect_seconds=0.2) as world:
        assert problem(await ask(world, request())) == (504, "upstream")


UNBOUNDED = b"HTTP/1.1 200 OK\r\n\r\nsome of it"


@pytest.mark.parametrize("cut", [False, True])
async def test_an_answer_that_is_cut_off_is_not_passed_on_as_whole(
    open_world: OpenWorld, upstreams: Upstreams, cut: bool
) -> None:
    """Without a length only TLS's own end says that all has come (RFC 8446 6.1)."""
    context = certify(upstreams._authority, HOST)

    async def handle(stream: trio.SocketStream) -> None:
        secure = trio.SSLStream(stream, context, server_side=True)
        await receive_until(secure, b"\r\n\r\n")
        await secure.send_all(UNBOUNDED)
        if cut:
            await stream.aclose()
        else:
            await secure.aclose()

    port = await upstreams.serve(handle)
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(request(fields="Connection: close\r\n"))
        whole = True
        try:
            answer = await receive_all(stream)
        except trio.BrokenResourceError:
            whole = False
        else:
            assert answer.endswith((b"some of it\r\n0\r\n\r\n", b"some of it"))
        await trio.aclose_forcefully(stream)
    outcome = next(r for r in world.receipts() if r.phase == "outcome" and r.facts["proto"] == "http")
    assert whole is not cut
    assert ("cut the TLS connection off" in str(outcome.facts.get("reason"))) is cut


# the agent


async def test_a_client_that_does_not_trust_the_run_says_so(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve_tls(HOST, serve())
    async with open_world(RULE, {HOST: port}) as world:
        transport = await world.agent(HOST, 443)
        stream = trio.SSLStream(transport, ssl.create_default_context(), server_hostname=HOST)
        with pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()
        await transport.aclose()
    assert "failed the TLS handshake" in world.outcome().facts["reason"]
    assert upstreams.accepted == 0


@pytest.mark.parametrize("stage", ["hello", "handshake"])
async def test_an_agent_that_resets_ends_its_connection_alone(
    open_world: OpenWorld, upstreams: Upstreams, stage: str
) -> None:
    port = await upstreams.serve_tls(HOST, serve((request(), OK)))
    async with open_world(RULE, {HOST: port}) as world:
        if stage == "hello":
            transport = await world.agent(HOST, 443)
            out = ssl.MemoryBIO()
            client = world.client_tls().wrap_bio(ssl.MemoryBIO(), out, server_hostname=HOST)
            with pytest.raises(ssl.SSLWantReadError):
                client.do_handshake()
            await transport.send_all(out.read())
            await transport.receive_some(1)
            reset(transport)
        else:
            stream = await open_tls(world)
            await stream.send_all(b"GET /v1/a HTTP/1.1\r\nHo")
            reset(stream.transport_stream)
        again = await open_tls(world)
        await again.send_all(request())
        assert await receive_exactly(again, len(OK)) == OK
        await again.aclose()


async def test_an_agent_that_stops_in_its_handshake_is_given_up(open_world: OpenWorld) -> None:
    async with open_world(RULE, head_seconds=0.2) as world:
        transport = await world.agent(HOST, 443)
        out = ssl.MemoryBIO()
        client = world.client_tls().wrap_bio(ssl.MemoryBIO(), out, server_hostname=HOST)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        await transport.send_all(out.read())
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(transport)
        await transport.aclose()
    assert "didn't finish its TLS handshake" in world.outcome().facts["reason"]


@pytest.mark.parametrize("left", [0, 1])
async def test_where_descriptors_run_out_a_connection_ends_and_no_other(
    open_world: OpenWorld, upstreams: Upstreams, left: int
) -> None:
    """One for the certificate in memory, and one to load it by."""
    port = await upstreams.serve_tls(HOST, serve((request(), OK)))
    async with open_world(RULE, {HOST: port}) as world:
        transport = await world.client()
        await transport.send_all(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        await receive_until(transport, b"\r\n\r\n")
        stream = trio.SSLStream(transport, world.client_tls(), server_hostname=HOST, https_compatible=True)
        with few_descriptors(left), pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()
        await trio.aclose_forcefully(stream)
        again = await open_tls(world)
        await again.send_all(request())
        assert await receive_exactly(again, len(OK)) == OK
        await again.aclose()
    reasons = [r.facts["reason"] for r in world.receipts() if r.phase == "outcome"]
    assert [said for said in reasons if "allows it" not in said] == [
        f"TLS for {HOST} can't be answered here: Too many open files"
    ]


async def test_garbage_after_the_handshake_ends_the_connection(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve_tls(HOST, serve())
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(stream)
        await trio.aclose_forcefully(stream)
    assert upstreams.accepted == 0


async def test_without_a_rule_about_requests_the_tunnel_stays_opaque(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    """The control: the same client and upstream, and a denied path goes through unseen."""
    port = await upstreams.serve_tls(HOST, serve((request("/v2"), OK)))
    async with open_world(f'[[egress]]\ndestination = "{HOST}"\n', {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(request("/v2"))
        assert await receive_exactly(stream, len(OK)) == OK
        await stream.aclose()
    assert world.outcome().facts["tls"] == "opaque"


async def test_a_tunnel_that_must_be_seen_from_now_on_ends(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    """A policy that comes into force asks for what an open, opaque tunnel can't give."""
    plain = f'[[egress]]\ndestination = "{HOST}"\n'
    seeing = (
        '[[egress]]\ndestination = "*.example"\npaths = ["/v1/**"]\n[[egress]]\ndestination = "other.test"\n'
    )

    async def stay(stream: Secure) -> None:
        with contextlib.suppress(
            trio.BrokenResourceError
        ):  # it may end as soon as its client has what it needs
            await stream.do_handshake()
            await stream.receive_some()

    port = await upstreams.serve_tls(HOST, stay)
    async with open_world(plain + seeing, {HOST: port}) as world:
        stream = await open_tls(world)
        head = 'version = "1.0"\ndefault_deny = true\n'
        pins = f'[resolve]\n"{HOST}" = "127.0.0.1:{port}"\n'
        policy = load_policy(f"{head}{seeing}{pins}", "agent.toml")
        assert world.gate.in_force.preview(policy, world.gate.ledger).ended == 1
        world.gate.in_force.change(policy, world.gate.ledger)
        with pytest.raises(trio.BrokenResourceError):
            await receive_all(stream)
        await trio.aclose_forcefully(stream)
    assert "the policy was changed" in world.outcome().facts["reason"]
    assert world.outcome().facts["tls"] == "opaque"


async def test_a_connection_that_was_seen_goes_on_where_that_is_still_asked_for(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    """The control: nothing about it has changed."""
    port = await upstreams.serve_tls(HOST, serve((request(), OK), (request(), OK)))
    async with open_world(RULE, {HOST: port}) as world:
        stream = await open_tls(world)
        await stream.send_all(request())
        assert await receive_exactly(stream, len(OK)) == OK
        pins = f'[resolve]\n"{HOST}" = "127.0.0.1:{port}"\n'
        policy = load_policy(f'version = "1.0"\ndefault_deny = true\n{RULE}{pins}', "agent.toml")
        world.gate.in_force.change(policy, world.gate.ledger)
        await stream.send_all(request())
        assert await receive_exactly(stream, len(OK)) == OK
        await stream.aclose()
