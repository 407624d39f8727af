"""First bytes: what they are taken for, and that it is decided early and for good."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_egress.model import Protocol
from trio_egress.wire.sniff import SNIFF_BYTES, sniff

HTTP = [
    b"GET / HTTP/1.1\r\n",
    b"HEAD /x HTTP/1.0\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
    b"GET http://api.example.com/ HTTP/1.1\r\n",
    b"POST HTTPS://api.example.com/ HTTP/1.1\r\n",
    b"CONNECT api.example.com:443 HTTP/1.1\r\n",
    b"CONNECT [::1]:443 HTTP/1.1\r\n",
    b"VERSION-CONTROL /x HTTP/1.1\r\n",
    b"UPDATEREDIRECTREF https://api.example.com/ HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]
TLS = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x16\x03\x03\x00\x05"]
SSH = [b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", b"SSH-1.99-x\r\n", b"SSH- / HTTP/1.1\r\n"]
TCP = [
    b"SSH 2.0\r\n",
    b"USER anonymous\r\n",
    b"EHLO client.example\r\n",
    b"PING\r\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f",  # PostgreSQL's SSLRequest
    b"get / HTTP/1.1\r\n",
    b"GET  / HTTP/1.1\r\n",
    b"GET\t/ HTTP/1.1\r\n",
    b"\r\nGET / HTTP/1.1\r\n",
    b"GET httpd HTTP/1.1\r\n",
    b"CONNECT \x00\r\n",
    b"-GET / HTTP/1.1\r\n",
    b"EIGHTEENCHARACTERS / HTTP/1.1\r\n",
    b"\x16\x02\x01\x00\x05",  # a handshake record of another major version
    b"\x80\x2e\x01\x03\x01",  # SSL 2
    b"\x15\x03\x01\x00\x02",  # an alert
]
ALL = [
    (raw, protocol)
    for raws, protocol in (
        (HTTP, Protocol.HTTP),
        (TLS, Protocol.TLS),
        (SSH, Protocol.SSH),
        (TCP, Protocol.TCP),
    )
    for raw in raws
]


@pytest.mark.parametrize(("raw", "protocol"), ALL)
def test_first_bytes_tell_the_protocol(raw: bytes, protocol: Protocol) -> None:
    assert sniff(raw) is protocol


@pytest.mark.parametrize(("raw", "protocol"), ALL)
def test_at_every_split_point_it_needs_more_or_has_decided(raw: bytes, protocol: Protocol) -> None:
    answers = [sniff(raw[:size]) for size in range(len(raw) + 1)]
    assert answers[0] is None
    undecided = answers.index(protocol)
    assert answers == [None] * undecided + [protocol] * (len(answers) - undecided)


def test_the_longest_undecided_start_is_one_byte_under_the_limit() -> None:
    raw = b"UPDATEREDIRECTREF https"
    assert len(raw) == SNIFF_BYTES - 1
    assert sniff(raw) is None
    assert sniff(raw + b":") is Protocol.HTTP
    assert sniff(raw + b"/") is Protocol.TCP


@given(st.binary(max_size=40) | st.text("GETCON h/*:tps", max_size=40).map(str.encode), st.binary(max_size=8))
@example(b"CONNECT ", b"\x00")
@example(b"\x16", b"\x03")
def test_more_bytes_never_change_an_answer(raw: bytes, more: bytes) -> None:
    answer = sniff(raw)
    assert answer is not None or len(raw) < SNIFF_BYTES
    assert answer is None or sniff(raw + more) is answer
