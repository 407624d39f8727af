"""What a person writes of an attempt is the attempt that was meant, or is refused in words."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.model import Protocol
from trio_egress.policy.spelling import parse_spelling

REQUESTS = [
    ("https://api.example.com", "GET", "/", "api.example.com", 443, True, False),
    ("POST https://API.example.com./v1?a=1&b=2#part", "POST", "/v1", "api.example.com", 443, True, False),
    ("http://example.com:8080/x", "GET", "/x", "example.com", 8080, False, False),
    ("example.com", "GET", "/", "example.com", 443, True, False),
    ("example.com/x", "GET", "/x", "example.com", 443, True, False),
    ("example.com:80", "GET", "/", "example.com", 80, False, False),
    ("example.com:8080/x", "GET", "/x", "example.com", 8080, False, False),
    ("wss://example.com/socket", "GET", "/socket", "example.com", 443, True, True),
    ("example.com:443", "GET", "/", "example.com", 443, True, False),
    ("ws://example.com", "GET", "/", "example.com", 80, False, True),
    ("https://user:secret@example.com/", "GET", "/", "example.com", 443, True, False),
    ("http://[2001:db8::1]:81/", "GET", "/", "2001:db8::1", 81, False, False),
]

FORMS = "write a URL, perhaps after a method (`POST https://api.example.com/v1`), or `host:port`"

STREAMS = [
    ("tls://example.com", Protocol.TLS, 443),
    ("tcp://example.com:5432", Protocol.TCP, 5432),
    ("ssh://git@example.com", Protocol.SSH, 22),
    ("example.com:22", Protocol.SSH, 22),
    ("example.com:5432", Protocol.TCP, 5432),
    ("dns:example.com", Protocol.DNS, 0),
]


@pytest.mark.parametrize(("text", "method", "path", "host", "port", "secure", "websocket"), REQUESTS)
def test_a_request(
    text: str, method: str, path: str, host: str, port: int, secure: bool, websocket: bool
) -> None:
    spelt = parse_spelling(text)
    attempt = spelt.attempt
    assert (attempt.protocol, attempt.method, attempt.path) == (Protocol.HTTP, method, path)
    assert (str(attempt.host), attempt.port) == (host, port)
    assert (attempt.secure, attempt.websocket) == (secure, websocket)
    assert (spelt.connection is not None) == secure


@pytest.mark.parametrize(("text", "protocol", "port"), STREAMS)
def test_a_stream(text: str, protocol: Protocol, port: int) -> None:
    spelt = parse_spelling(text)
    assert (spelt.attempt.protocol, str(spelt.attempt.host), spelt.attempt.port) == (
        protocol,
        "example.com",
        port,
    )
    assert spelt.connection is None


def test_the_names_of_parameters_and_gits_service() -> None:
    assert parse_spelling("http://example.com/?a=1&b=2").attempt.query == frozenset({"a", "b"})
    spelt = parse_spelling("http://example.com/o/r/info/refs?service=git-upload-pack")
    assert spelt.attempt.service == "git-upload-pack"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a b c", f"'a b c' is no attempt: {FORMS}"),
        ("https://", f"'https://' is no attempt: {FORMS}"),
        ("https://2001:db8::1/", "an IPv6 address in a URL has brackets: https://[2001:db8::1]"),
        ("ftp://example.com", f"ftp:// is not judged here; {FORMS}"),
        ("ftp://example.com:21", f"ftp:// is not judged here; {FORMS}"),
        ("tcp://a.example", "tcp:// needs a port: tcp://a.example:5432"),
        (
            "ssh://example.com/path?x=y",
            "ssh:// with a path is git's: its query is service=git-upload-pack or service=git-receive-pack",
        ),
        ("POST ssh://example.com/path", "ssh:// has no method and no path"),
        ("a.example\\x", "a backslash ends the host for browsers, and not for curl: write what is meant"),
        ("GET dns:example.com", "dns: is followed by a name, and has no method"),
    ],
)
def test_a_refusal_says_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_spelling(text)
    assert str(refused.value) == reason


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nothing here",
        "a b c",
        "ftp://example.com",
        "tcp://example.com",
        "ssh://example.com/path?x=y",
        "POST ssh://example.com",
        "dns:127.0.0.1",
        "GET dns:example.com",
        "http://exa mple.com",
        "http://example.com:0",
        "http://a.example\\@b.example/",
        "http://2001:db8::1/",
        "http://",
    ],
)
def test_what_is_no_attempt_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_spelling(text)


@given(st.text())
def test_nothing_but_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_spelling(text).attempt.port in range(65536)
