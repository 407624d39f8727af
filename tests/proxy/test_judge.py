"""Judgement as tables: who was asked for, who is named inside, who is dialled."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from trio_egress.evidence.redact import Withheld
from trio_egress.model import Attempt, Layer, Name, Protocol, Transport
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.load import load_policy
from trio_egress.proxy.judge import (
    Door,
    Judgement,
    judge_best,
    judge_connect,
    judge_request,
    judge_tcp,
    judge_tls,
    may_speak_later,
    render_host,
)
from trio_egress.wire.http1 import AgentSide
from trio_egress.wire.message import RequestHead
from trio_egress.wire.tls_hello import ClientHello

POLICY = load_policy(
    """version = "1.0"
default_deny = true
dns_resolution = "proxy_only"
[[egress]]
destination = "a.example"
[[egress]]
destination = "b.example"
[[egress]]
destination = "93.184.216.34"
[[egress]]
destination = "db.example:5432"
[[egress]]
destination = "put.example"
methods = ["PUT"]
[[egress]]
destination = "odd.example:8080"
methods = ["PURGE"]
""",
    "agent.toml",
)
ADDRESS = "93.184.216.34"
OTHER = "93.184.216.35"


def door(host: str, port: int = 443, transport: Transport = Transport.TRANSPARENT) -> Door:
    return Door(transport, parse_host(host), port)


def head(raw: str) -> RequestHead:
    side = AgentSide()
    side.feed(raw.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    parsed = side.head()
    assert parsed is not None
    return parsed


def get(target: str, host: str | None, method: str = "GET") -> RequestHead:
    return head(f"{method} {target} HTTP/1.1\nHost: {host}" if host else f"{method} {target} HTTP/1.0")


def layer(judged: Judgement) -> Layer | None:
    """Why not, or None."""
    assert judged.decision.allowed == (judged.decision.upstream is not None)
    return None if judged.decision.allowed else judged.decision.layer


# TLS


@pytest.mark.parametrize(
    ("asked", "name", "host", "why"),
    [
        ("a.example", "a.example", "a.example", None),
        ("a.example", "A.Example.", "a.example", None),
        ("a.example", "b.example", "a.example", Layer.NAME_MISMATCH),
        ("a.example", None, "a.example", Layer.NAME_MISMATCH),
        ("a.example", ADDRESS, "a.example", Layer.NAME_MISMATCH),
        ("a.example", "..", "a.example", Layer.MALFORMED),
        ("evil.example", "a.example", "evil.example", Layer.NAME_MISMATCH),
        ("evil.example", "evil.example", "evil.example", Layer.DEFAULT_DENY),
        (ADDRESS, None, ADDRESS, None),
        (ADDRESS, "a.example", "a.example", None),
        (ADDRESS, "evil.example", "evil.example", Layer.DEFAULT_DENY),
        (ADDRESS, ADDRESS, ADDRESS, None),
        (ADDRESS, OTHER, ADDRESS, Layer.NAME_MISMATCH),
        (ADDRESS, "0x5db8d822", ADDRESS, None),
        (OTHER, None, OTHER, Layer.DEFAULT_DENY),
        (OTHER, "a.example", "a.example", None),
    ],
)
def test_tls_is_judged_by_its_server_name(asked: str, name: str | None, host: str, why: Layer | None) -> None:
    judged = judge_tls(POLICY, door(asked), ClientHello(name, ("h2",), ech=True))
    assert layer(judged) is why
    assert judged.attempt == Attempt(Transport.TRANSPARENT, Protocol.TLS, parse_host(host), 443)
    assert judged.decision.upstream is None or judged.decision.upstream.host == parse_host(host)
    assert judged.facts.get("sni") == name
    assert (judged.facts["alpn"], judged.facts["ech"]) == (["h2"], True)
    assert judged.facts.get("asked") == (f"{asked}:443" if host != asked else None)


# requests


@pytest.mark.parametrize(
    ("asked", "port", "request_head", "host", "why"),
    [
        ("a.example", 80, get("/", "a.example"), "a.example", None),
        ("a.example", 80, get("/", "A.example.:80"), "a.example", None),
        ("a.example", 80, get("/", None), "a.example", None),
        ("a.example", 80, get("/", ""), "a.example", None),
        ("a.example", 80, get("/", "b.example"), "a.example", Layer.NAME_MISMATCH),
        ("a.example", 80, get("/", "a.example:81"), "a.example", Layer.NAME_MISMATCH),
        ("a.example", 80, get("/", ADDRESS), "a.example", Layer.NAME_MISMATCH),
        ("a.example", 80, get("/", "a b"), "a.example", Layer.MALFORMED),
        ("a.example", 80, get("/", "a.example:x"), "a.example", Layer.MALFORMED),
        ("a.example", 80, get("http://a.example/", "a.example"), "a.example", None),
        ("a.example", 80, get("http://b.example/", "a.example"), "a.example", Layer.NAME_MISMATCH),
        ("a.example", 80, get("http://a.example/", "b.example"), "a.example", Layer.NAME_MISMATCH),
        ("a.example", 80, get("http://a.example:81/", "a.example"), "a.example", Layer.NAME_MISMATCH),
        ("a.example", 443, get("https://a.example/", "a.example"), "a.example", Layer.PROTOCOL),
        ("a.example", 80, get("a.example:80", "a.example", "CONNECT"), "a.example", Layer.METHOD),
        ("put.example", 80, get("/", "put.example", "PUT"), "put.example", None),
        ("put.example", 80, get("/", "put.example", "put"), "put.example", Layer.METHOD),
        (ADDRESS, 80, get("/", "a.example"), "a.example", None),
        (ADDRESS, 80, get("/", "evil.example"), "evil.example", Layer.DEFAULT_DENY),
        (ADDRESS, 80, get("/", ADDRESS), ADDRESS, None),
        (ADDRESS, 80, get("/", OTHER), ADDRESS, Layer.NAME_MISMATCH),
        (ADDRESS, 80, get("http://a.example/", "b.example"), ADDRESS, Layer.NAME_MISMATCH),
        (ADDRESS, 80, get("http://a.example/", ADDRESS), ADDRESS, Layer.NAME_MISMATCH),
        (OTHER, 80, get("/", None), OTHER, Layer.DEFAULT_DENY),
    ],
)
def test_request_is_judged_by_its_host(
    asked: str, port: int, request_head: RequestHead, host: str, why: Layer | None
) -> None:
    judged = judge_request(POLICY, door(asked, port), request_head)
    assert layer(judged) is why
    assert judged.attempt.host == parse_host(host)
    assert judged.attempt.port == port
    assert judged.attempt.method == request_head.method


def test_path_of_an_attempt_is_without_its_query() -> None:
    judged = judge_request(POLICY, door("a.example", 80), get("/a?secret", "a.example"))
    assert judged.attempt.path == "/a"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ("Upgrade: h2c", None),
        ("Upgrade: websocket", Layer.PROTOCOL),
        ("Upgrade: h2c, WebSocket", Layer.PROTOCOL),
        ("Upgrade: TLS/1.2", None),
    ],
)
def test_upgrades_are_dropped_or_refused(fields: str, why: Layer | None) -> None:
    asked = head(f"GET / HTTP/1.1\nHost: a.example\n{fields}")
    assert layer(judge_request(POLICY, door("a.example", 80), asked)) is why


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (get("/", "A.Example"), "A.Example"),
        (get("/", "a.example:80"), "a.example:80"),
        (get("/", "a.example."), "a.example"),
        (get("/", None), "a.example"),
        (get("http://A.example/", "a.example"), "A.example"),
    ],
)
def test_upstream_is_told_the_judged_host_as_it_was_spelt(raw: RequestHead, told: str) -> None:
    judged = judge_request(POLICY, door("a.example", 80), raw)
    assert judged.decision.allowed
    assert render_host(raw, judged.attempt) == told


def test_upstream_is_told_the_port_unless_it_is_the_usual_one() -> None:
    asked = head("GET / HTTP/1.0")
    attempt = Attempt(Transport.TRANSPARENT, Protocol.HTTP, ip_address("2606:2800::1"), 8080)
    assert render_host(asked, attempt) == "[2606:2800::1]:8080"
    assert (
        render_host(asked, Attempt(Transport.TRANSPARENT, Protocol.HTTP, Name("a.example"), 80))
        == "a.example"
    )


# CONNECT, and what may be opened at all


@pytest.mark.parametrize(
    ("target", "protocol", "why"),
    [
        ("a.example:443", Protocol.TLS, None),
        ("a.example:80", Protocol.HTTP, None),
        ("db.example:5432", Protocol.TLS, None),
        ("put.example:443", Protocol.TLS, Layer.INTERCEPTION),
        ("put.example:80", Protocol.HTTP, None),
        ("evil.example:443", Protocol.TLS, Layer.DEFAULT_DENY),
        ("[::ffff:93.184.216.34]:443", Protocol.TLS, None),
    ],
)
def test_connect_is_judged_by_what_may_be_inside(target: str, protocol: Protocol, why: Layer | None) -> None:
    proxy = door("127.0.0.1", 8888, Transport.FORWARD)
    judged = judge_connect(POLICY, get(target, target, "CONNECT"), proxy)
    assert layer(judged) is why
    assert judged.attempt.protocol is protocol
    assert judged.attempt.transport is Transport.CONNECT


@pytest.mark.parametrize(
    ("host", "port", "protocol", "allowed"),
    [
        ("db.example", 5432, Protocol.TCP, True),
        ("a.example", 443, Protocol.TLS, True),
        ("a.example", 80, Protocol.HTTP, True),
        ("put.example", 80, Protocol.HTTP, True),
        ("a.example", 22, Protocol.TCP, False),
        ("evil.example", 443, Protocol.TCP, False),
    ],
)
def test_best_is_the_most_that_the_policy_allows(
    host: str, port: int, protocol: Protocol, allowed: bool
) -> None:
    judged = judge_best(POLICY, door(host, port))
    assert (judged.attempt.protocol, judged.decision.allowed) == (protocol, allowed)


@pytest.mark.parametrize(
    ("host", "port", "waits"),
    [
        ("a.example", 443, True),
        ("put.example", 80, True),
        ("odd.example", 8080, True),
        ("evil.example", 443, False),
        ("a.example", 22, False),
        (OTHER, 443, True),
        (OTHER, 80, True),
        (OTHER, 22, False),
    ],
)
def test_silence_is_waited_out_only_where_a_word_could_help(host: str, port: int, waits: bool) -> None:
    assert may_speak_later(POLICY, door(host, port)) is waits


def test_tcp_needs_a_rule_with_its_port() -> None:
    assert layer(judge_tcp(POLICY, door("db.example", 5432))) is None
    assert layer(judge_tcp(POLICY, door("a.example", 443))) is Layer.PROTOCOL


def withheld(judged: Judgement) -> dict[str, Withheld]:
    return {name: value for name, value in judged.facts.items() if isinstance(value, Withheld)}


def test_values_of_a_query_are_withheld_without_their_percents() -> None:
    judged = judge_request(
        POLICY, door("a.example", 80), head("GET /p?a=1%2F2&b=x+y;c&=d HTTP/1.1\nHost: a.example")
    )
    assert withheld(judged) == {"query_values": Withheld("query", (b"1/2", b"x+y", b"c", b"d"))}
    assert judged.attempt.path == "/p"


def test_a_request_without_a_query_withholds_nothing() -> None:
    for target in ("/p", "/p?", "/p?&"):
        judged = judge_request(POLICY, door("a.example", 80), head(f"GET {target} HTTP/1.1\nHost: a.example"))
        assert withheld(judged) == {}


@pytest.mark.parametrize(
    "raw",
    [
        "GET http://user:word@a.example/?q=1 HTTP/1.1\nHost: a.example",
        "GET http://a.example/?q=1 HTTP/1.1\nHost: user:word@a.example",
    ],
)
def test_who_an_authority_says_that_one_is_is_refused_and_withheld(raw: str) -> None:
    judged = judge_request(POLICY, door("127.0.0.1", 8888, Transport.FORWARD), head(raw))
    assert not judged.decision.allowed
    assert withheld(judged)["userinfo"] == Withheld("userinfo", (b"user:word",))
    assert "word" not in repr(judged)


def test_the_userinfo_of_a_tunnel_is_withheld() -> None:
    asked = head("CONNECT user:word@a.example:443 HTTP/1.1\nHost: a.example:443")
    judged = judge_connect(POLICY, asked, door("127.0.0.1", 8888, Transport.FORWARD))
    assert withheld(judged) == {"userinfo": Withheld("userinfo", (b"user:word",))}
    assert not judged.decision.allowed
    assert "word" not in repr(judged)


def test_the_userinfo_of_a_server_name_is_withheld() -> None:
    judged = judge_tls(POLICY, door("a.example"), ClientHello("user:word@a.example", (), False))
    assert judged.facts["sni"] == "a.example"
    assert withheld(judged) == {"userinfo": Withheld("userinfo", (b"user:word",))}
    assert "word" not in repr(judged)
