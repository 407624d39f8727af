"""A DNS query of one question, and the few answers that a stub gives to it.

It does not resolve, forward, cache or sign. dnspython judges it in the tests and is not used here: it costs
25 to 45 ms at start, 20 times as long a query, and imports modules by the record types that a sender picks.

Rule 1: a query is one question of class IN and at most one OPT record (RFC 6891), and not a byte more.
Rule 2: a label is 1 to 63 letters, digits, hyphens and underscores: a dot in a name always ends a label.
Rule 3: parsing raises PeerError and nothing else; an answer fits the client's limit, or says that it is cut.
"""

from __future__ import annotations

import enum
import re
import struct
from collections.abc import Sequence
from typing import Final

from trio_egress.errors import PeerError
from trio_egress.model import Address
from trio_egress.values import frozen
from trio_egress.wire.reader import Reader

QUERY_BYTES: Final = 1232
"""Limit of a query on every transport (DNS flag day 2020): a name takes 255, padding (RFC 8467) 468."""
NAME_BYTES: Final = 255
"""Limit of a name on the wire (RFC 1035 2.3.4), length bytes and the root included."""
_PLAIN_BYTES: Final = 512
_HEAD: Final = struct.Struct("!HHHHHH")
_OPT: Final = struct.Struct("!BHHIH")
_LENGTH: Final = 2

_QR, _TC, _RA = 0x8000, 0x0200, 0x0080
_OPCODE = 0x7800
_COPIED = 0x0110  # RD and CD go back as they came (RFC 1035 4.1.1, RFC 4035 3.2.2)
_IN = 1
_OPT_TYPE = 41
_OWNER = b"\xc0\x0c"  # the question's name, at offset 12
_EDE, _BLOCKED = 15, 15  # option and info code (RFC 8914 2, 4.16)
_TEXT_BYTES: Final = 160  # so that the longest name, the head and OPT stay under 512 bytes with it
_LABEL = re.compile(rb"[A-Za-z0-9_-]{1,63}")


A, AAAA = 1, 28
_ADDRESS_BYTES: Final = {A: 4, AAAA: 16}
_RDTYPES: Final = {
    A: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    10: "NULL",
    12: "PTR",
    15: "MX",
    16: "TXT",
    AAAA: "AAAA",
    33: "SRV",
    64: "SVCB",
    65: "HTTPS",
    255: "ANY",
}


class Rcode(enum.IntEnum):
    """RFC 1035 4.1.1."""

    NOERROR = 0
    FORMERR = 1
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5


@frozen
class Query:
    """One question. `name` is lower-case, without a last dot; the root is "." itself.

    `question` are its bytes as sent (the case of a name may be a nonce, it goes back unchanged); `payload` is
    how much the client takes over UDP by its OPT record, None without one.
    """

    id: int
    flags: int
    name: str
    rdtype: int
    question: bytes
    payload: int | None


def parse_query(raw: bytes) -> Query:
    """The query that is the whole of `raw`. Raises PeerError."""
    if len(raw) > QUERY_BYTES:
        raise PeerError(f"DNS query of more than {QUERY_BYTES} bytes")
    reader = Reader(raw, "DNS query")
    ident, flags, questions, answers, authorities, additional = _HEAD.unpack(reader.take(_HEAD.size))
    if flags & (_QR | _OPCODE):
        raise PeerError("DNS message is not a standard query")
    if questions != 1 or answers or authorities or additional > 1:
        counts = f"{questions}, {answers}, {authorities}, {additional}"
        raise PeerError(f"DNS query with record counts {counts}, expected 1, 0, 0, and 0 or 1")
    name = _parse_name(reader)
    rdtype, rdclass = reader.integer(2), reader.integer(2)
    if rdclass != _IN:
        raise PeerError(f"DNS query of class {rdclass}, expected IN ({_IN})")
    question = raw[_HEAD.size : reader.at]
    payload = _parse_opt(reader) if additional else None
    reader.end()
    return Query(ident, flags, name, rdtype, question, payload)


def render_rdtype(rdtype: int) -> str:
    """The name of a record type for people; those without one here are numbered (RFC 3597 5)."""
    return _RDTYPES.get(rdtype, f"TYPE{rdtype}")


def render_addresses(query: Query, addresses: Sequence[Address], ttl: int) -> bytes:
    """The addresses that the query's type asks for; none of that family, or another type: an empty answer."""
    wanted = _ADDRESS_BYTES.get(query.rdtype, 0)
    records = [
        _OWNER + struct.pack("!HHIH", query.rdtype, _IN, ttl, wanted) + address.packed
        for address in addresses
        if len(address.packed) == wanted
    ]
    return _render(query, Rcode.NOERROR, records)


def render_empty(query: Query) -> bytes:
    """The name is there, records of this type are not."""
    return _render(query, Rcode.NOERROR)


def render_denial(query: Query, text: str) -> bytes:
    """NXDOMAIN, so that it is final: after REFUSED clients ask again, glibc ten times, and call it a passing failure.

    A client that speaks EDNS is told why: Blocked, and `text`, cut to _TEXT_BYTES of UTF-8. No cache keeps it, since
    it has no SOA record (RFC 2308 5): another policy can allow the name at any time.
    """
    return _render_blocked(query, Rcode.NXDOMAIN, text)


def render_refusal(query: Query, text: str) -> bytes:
    """REFUSED, where nothing is said of the name: it may be there, or can't be one. Told as a denial is."""
    return _render_blocked(query, Rcode.REFUSED, text)


def _render_blocked(query: Query, rcode: Rcode, text: str) -> bytes:
    cut = text.encode("utf-8", "replace")[:_TEXT_BYTES].decode("utf-8", "ignore").encode()
    option = struct.pack("!HHH", _EDE, 2 + len(cut), _BLOCKED) + cut
    return _render(query, rcode, option=option)


def render_malformed(raw: bytes) -> bytes | None:
    """The answer to bytes that are no query: FORMERR, or NOTIMP for another opcode.

    None (silence) for less than a head, which nobody could match, and for a response: two would never stop.
    """
    if len(raw) < _HEAD.size:
        return None
    ident, flags = struct.unpack_from("!HH", raw)
    if flags & _QR:
        return None
    rcode = Rcode.NOTIMP if flags & _OPCODE else Rcode.FORMERR
    return _HEAD.pack(ident, _QR | flags & (_OPCODE | _COPIED) | rcode, 0, 0, 0, 0)


def take_message(buffer: bytearray) -> bytes | None:
    """Take the first message off a TCP stream (RFC 1035 4.2.2); None while it is incomplete.

    Raises PeerError for a length over QUERY_BYTES, after which the stream cannot be read on.
    """
    if len(buffer) < _LENGTH:
        return None
    end = _LENGTH + int.from_bytes(buffer[:_LENGTH], "big")
    if end > _LENGTH + QUERY_BYTES:
        raise PeerError(f"DNS query of {end - _LENGTH} bytes, expected at most {QUERY_BYTES}")
    if len(buffer) < end:
        return None
    message = bytes(buffer[_LENGTH:end])
    del buffer[:end]
    return message


def render_message(raw: bytes) -> bytes:
    """A message as it goes over TCP."""
    return len(raw).to_bytes(_LENGTH, "big") + raw


def _parse_name(reader: Reader) -> str:
    labels: list[str] = []
    start = reader.at
    while size := reader.integer(1):
        if size > 63:
            raise PeerError("DNS name with a pointer or an unknown label type in a question")
        label = reader.take(size)
        if not _LABEL.fullmatch(label):
            raise PeerError("DNS label with a byte that is no letter, digit, hyphen or underscore")
        labels.append(label.decode("ascii"))
        if reader.at + 1 - start > NAME_BYTES:
            raise PeerError(f"DNS name of more than {NAME_BYTES} bytes")
    return ".".join(labels).lower() or "."


def _parse_opt(reader: Reader) -> int:
    """RFC 6891 6.1. Its options are wishes (cookie, padding, subnet) that a stub need not grant."""
    root, rdtype, payload, extended, size = _OPT.unpack(reader.take(_OPT.size))
    if root or rdtype != _OPT_TYPE:
        raise PeerError(f"DNS query with an additional record of type {rdtype}, expected OPT ({_OPT_TYPE})")
    if extended & 0x00FF0000:
        raise PeerError("DNS query of an unknown EDNS version")
    reader.take(size)
    return int(payload)


def _render(query: Query, rcode: Rcode, records: Sequence[bytes] = (), option: bytes = b"") -> bytes:
    """The whole message. Records that are more than the client takes are left out, and TC says so."""
    edns = query.payload is not None
    opt = _OPT.pack(0, _OPT_TYPE, QUERY_BYTES, 0, len(option)) + option if edns else b""
    flags = _QR | _RA | query.flags & _COPIED | rcode
    limit = min(max(query.payload or 0, _PLAIN_BYTES), QUERY_BYTES)
    if _HEAD.size + len(query.question) + len(opt) + sum(map(len, records)) > limit:
        flags, records = flags | _TC, ()
    head = _HEAD.pack(query.id, flags, 1, len(records), 0, int(edns))
    return b"".join((head, query.question, *records, opt))
