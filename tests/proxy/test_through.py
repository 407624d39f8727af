"""A company's proxy in between: every dial goes through it, and what it does is told as its own doing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import attrs
import pytest
import trio
from tests.proxy.conftest import receive_all, receive_exactly, receive_until, render_hello, reset, script
from tests.proxy.test_interception import OK, ask, request, serve

from trio_egress.model import Name, Via
from trio_egress.policy.rule import Policy
from trio_egress.proxy.ssh import SOFTWARE
from trio_egress.wire.ssh_messages import render_identification

if TYPE_CHECKING:
    from tests.proxy.conftest import OpenWorld, Resolver, Upstreams, World

HOST = "api.example"
REFUSED = b"our own SSH_MSG_DISCONNECT"
SSH = f'[[egress]]\ndestination = "{HOST}:22"\n'
SEEN = f'[[egress]]\ndestination = "{HOST}"\npaths = ["/v1/**"]\n'
PLAIN = f'[[egress]]\ndestination = "{HOST}"\n'
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 corp\r\n\r\n"

Answer = Callable[[trio.SocketStream], Awaitable[None]]


@attrs.define
class Company:
    """A proxy: what it was asked for, and how it is named in a policy."""

    port: int
    asked: list[bytes]

    def table(self, more: str = "") -> str:
        return f'[upstream]\nproxy = "http://127.0.0.1:{self.port}"\n{more}'

    @property
    def target(self) -> bytes:
        """Of the only question."""
        (head,) = self.asked
        method, target, version = head.split(b"\r\n")[0].split(b" ")
        assert (method, version) == (b"CONNECT", b"HTTP/1.1")
        assert f"\r\nHost: {target.decode()}\r\n".encode() in head
        return target


async def open_company(upstreams: Upstreams, answer: Answer) -> Company:
    """Whatever it is asked for, it does `answer`."""
    asked: list[bytes] = []

    async def handle(stream: trio.SocketStream) -> None:
        asked.append(await receive_until(stream, b"\r\n\r\n"))
        await answer(stream)

    return Company(await upstreams.serve(handle), asked)


def leading(port: int, first: bytes = ESTABLISHED) -> Answer:
    """A tunnel to this port, wherever one was asked for."""

    async def answer(stream: trio.SocketStream) -> None:
        await stream.send_all(first)
        there = await trio.open_tcp_stream("127.0.0.1", port)

        async def copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async for piece in source:
                    await sink.send_all(piece)
                await sink.send_eof()

        async with there, trio.open_nursery() as nursery:
            nursery.start_soon(copy, stream, there)
            nursery.start_soon(copy, there, stream)

    return answer


def saying(raw: bytes) -> Answer:
    async def answer(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(raw)
            await stream.send_eof()
            await receive_all(stream)  # closed under what still comes, it would be a reset

    return answer


async def exchange_ssh(world: World) -> bytes:
    """What comes back of one connection to port 22 that says hello."""
    stream = await world.agent(HOST, 22)
    async with stream:
        await stream.send_all(b"SSH-2.0-agent\r\n")
        await stream.send_eof()
        heard = await receive_all(stream)
        return REFUSED if heard.startswith(render_identification(SOFTWARE)) else heard


# what goes through


async def test_a_tunnel_goes_through_and_its_receipt_says_by_whom(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((b"SSH-2.0-agent\r\n", b"SSH-2.0-server\r\n")))
    company = await open_company(upstreams, leading(port))
    async with open_world(SSH + company.table()) as world:
        assert await exchange_ssh(world) == b"SSH-2.0-server\r\n"
    assert company.target == b"api.example:22"
    outcome = world.outcome()
    assert (outcome.facts["via"], outcome.facts["dialled"]) == (f"127.0.0.1:{company.port}",) * 2
    assert (outcome.facts["bytes_up"], outcome.facts["bytes_down"]) == (15, 16)
    assert "origin" not in outcome.facts
    (intent,) = [receipt for receipt in world.receipts() if receipt.phase == "intent"]
    assert intent.facts["via"] == f"127.0.0.1:{company.port}"


async def test_an_opaque_tunnel_goes_through(open_world: OpenWorld, upstreams: Upstreams) -> None:
    hello = render_hello(HOST)
    port = await upstreams.serve(script((hello, b"whatever it says")))
    company = await open_company(upstreams, leading(port))
    async with open_world(PLAIN + company.table()) as world:
        stream = await world.agent(HOST, 443)
        await stream.send_all(hello)
        assert await receive_all(stream) == b"whatever it says"
        await stream.aclose()
    assert company.target == b"api.example:443"


async def test_tls_that_ends_here_is_verified_through_the_tunnel(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve_tls(HOST, serve((request(), OK)))
    company = await open_company(upstreams, leading(port))
    async with open_world(SEEN + company.table()) as world:
        assert (await ask(world, request(fields="Connection: close\r\n"))).endswith(b"\r\n\r\nok")
    assert company.target == b"api.example:443"
    said = {r.target: r.facts.get("via") for r in world.receipts() if r.phase == "outcome"}
    by = f"127.0.0.1:{company.port}"
    assert said == {"https://api.example:443/v1/a": by, "tls://api.example:443": None}


async def test_another_host_behind_the_proxy_hears_nothing(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    async def handle(stream: trio.SSLStream[trio.SocketStream]) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            assert await receive_all(stream) == b""

    port = await upstreams.serve_tls("evil.example", handle)
    company = await open_company(upstreams, leading(port))
    async with open_world(SEEN + company.table()) as world:
        answer = await ask(world, request())
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["layer"] == "certificate"


@pytest.mark.parametrize("status", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 299 x\r\nContent-Length: 9\r\n"])
async def test_what_comes_with_the_answer_is_the_first_of_the_tunnel(
    open_world: OpenWorld, upstreams: Upstreams, status: bytes
) -> None:
    company = await open_company(upstreams, saying(status + b"\r\nSSH-2.0-server\r\nmore"))
    async with open_world(SSH + company.table()) as world:
        assert await exchange_ssh(world) == b"SSH-2.0-server\r\nmore"
    assert world.outcome().facts["bytes_down"] == 20


async def test_interim_answers_are_passed_over(open_world: OpenWorld, upstreams: Upstreams) -> None:
    company = await open_company(upstreams, saying(b"HTTP/1.1 103 x\r\n\r\n" * 3 + ESTABLISHED + b"hi"))
    async with open_world(SSH + company.table()) as world:
        assert await exchange_ssh(world) == b"hi"


# who it says no


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "refused api.example:22: 403 Forbidden"),
        (b"HTTP/1.1 502 \x1b[31m\r\n\r\n", "refused api.example:22: 502"),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://x.example\r\n\r\n", "refused api.example:22: 301 Moved"),
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
            "api.example:22: 407 Proxy Authentication Required (it asks for username and password of [upstream])",
        ),
        (b"SSH-2.0-server\r\n\r\n", "gave no answer for api.example:22 that can be taken: not HTTP/1.1: "),
        (b"\0" * 100_000, "gave no answer for api.example:22 that can be taken: not HTTP/1.1: "),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "gave no answer for api.example:22 that can be taken: "),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 129 + b"\r\n", "that can be taken: a head has more than 128"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "gave no answer for api.example:22 that can be taken: "),
        (b"HTTP/1.1 200 OK\r\nX:", "that can be taken: the connection ended inside a message"),
        (b"", "that can be taken: the connection ended inside a message"),
    ],
    ids=["403", "502", "301", "407", "ssh", "zeros", "long", "many", "101", "torn", "silent-end"],
)
async def test_what_the_proxy_refuses_or_fails_is_its_doing(
    open_world: OpenWorld, upstreams: Upstreams, raw: bytes, said: str
) -> None:
    company = await open_company(upstreams, saying(raw))
    async with open_world(SSH + company.table()) as world:
        assert await exchange_ssh(world) == REFUSED
    outcome = world.outcome()
    assert outcome.facts["reason"].startswith(f"the upstream proxy 127.0.0.1:{company.port} ")
    assert said in outcome.facts["reason"]
    assert (outcome.verdict, outcome.layer, outcome.facts["origin"]) == ("allow", "rule", "upstream_proxy")
    assert "dialled" not in outcome.facts


async def test_a_proxy_that_resets_is_told(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        reset(stream)

    company = await open_company(upstreams, answer)
    async with open_world(SSH + company.table()) as world:
        assert await exchange_ssh(world) == REFUSED
    assert (
        world.outcome().facts["reason"].endswith("gave no answer for api.example:22: it reset the connection")
    )


async def test_a_proxy_that_never_answers_is_given_up(open_world: OpenWorld, upstreams: Upstreams) -> None:
    async def answer(stream: trio.SocketStream) -> None:
        await receive_all(stream)

    company = await open_company(upstreams, answer)
    async with open_world(SSH + company.table(), connect_seconds=0.2) as world:
        assert await exchange_ssh(world) == REFUSED
    assert world.outcome().facts["reason"] == (
        f"the upstream proxy 127.0.0.1:{company.port} did not answer within 0.2 s"
    )
    assert world.outcome().facts["origin"] == "upstream_proxy"


@pytest.mark.parametrize(
    ("host", "said"), [("down.corp", "can't be reached: 127.0.0.1"), ("none.corp", "can't be resolved")]
)
async def test_a_proxy_that_is_not_there_is_told(
    open_world: OpenWorld, upstreams: Upstreams, resolver: Resolver, host: str, said: str
) -> None:
    port = await upstreams.refused_port()
    resolver.answers[b"down.corp"] = ["127.0.0.1"]
    async with open_world(f'{SSH}[upstream]\nproxy = "http://{host}:{port}"\n') as world:
        assert await exchange_ssh(world) == REFUSED
    facts = world.outcome().facts
    assert facts["reason"].startswith(f"the upstream proxy {host}:{port}")
    assert said in facts["reason"]
    assert facts["origin"] == "upstream_proxy"
    assert resolver.asked == [host.encode()]


# who it is told that we are


def sign_in(world: World) -> None:
    policy = world.gate.policy
    assert policy.upstream is not None
    signed = attrs.evolve(policy, upstream=attrs.evolve(policy.upstream, login="Basic Y2k6aHVudGVyMjI="))
    world.gate.in_force.change(signed, world.gate.ledger)


LOGIN = 'username = "ci"\npassword = { env = "P" }\n'


async def test_credentials_are_the_proxys_alone(open_world: OpenWorld, upstreams: Upstreams) -> None:
    """It is told them; the upstream, the receipts and everything that a value shows of itself are not."""
    port = await upstreams.serve(script((b"SSH-2.0-agent\r\n", b"SSH-2.0-server\r\n")))
    company = await open_company(upstreams, leading(port))
    async with open_world(SSH + company.table(LOGIN)) as world:
        sign_in(world)
        assert await exchange_ssh(world) == b"SSH-2.0-server\r\n"
    (head,) = company.asked
    assert b"\r\nProxy-Authorization: Basic Y2k6aHVudGVyMjI=\r\n" in head
    shown = repr((world.gate.policy, Via(Name("corp"), 1, login="Basic Y2k6aHVudGVyMjI="), world.receipts()))
    assert "Y2k6" not in shown


async def test_credentials_that_it_does_not_take_are_told_as_that(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    company = await open_company(upstreams, saying(b"HTTP/1.1 407 No\r\n\r\n"))
    async with open_world(SSH + company.table(LOGIN)) as world:
        sign_in(world)
        assert await exchange_ssh(world) == REFUSED
    assert world.outcome().facts["reason"].endswith("407 No (it takes no such username and password)")


# requests in the clear, which it passes on itself


def plain_request(path: str = "/v1/a", method: str = "GET", host: str = HOST, fields: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode()


async def ask_plainly(world: World, *raw: bytes, port: int = 80) -> bytes:
    async with await world.agent(HOST, port) as stream:
        answer = b""
        for one in raw:
            await stream.send_all(one)
            answer = await receive_until(stream, b"\r\n\r\n")
            if b"ok" not in answer[-2:]:
                answer += await stream.receive_some()
        return answer


async def test_a_request_in_the_clear_is_passed_on_by_its_whole_url(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    """As squid wants it, which by default opens tunnels to port 443 alone; one connection serves several."""
    port = await upstreams.serve(
        script(
            (plain_request("http://api.example/v1/a?b=c"), OK),
            (plain_request("http://api.example", "OPTIONS"), OK),
            (plain_request("http://api.example/v1/d", "POST", fields="Content-Length: 2\r\n") + b"hi", OK),
        )
    )
    async with open_world(PLAIN + f'[upstream]\nproxy = "http://127.0.0.1:{port}"\n') as world:
        posted = plain_request("/v1/d", "POST", fields="Content-Length: 2\r\n") + b"hi"
        asked = (plain_request("/v1/a?b=c"), plain_request("*", "OPTIONS"), posted)
        assert (await ask_plainly(world, *asked)).endswith(b"\r\n\r\nok")
    assert upstreams.accepted == 1
    outcomes = [receipt for receipt in world.receipts() if receipt.phase == "outcome"]
    assert {(one.facts["via"], one.facts["dialled"], one.facts["status"]) for one in outcomes} == {
        (f"127.0.0.1:{port}", f"127.0.0.1:{port}", 200)
    }


async def test_the_url_has_the_port_that_was_judged(open_world: OpenWorld, upstreams: Upstreams) -> None:
    """Whatever the agent's Host leaves out: to the proxy nothing else says where to."""
    told = plain_request("http://api.example:8080/v1/a", host="api.example:8080")
    port = await upstreams.serve(script((told, OK)))
    rule = f'[[egress]]\ndestination = "{HOST}:8080"\n'
    async with open_world(f'{rule}[upstream]\nproxy = "http://127.0.0.1:{port}"\n') as world:
        assert (await ask_plainly(world, plain_request(), port=8080)).endswith(b"ok")


async def test_credentials_go_with_requests_in_the_clear_and_the_agents_own_do_not(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    login = "Proxy-Authorization: Basic Y2k6aHVudGVyMjI=\r\n"
    port = await upstreams.serve(script((plain_request("http://api.example/v1/a", fields=login), OK)))
    table = f'[upstream]\nproxy = "http://127.0.0.1:{port}"\n{LOGIN}'
    async with open_world(PLAIN + table) as world:
        sign_in(world)
        asked = plain_request(fields="Proxy-Authorization: Basic YWdlbnQ6YWdlbnQ=\r\n")
        assert (await ask_plainly(world, asked)).endswith(b"ok")


async def test_the_agent_is_never_asked_for_the_proxys_password(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    refusal = b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 2\r\n\r\nok"
    port = await upstreams.serve(script((plain_request("http://api.example/v1/a"), refusal)))
    async with open_world(PLAIN + f'[upstream]\nproxy = "http://127.0.0.1:{port}"\n') as world:
        answer = await ask_plainly(world, plain_request())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 502 ")
    assert b"authenticate" not in head.lower()
    said = (
        f"the upstream proxy 127.0.0.1:{port} refused the request: 407 No (it asks for username and password"
    )
    problem = json.loads(body)
    assert (problem["origin"], problem["retry"]) == ("upstream_proxy", False)
    assert problem["detail"].startswith(said)
    assert world.outcome().facts["reason"] == problem["detail"]
    assert world.outcome().facts["origin"] == "upstream_proxy"


async def test_a_refused_tunnel_is_answered_inside_tls(open_world: OpenWorld, upstreams: Upstreams) -> None:
    company = await open_company(upstreams, saying(b"HTTP/1.1 403 Forbidden\r\n\r\n"))
    async with open_world(SEEN + company.table()) as world:
        answer = await ask(world, request())
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert (problem["status"], problem["origin"], problem["retry"]) == (502, "upstream_proxy", False)
    assert problem["detail"] == (
        f"the upstream proxy 127.0.0.1:{company.port} refused api.example:443: 403 Forbidden"
    )


async def test_where_names_are_looked_up_here_requests_in_the_clear_go_by_a_tunnel_too(
    open_world: OpenWorld, upstreams: Upstreams, resolver: Resolver
) -> None:
    """A URL with the name would have the proxy look it up again."""
    resolver.answers[HOST.encode()] = ["93.184.216.34"]
    port = await upstreams.serve(script((plain_request(), OK)))
    company = await open_company(upstreams, leading(port))
    async with open_world(PLAIN + company.table("resolve = true\n")) as world:
        assert (await ask_plainly(world, plain_request())).endswith(b"ok")
    assert company.target == b"93.184.216.34:80"


async def test_a_private_name_is_no_url_either(open_world: OpenWorld, upstreams: Upstreams) -> None:
    company = await open_company(upstreams, saying(OK))
    rule = '[[egress]]\ndestination = "a.local"\n'
    async with open_world(rule + company.table()) as world, await world.agent("a.local", 80) as stream:
        await stream.send_all(plain_request(host="a.local"))
        assert (await receive_all(stream)).startswith(b"HTTP/1.1 403 ")
    assert company.asked == []
    assert (world.outcome().verdict, world.outcome().layer) == ("block", "address")


# what does not go through


@pytest.mark.parametrize("item", ["api.example", "*.example", "api.example:22"])
async def test_what_needs_no_proxy_is_dialled_directly(
    open_world: OpenWorld, upstreams: Upstreams, resolver: Resolver, item: str
) -> None:
    """And then checked as ever: its address is an inside one."""
    resolver.answers[HOST.encode()] = ["127.0.0.1"]
    company = await open_company(upstreams, saying(ESTABLISHED))
    async with open_world(SSH + company.table(f'no_proxy = ["{item}"]\n')) as world:
        assert await exchange_ssh(world) == REFUSED
    assert (company.asked, resolver.asked) == ([], [HOST.encode()])
    assert (world.outcome().verdict, world.outcome().layer) == ("block", "address")
    assert "via" not in world.outcome().facts


async def test_a_pin_is_dialled_directly(open_world: OpenWorld, upstreams: Upstreams) -> None:
    port = await upstreams.serve(script((b"SSH-2.0-agent\r\n", b"SSH-2.0-server\r\n")))
    company = await open_company(upstreams, saying(ESTABLISHED))
    async with open_world(SSH + company.table(), {HOST: port}) as world:
        assert await exchange_ssh(world) == b"SSH-2.0-server\r\n"
    assert company.asked == []


async def test_this_machines_loopback_is_dialled_directly(
    open_world: OpenWorld, upstreams: Upstreams
) -> None:
    port = await upstreams.serve(script((b"SSH-2.0-agent\r\n", b"SSH-2.0-server\r\n")))
    company = await open_company(upstreams, saying(ESTABLISHED))
    rule = f'[[egress]]\ndestination = "host.internal:{port}"\n'
    async with open_world(rule + company.table()) as world:
        stream = await world.agent("host.internal", port)
        await stream.send_all(b"SSH-2.0-agent\r\n")
        assert await receive_exactly(stream, 16) == b"SSH-2.0-server\r\n"
        await stream.aclose()
    assert company.asked == []


@pytest.mark.parametrize("host", ["printer", "a.local", "metadata.google.internal", "x.home.arpa"])
@pytest.mark.parametrize("opened", [False, True])
async def test_a_name_of_private_networks_is_asked_for_only_where_a_rule_opens_it(
    open_world: OpenWorld, upstreams: Upstreams, host: str, opened: bool
) -> None:
    company = await open_company(upstreams, saying(ESTABLISHED + b"hi"))
    private = "allow_private = true\n" if opened else ""
    rule = f'[[egress]]\ndestination = "{host}:22"\n{private}'
    async with open_world(rule + company.table()) as world:
        stream = await world.agent(host, 22)
        await stream.send_all(b"SSH-2.0-agent\r\n")
        await stream.send_eof()
        with contextlib.suppress(trio.BrokenResourceError):
            await receive_all(stream)
        await stream.aclose()
    assert len(company.asked) == opened
    outcome = world.outcome()
    assert (outcome.verdict, outcome.layer) == (("allow", "rule") if opened else ("block", "address"))


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "127.0.0.1"])
async def test_a_private_address_is_never_asked_for(
    open_world: OpenWorld, upstreams: Upstreams, address: str
) -> None:
    company = await open_company(upstreams, saying(ESTABLISHED))
    rule = f'[[egress]]\ndestination = "{address}:22"\n'
    async with open_world(rule + company.table()) as world:
        stream = await world.agent(address, 22)
        with contextlib.suppress(trio.BrokenResourceError):
            await receive_all(stream)
        await stream.aclose()
    assert company.asked == []
    assert world.block().layer == "address"


# names looked up here


async def test_a_name_that_is_looked_up_here_is_checked_and_asked_for_by_its_address(
    open_world: OpenWorld, upstreams: Upstreams, resolver: Resolver
) -> None:
    resolver.answers[HOST.encode()] = ["10.0.0.1", "93.184.216.34", "::1"]
    company = await open_company(upstreams, saying(ESTABLISHED + b"hi"))
    async with open_world(SSH + company.table("resolve = true\n")) as world:
        assert await exchange_ssh(world) == b"hi"
    assert company.target == b"93.184.216.34:22"


async def test_a_name_that_leads_inside_is_not_asked_for_where_it_is_looked_up_here(
    open_world: OpenWorld, upstreams: Upstreams, resolver: Resolver
) -> None:
    """The control, and the price of the default: the proxy looks it up, and nobody here knows where it leads."""
    resolver.answers[HOST.encode()] = ["10.0.0.1"]
    company = await open_company(upstreams, saying(ESTABLISHED + b"hi"))
    async with open_world(SSH + company.table("resolve = true\n")) as world:
        assert await exchange_ssh(world) == REFUSED
    assert company.asked == []
    assert (world.outcome().verdict, world.outcome().layer) == ("block", "address")


async def test_the_control_the_proxy_leads_wherever_it_looks_the_name_up(
    open_world: OpenWorld, upstreams: Upstreams, resolver: Resolver
) -> None:
    resolver.answers[HOST.encode()] = ["10.0.0.1"]
    company = await open_company(upstreams, saying(ESTABLISHED + b"hi"))
    async with open_world(SSH + company.table()) as world:
        assert await exchange_ssh(world) == b"hi"
    assert (company.target, resolver.asked) == (b"api.example:22", [])


async def test_the_next_address_is_asked_for_where_the_proxy_refuses_one(
    open_world: OpenWorld, upstreams: Upstreams, resolver: Resolver
) -> None:
    resolver.answers[HOST.encode()] = ["2606:2800::1", "93.184.216.34"]
    answers = iter((saying(b"HTTP/1.1 503 No route\r\n\r\n"), saying(ESTABLISHED + b"hi")))

    async def answer(stream: trio.SocketStream) -> None:
        await next(answers)(stream)

    company = await open_company(upstreams, answer)
    async with open_world(SSH + company.table("resolve = true\n")) as world:
        assert await exchange_ssh(world) == b"hi"
    assert [head.split()[1] for head in company.asked] == [b"[2606:2800::1]:22", b"93.184.216.34:22"]


def test_a_policy_without_the_table_leads_to_no_proxy() -> None:
    assert Policy().upstream is None
