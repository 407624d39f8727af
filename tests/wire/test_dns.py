"""Queries of real clients and broken ones, and the answers as another implementation (dnspython) reads them."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.errors import PeerError
from trio_egress.model import Address
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
    render_message,
    render_rdtype,
    render_refusal,
    take_message,
)

CORPUS = Path(__file__).parents[2] / "fuzz" / "corpus" / "dns"
"""Sent by the clients that the files are named after (Debian 12, Node 18)."""
CAPTURED = {
    "glibc-a": ("api.example.com", A, None),
    "glibc-aaaa": ("api.example.com", AAAA, None),
    "node-a": ("api.example.com", A, None),
    "dnspython-edns-cookie-padding": ("api.example.com", 65, 4096),
    "dnspython-longest-name": (".".join(["a" * 63] * 3 + ["b" * 61]), 16, None),
    "dnspython-root": (".", 2, None),
}
V4, V6 = ip_address("198.18.0.2"), ip_address("fd74:7269:6f65:6772::2")
EXAMPLE = b"\x03api\x07example\x00"
OPT = struct.pack("!BHHIH", 0, 41, 1232, 0, 0)


def query(
    name: bytes = EXAMPLE,
    rdtype: int = A,
    rdclass: int = 1,
    flags: int = 0x0100,
    counts: Sequence[int] = (1, 0, 0, 0),
    rest: bytes = b"",
) -> bytes:
    return struct.pack("!HHHHHH", 0xBEEF, flags, *counts) + name + struct.pack("!HH", rdtype, rdclass) + rest


def with_opt(payload: int, size: int = 0) -> bytes:
    return query(counts=(1, 0, 0, 1), rest=struct.pack("!BHHIH", 0, 41, payload, 0, size) + bytes(size))


def labels(*sizes: int) -> bytes:
    return b"".join(bytes((size,)) + b"a" * size for size in sizes) + b"\x00"


def read_answer(raw: bytes, asked: bytes) -> dns.message.Message:
    """The answer as dnspython reads it, after its own check that it answers what was asked."""
    answer = dns.message.from_wire(raw)
    assert dns.message.from_wire(asked).is_response(answer)
    assert answer.flags & dns.flags.RA
    assert not answer.flags & (dns.flags.AA | dns.flags.AD)
    return answer


# queries


def test_every_captured_query_has_its_expectation() -> None:
    assert {path.name for path in CORPUS.iterdir()} == {*CAPTURED, "stream-of-two"}


@pytest.mark.parametrize("client", CAPTURED)
def test_a_real_query_is_read(client: str) -> None:
    raw = (CORPUS / client).read_bytes()
    parsed = parse_query(raw)
    assert (parsed.name, parsed.rdtype, parsed.payload) == CAPTURED[client]
    assert parsed.id == int.from_bytes(raw[:2], "big")


@pytest.mark.parametrize("client", CAPTURED)
def test_every_truncation_and_every_extension_of_a_real_query_is_refused(client: str) -> None:
    raw = (CORPUS / client).read_bytes()
    for size in range(len(raw)):
        with pytest.raises(PeerError):
            parse_query(raw[:size])
    with pytest.raises(PeerError, match="1 bytes too many"):
        parse_query(raw + b"\x00")


def test_the_case_of_a_name_is_given_back_and_does_not_matter() -> None:
    raw = query(b"\x03aPI\x07eXAMPLE\x00")
    parsed = parse_query(raw)
    assert parsed.name == "api.example"
    assert parsed.question == b"\x03aPI\x07eXAMPLE\x00\x00\x01\x00\x01"


@pytest.mark.parametrize("sizes", [(63,), (63, 63, 63, 61), (1,) * 127])
def test_a_name_may_fill_its_limit(sizes: tuple[int, ...]) -> None:
    parsed = parse_query(query(labels(*sizes)))
    assert parsed.name == ".".join("a" * size for size in sizes)
    assert len(labels(*sizes)) <= 255


@pytest.mark.parametrize("sizes", [(63, 63, 63, 62), (*(1,) * 126, 2), (63,) * 5])
def test_one_byte_over_the_limit_of_a_name_is_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(PeerError, match="name of more than 255"):
        parse_query(query(labels(*sizes)))


def test_a_query_may_fill_its_limit_and_one_byte_more_is_refused() -> None:
    room = QUERY_BYTES - len(with_opt(4096))
    assert parse_query(with_opt(4096, room)).payload == 4096
    with pytest.raises(PeerError, match="more than 1232 bytes"):
        parse_query(with_opt(4096, room + 1))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "cut short"),
        (query(flags=0x8100), "not a standard query"),
        (query(flags=0x2900), "not a standard query"),
        (query(counts=(0, 0, 0, 0)), "record counts 0, 0, 0, 0"),
        (query(counts=(2, 0, 0, 0), rest=EXAMPLE + b"\x00\x01\x00\x01"), "record counts 2, 0, 0, 0"),
        (query(counts=(1, 1, 0, 0), rest=OPT), "record counts 1, 1, 0, 0"),
        (query(counts=(1, 0, 1, 0), rest=OPT), "record counts 1, 0, 1, 0"),
        (query(counts=(1, 0, 0, 2), rest=OPT * 2), "record counts 1, 0, 0, 2"),
        (query(rdclass=3), "class 3"),
        (query(rdclass=255), "class 255"),
        (query(b"\xc0\x0c"), "pointer"),
        (query(b"\x03api\xc0\x0c"), "pointer"),
        (query(b"\x03api\xc0\x00"), "pointer"),
        (query(b"\x40api\x00"), "unknown label type"),
        (query(b"\x0bapi.example\x00"), "no letter, digit"),
        (query(b"\x04api\\\x00"), "no letter, digit"),
        (query(b"\x04api\x00\x00"), "no letter, digit"),
        (query(b"\x04api \x00"), "no letter, digit"),
        (query(b"\x04api\n\x00"), "no letter, digit"),
        (query(b"\x04ap\xc3\xbc\x00"), "no letter, digit"),
        (query(b"\x01*\x07example\x00"), "no letter, digit"),
        (query(rest=OPT), "11 bytes too many"),
        (query(counts=(1, 0, 0, 1), rest=b"\x01" + OPT[1:]), "additional record"),
        (
            query(counts=(1, 0, 0, 1), rest=struct.pack("!BHHIH", 0, 250, 255, 0, 0)),
            "additional record of type 250",
        ),
        (query(counts=(1, 0, 0, 1), rest=struct.pack("!BHHIH", 0, 41, 1232, 1 << 16, 0)), "EDNS version"),
        (
            query(counts=(1, 0, 0, 1), rest=struct.pack("!BHHIH", 0, 41, 1232, 0, 1)),
            "cut short: 1 bytes expected",
        ),
    ],
)
def test_what_is_not_one_plain_question_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(PeerError, match=why):
        parse_query(raw)


def test_dnspython_reads_a_dot_inside_a_label_as_another_name_and_here_it_is_none() -> None:
    raw = query(b"\x0bapi.example\x03com\x00")
    assert dns.message.from_wire(raw).question[0].name.to_text() == "api\\.example.com."
    with pytest.raises(PeerError, match="no letter, digit"):
        parse_query(raw)


LABELS = st.text("abcXYZ019-_", min_size=1, max_size=63)


@given(st.lists(LABELS, max_size=6), st.integers(0, 0xFFFF), st.none() | st.integers(0, 0xFFFF))
def test_what_dnspython_writes_is_read(words: list[str], rdtype: int, payload: int | None) -> None:
    name = dns.name.Name([*(word.encode() for word in words), b""]) if words else dns.name.root
    theirs = dns.message.make_query(
        name,
        dns.rdatatype.RdataType.make(rdtype),
        use_edns=-1 if payload is None else 0,
        payload=payload or 0,
    )
    parsed = parse_query(theirs.to_wire())
    assert parsed.name == (".".join(words).lower() or ".")
    assert (parsed.id, parsed.rdtype, parsed.payload) == (theirs.id, rdtype, payload)


@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda raw: query() + raw))
def test_any_bytes_are_a_query_or_refused(raw: bytes) -> None:
    try:
        parsed = parse_query(raw)
    except PeerError:
        return
    assert dns.message.from_wire(raw, question_only=True).question[0].rdtype == parsed.rdtype


# answers


@pytest.mark.parametrize(("client", "address"), [("glibc-a", V4), ("glibc-aaaa", V6), ("node-a", V4)])
def test_the_addresses_of_the_asked_family_are_answered_and_no_others(client: str, address: Address) -> None:
    raw = (CORPUS / client).read_bytes()
    answer = read_answer(render_addresses(parse_query(raw), (V4, V6), 300), raw)
    assert answer.rcode() == dns.rcode.NOERROR
    (rrset,) = answer.answer
    assert (rrset.name, rrset.ttl) == (answer.question[0].name, 300)
    assert [record.to_text() for record in rrset] == [str(address)]


@pytest.mark.parametrize("rdtype", [64, 65, 16, 255, 0xFFFF])
def test_any_other_type_is_answered_empty(rdtype: int) -> None:
    raw = query(rdtype=rdtype)
    for rendered in (render_addresses(parse_query(raw), (V4, V6), 300), render_empty(parse_query(raw))):
        answer = read_answer(rendered, raw)
        assert answer.rcode() == dns.rcode.NOERROR
        assert not answer.answer


def test_the_flags_that_belong_to_the_client_go_back_and_no_other() -> None:
    raw = query(flags=0x0100 | 0x0010 | 0x0020 | 0x0040)
    assert read_answer(render_empty(parse_query(raw)), raw).flags == (
        dns.flags.QR | dns.flags.RD | dns.flags.RA | dns.flags.CD
    )
    raw = query(flags=0)
    assert read_answer(render_empty(parse_query(raw)), raw).flags == dns.flags.QR | dns.flags.RA


BLOCKED = pytest.mark.parametrize(
    ("render", "rcode"), [(render_denial, dns.rcode.NXDOMAIN), (render_refusal, dns.rcode.REFUSED)]
)


@BLOCKED
def test_a_denial_says_why_to_a_client_with_edns(
    render: Callable[[Query, str], bytes], rcode: dns.rcode.Rcode
) -> None:
    raw = with_opt(1232)
    answer = read_answer(render(parse_query(raw), "no rule allows api.example"), raw)
    assert answer.rcode() == rcode
    (option,) = answer.options
    assert isinstance(option, dns.edns.EDEOption)
    assert (option.code, option.text) == (dns.edns.EDECode.BLOCKED, "no rule allows api.example")


@BLOCKED
def test_a_denial_says_nothing_to_a_client_without_edns(
    render: Callable[[Query, str], bytes], rcode: dns.rcode.Rcode
) -> None:
    answer = read_answer(render(parse_query(query()), "no rule allows api.example"), query())
    assert answer.rcode() == rcode
    assert answer.edns == -1


@pytest.mark.parametrize("text", ["x" * 1000, "€" * 1000, "a" + "€" * 1000, "\ud800" * 1000])
def test_a_long_reason_is_cut_between_characters_and_fits_the_smallest_client(text: str) -> None:
    raw = query(labels(63, 63, 63, 61), counts=(1, 0, 0, 1), rest=struct.pack("!BHHIH", 0, 41, 512, 0, 0))
    rendered = render_refusal(parse_query(raw), text)
    assert len(rendered) <= 512
    (option,) = read_answer(rendered, raw).options
    assert isinstance(option, dns.edns.EDEOption)
    assert option.text
    assert text.encode("utf-8", "replace").decode().startswith(option.text)
    assert 157 < len(option.text.encode()) <= 160


@pytest.mark.parametrize(
    ("payload", "limit"),
    [(None, 512), (0, 512), (512, 512), (513, 513), (1232, 1232), (1233, 1232), (65535, 1232)],
)
def test_answers_over_the_clients_limit_are_left_out_and_it_is_told(payload: int | None, limit: int) -> None:
    raw = query() if payload is None else with_opt(payload)
    parsed = parse_query(raw)
    room = limit - len(render_empty(parsed))
    fitting = render_addresses(parsed, [V4] * (room // 16), 300)
    assert limit - 16 < len(fitting) <= limit
    assert not dns.message.from_wire(fitting).flags & dns.flags.TC
    cut = read_answer(render_addresses(parsed, [V4] * (room // 16 + 1), 300), raw)
    assert cut.flags & dns.flags.TC
    assert not cut.answer


@pytest.mark.parametrize(
    ("rdtype", "text"), [(A, "A"), (AAAA, "AAAA"), (65, "HTTPS"), (16, "TXT"), (65280, "TYPE65280")]
)
def test_types_are_named_as_people_name_them(rdtype: int, text: str) -> None:
    assert render_rdtype(rdtype) == text
    assert dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rdtype)) == text


# malformed


@pytest.mark.parametrize(
    ("raw", "rcode"),
    [
        (query(rdclass=3), dns.rcode.FORMERR),
        (query()[:12], dns.rcode.FORMERR),
        (query()[:20], dns.rcode.FORMERR),
        (query(b"\xc0\x0c"), dns.rcode.FORMERR),
        (query(flags=0x2900), dns.rcode.NOTIMP),
    ],
)
def test_a_malformed_query_is_told_so_under_its_id(raw: bytes, rcode: dns.rcode.Rcode) -> None:
    rendered = render_malformed(raw)
    assert rendered is not None
    answer = dns.message.from_wire(rendered)
    assert (answer.id, answer.rcode()) == (0xBEEF, rcode)
    assert answer.opcode() == dns.opcode.from_flags(int.from_bytes(raw[2:4], "big"))
    assert not answer.question


@pytest.mark.parametrize("raw", [b"", query()[:11], query(flags=0x8100), query(flags=0xA900)])
def test_a_torn_head_and_a_response_get_silence(raw: bytes) -> None:
    assert render_malformed(raw) is None


# streams


def test_messages_are_taken_off_a_stream_cut_anywhere() -> None:
    stream = (CORPUS / "stream-of-two").read_bytes()
    names = ["glibc-a", "glibc-aaaa"]
    for cuts in itertools.combinations(range(len(stream)), 2):
        buffer, taken = bytearray(), []
        for start, end in itertools.pairwise((0, *cuts, len(stream))):
            buffer += stream[start:end]
            while (message := take_message(buffer)) is not None:
                taken.append(message)
        assert not buffer
        assert taken == [(CORPUS / name).read_bytes() for name in names]


def test_a_message_may_fill_its_limit_on_a_stream_and_one_byte_more_is_refused_by_its_length() -> None:
    buffer = bytearray(render_message(bytes(QUERY_BYTES)) + b"next")
    assert take_message(buffer) == bytes(QUERY_BYTES)
    assert buffer == b"next"
    with pytest.raises(PeerError, match="1233 bytes, expected at most 1232"):
        take_message(bytearray((QUERY_BYTES + 1).to_bytes(2, "big")))


def test_an_empty_message_is_taken_and_is_no_query() -> None:
    buffer = bytearray(b"\x00\x00\x00")
    assert take_message(buffer) == b""
    assert buffer == b"\x00"
    assert take_message(buffer) is None


def test_a_query_is_a_value() -> None:
    assert parse_query(query()) == Query(
        0xBEEF, 0x0100, "api.example", A, EXAMPLE + b"\x00\x01\x00\x01", None
    )
