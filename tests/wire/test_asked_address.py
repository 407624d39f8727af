"""What a request to the WebSocket endpoint asks for: every form that is taken, and everything else refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.wire.asked_address import Asked, find_endpoint, parse_asked
from trio_egress.wire.message import BadMessage

ENDPOINT = "/ws?url="


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/ws?url=wss://a.example", "/ws?url="),
        ("/ws?", "/ws?url="),
        ("/ws", "/ws?url="),
        ("/ws?other=1", "/ws?url="),
        ("/deep/ws?to=", "/deep/ws?to="),
        ("/wss?url=", None),
        ("/ws/?url=", None),
        ("/", None),
        ("*", None),
        ("//ws?url=", None),
        ("/%77s?url=", None),
    ],
)
def test_an_endpoint_is_known_by_its_path_alone(target: str, found: str | None) -> None:
    assert find_endpoint(target, (ENDPOINT, "/deep/ws?to=")) == found


@pytest.mark.parametrize(
    ("raw", "asked"),
    [
        ("wss://a.example/b", Asked(True, "a.example", "a.example", 443, "/b")),
        ("ws://a.example/b", Asked(False, "a.example", "a.example", 80, "/b")),
        ("wss://a.example", Asked(True, "a.example", "a.example", 443, "/")),
        ("wss://a.example?b=c", Asked(True, "a.example", "a.example", 443, "/?b=c")),
        ("WSS://A.Example:8443/b", Asked(True, "A.Example:8443", "A.Example", 8443, "/b")),
        (
            "wss%3A%2F%2Fa.example%2Fb%3Fc%3Dd%26e%3Df",
            Asked(True, "a.example", "a.example", 443, "/b?c=d&e=f"),
        ),
        ("wss://a.example/b?c=%2526", Asked(True, "a.example", "a.example", 443, "/b?c=%26")),
        ("wss://a.example/b+c", Asked(True, "a.example", "a.example", 443, "/b+c")),
        ("ws://127.0.0.1/", Asked(False, "127.0.0.1", "127.0.0.1", 80, "/")),
        ("wss://[::1]:8/", Asked(True, "[::1]:8", "[::1]", 8, "/")),
    ],
)
def test_an_address_is_decoded_once_and_taken_apart(raw: str, asked: Asked) -> None:
    assert parse_asked(ENDPOINT + raw, ENDPOINT) == asked


REFUSED = {
    "nothing": "",
    "no scheme": "a.example/b",
    "http": "http://a.example/",
    "https": "https://a.example/",
    "a file": "file:///etc/passwd",
    "no host": "wss:///b",
    "no host but a port": "wss://:443/",
    "userinfo": "wss://me:secret@a.example/",
    "userinfo, encoded": "wss%3A%2F%2Fme%40a.example/",
    "a fragment": "wss://a.example/b%23c",
    "port 0": "wss://a.example:0/",
    "a port that is too large": "wss://a.example:65536/",
    "a port that is none": "wss://a.example:https/",
    "a port in other digits": "wss://a.example:%D9%A1/",
    "a parameter more": "wss://a.example/&url=wss://b.example/",
    "another parameter": "wss://a.example/&x=1",
    "half an escape": "wss://a.example/%2",
    "no escape": "wss://a.example/%zz",
    "a space": "wss://a.example/b%20c",
    "a line": "wss://a.example/b%0d%0aX: y",
    "a NUL": "wss://a.example/%00",
    "a backslash": "wss:%5C%5Ca.example/",
    "a backslash in the host": "wss://a.example%5C@b.example/",
    "a name that is not ASCII": "wss://%C3%A4.example/",
    "two slashes too many": "wss:////a.example/",
    "one slash": "wss:/a.example/",
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_what_nobody_can_be_sure_of_is_refused(raw: str) -> None:
    with pytest.raises(BadMessage) as fault:
        parse_asked(ENDPOINT + raw, ENDPOINT)
    assert "secret" not in str(fault.value)


@pytest.mark.parametrize(
    "target", ["/ws", "/ws?", "/ws?x=1&url=wss://a.example/", "/ws?URL=wss://a.example/"]
)
def test_other_parameters_are_refused(target: str) -> None:
    with pytest.raises(BadMessage, match="by one parameter"):
        parse_asked(target, ENDPOINT)


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E)))
def test_whatever_is_asked_for_goes_on_in_the_characters_of_a_target(raw: str) -> None:
    try:
        asked = parse_asked(ENDPOINT + raw, ENDPOINT)
    except BadMessage:
        return
    assert asked.path.startswith("/")
    assert not set(asked.path) & set(' #\\"<>^`{|}\r\n\t\0')
    assert 0 < asked.port < 65536
    assert asked.host in asked.authority
    assert not set(asked.authority) & set("@/?#\\ ")
