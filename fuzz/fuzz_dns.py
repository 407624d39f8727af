"""Bytes are a query that dnspython reads as the same question, whose every answer it reads too, or raise PeerError."""

from __future__ import annotations

import re
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rcode
from driver import fuzz, instrumented

with instrumented():
    from trio_egress.errors import PeerError
    from trio_egress.wire.dns import (
        AAAA,
        QUERY_BYTES,
        A,
        Query,
        parse_query,
        render_addresses,
        render_denial,
        render_empty,
        render_malformed,
        take_message,
    )

NAME = re.compile(r"\.|[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
ADDRESSES = (ip_address("198.18.0.2"), ip_address("fd74:7269:6f65:6772::2"))


def check(raw: bytes) -> None:
    check_stream(raw)
    try:
        query = parse_query(raw)
    except PeerError:
        answer = render_malformed(raw)
        assert answer is None or (len(answer) == 12 and answer[:2] == raw[:2] and not raw[2] & 0x80)
        return
    assert NAME.fullmatch(query.name)
    assert len(query.name) <= 253
    theirs = dns.message.from_wire(raw, question_only=True)
    name = theirs.question[0].name
    assert query.name == (name.to_text(omit_final_dot=True).lower() if len(name) > 1 else ".")
    assert query.rdtype == theirs.question[0].rdtype
    check_answer(theirs, render_addresses(query, ADDRESSES, 300), int(query.rdtype in (A, AAAA)))
    check_answer(theirs, render_addresses(query, ADDRESSES * 100, 300), None)
    check_answer(theirs, render_empty(query), 0)
    check_denial(theirs, query, render_denial(query, "no rule allows €" * 50))


def check_answer(theirs: dns.message.Message, raw: bytes, count: int | None) -> dns.message.Message:
    assert len(raw) <= QUERY_BYTES
    answer = dns.message.from_wire(raw)
    assert answer.id == theirs.id
    assert answer.flags & dns.flags.QR
    assert answer.question == theirs.question
    assert count is None or sum(map(len, answer.answer)) == count
    return answer


def check_denial(theirs: dns.message.Message, query: Query, raw: bytes) -> None:
    answer = check_answer(theirs, raw, 0)
    assert answer.rcode() == dns.rcode.NXDOMAIN
    assert len(answer.options) == int(query.payload is not None)
    assert not answer.flags & dns.flags.TC


def check_stream(raw: bytes) -> None:
    """Messages taken off a stream, and what is left of it, are the stream."""
    rest = bytearray(raw)
    taken = b""
    try:
        while (message := take_message(rest)) is not None:
            taken += len(message).to_bytes(2, "big") + message
    except PeerError:
        pass
    assert taken + rest == raw


if __name__ == "__main__":
    fuzz(check, "dns")
