"""The fields of a ClientHello that judge a TLS connection.

It reads no socket and decrypts nothing: give it all bytes so far, get a ClientHello or None. Whether the name
in it is a name is not its business but the policy's.

Rule 1: a hello has at most HELLO_BYTES in at most HELLO_RECORDS records; from RAW_BYTES on it is never None.
Rule 2: bytes that cannot begin a ClientHello raise PeerError, and nothing else is raised.
Rule 3: a repeated extension, a second name or a byte left over is refused: two readers could see two names.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from trio_egress.errors import PeerError
from trio_egress.values import frozen
from trio_egress.wire.reader import Reader

HELLO_BYTES: Final = 16384
"""Limit of the message, head included: a full record (RFC 8446 5.1). Post-quantum ones have 1.8 KiB."""
HELLO_RECORDS: Final = 32
"""Limit of records that one hello may be cut into; clients that split it against middleboxes use 2 to 8."""
_RECORD_HEAD: Final = 5
RAW_BYTES: Final = HELLO_BYTES + HELLO_RECORDS * _RECORD_HEAD
"""The most bytes that can be needed before the answer is there."""

ACCESS_DENIED: Final = 49
INTERNAL_ERROR: Final = 80
UNRECOGNIZED_NAME: Final = 112

_ALERT, _HANDSHAKE, _CLIENT_HELLO = 21, 22, 1
_SERVER_NAME, _ALPN = 0, 16
_ECH = frozenset({0xFE0D, 0xFFCE})  # RFC 9849 and the older encrypted_server_name draft
_EXTENSION_HEAD = struct.Struct(">HH")
_HOST_NAME = 0
_HOST_NAME_BYTES = re.compile(rb"[A-Za-z0-9_.-]{1,255}")


@frozen
class ClientHello:
    """What a client says in clear about where it wants to go.

    `server_name` is the text as sent, or None. `ech`: an encrypted hello is offered, or pretended as browsers
    always do (GREASE), so that a second name behind it cannot be excluded.
    """

    server_name: str | None
    alpn: tuple[str, ...]
    ech: bool


def parse_client_hello(raw: bytes) -> ClientHello | None:
    """The ClientHello that `raw` begins with; None when it needs more. Records after it are left alone."""
    message = _join_records(raw)
    return None if message is None else _parse_message(message)


def render_alert(description: int) -> bytes:
    """A fatal alert in its own record (RFC 8446 6), as a server sends it before anything is negotiated."""
    return bytes((_ALERT, 3, 3, 0, 2, 2, description))


def _join_records(raw: bytes) -> bytes | None:
    """The handshake message at the start, without its records' heads; None while it is incomplete."""
    message = b""
    at = 0
    for _ in range(HELLO_RECORDS):
        _check_head(raw[at : at + _RECORD_HEAD])
        at += _RECORD_HEAD
        if len(raw) < at:
            return None
        promised = int.from_bytes(raw[at - 2 : at], "big")
        fragment = raw[at : at + promised]
        wanted = _wanted_bytes(message + fragment[:4])
        if wanted is not None and len(message) + promised > wanted:
            raise PeerError(f"TLS record goes on after the ClientHello of {wanted} bytes")
        if len(fragment) < promised:
            return None
        message += fragment
        at += promised
        if len(message) == wanted:
            return message
    raise PeerError(f"TLS ClientHello in more than {HELLO_RECORDS} records")


def _check_head(head: bytes) -> None:
    """Refuse the start of a record that cannot hold a ClientHello, as early as it shows."""
    if head and head[0] != _HANDSHAKE:
        raise PeerError(f"TLS record of type {head[0]}, expected a handshake ({_HANDSHAKE})")
    if len(head) > 1 and head[1] != 3:
        raise PeerError(f"TLS record of major version {head[1]}, expected 3")
    if len(head) == _RECORD_HEAD and not 1 <= int.from_bytes(head[3:], "big") <= HELLO_BYTES:
        raise PeerError(f"TLS record of {int.from_bytes(head[3:], 'big')} bytes, expected 1 to {HELLO_BYTES}")


def _wanted_bytes(message: bytes) -> int | None:
    """How long the handshake message says it is, with its head; None while that is not there."""
    if message and message[0] != _CLIENT_HELLO:
        raise PeerError(
            f"TLS handshake message of type {message[0]}, expected a ClientHello ({_CLIENT_HELLO})"
        )
    if len(message) < 4:
        return None
    wanted = 4 + int.from_bytes(message[1:4], "big")
    if wanted > HELLO_BYTES:
        raise PeerError(f"TLS ClientHello of {wanted} bytes, expected at most {HELLO_BYTES}")
    return wanted


def _parse_message(message: bytes) -> ClientHello:
    """RFC 8446 4.1.2; the fields that do not matter here are still checked for their form."""
    reader = Reader(message, "TLS ClientHello", start=4)
    if reader.take(2)[0] != 3:
        raise PeerError("TLS ClientHello of an unknown version")
    reader.take(32)
    if len(reader.vector(1)) > 32:
        raise PeerError("TLS session id of more than 32 bytes")
    suites = reader.vector(2)
    if not suites or len(suites) % 2:
        raise PeerError(f"TLS cipher suites of {len(suites)} bytes")
    if not reader.vector(1):
        raise PeerError("TLS ClientHello without a compression method")
    extensions = _parse_extensions(reader.vector(2)) if reader.more() else {}
    reader.end()
    server_name, alpn = extensions.get(_SERVER_NAME), extensions.get(_ALPN)
    return ClientHello(
        server_name=None if server_name is None else _parse_server_name(server_name),
        alpn=() if alpn is None else _parse_alpn(alpn),
        ech=not _ECH.isdisjoint(extensions),
    )


def _parse_extensions(raw: bytes) -> dict[int, bytes]:
    extensions: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(raw):
        kind, size = _EXTENSION_HEAD.unpack_from(raw, at)
        end = at + 4 + size
        if end > len(raw) or kind in extensions:
            break
        extensions[kind] = raw[at + 4 : end]
        at = end
    reader = Reader(raw, "TLS extensions", start=at)
    while reader.more():  # what is left is not as it should be
        kind = reader.integer(2)
        if kind in extensions:
            raise PeerError(f"TLS extension {kind} twice")
        extensions[kind] = reader.vector(2)
    return extensions


def _parse_server_name(raw: bytes) -> str:
    """RFC 6066 3: a list that holds one host_name."""
    outer = Reader(raw, "TLS server name list")
    reader = Reader(outer.vector(2), "TLS server name")
    outer.end()
    if reader.integer(1) != _HOST_NAME:
        raise PeerError("TLS server name of an unknown type")
    name = reader.vector(2)
    reader.end()
    if not _HOST_NAME_BYTES.fullmatch(name):
        raise PeerError("TLS server name is not 1 to 255 letters, digits, dots, hyphens and underscores")
    return name.decode("ascii")


def _parse_alpn(raw: bytes) -> tuple[str, ...]:
    """RFC 7301 3.1. Names are bytes; what is not ASCII (GREASE) is escaped."""
    outer = Reader(raw, "TLS ALPN list")
    reader = Reader(outer.vector(2), "TLS ALPN name")
    outer.end()
    names: list[bytes] = []
    while reader.more():
        names.append(reader.vector(1))
    if not all(names) or not names:
        raise PeerError("TLS ALPN without a name")
    return tuple(name.decode("ascii", "backslashreplace") for name in names)
