"""The opening handshake of a WebSocket (RFC 6455 4, RFC 8441 5): what is asked for, and whether that is the answer.

Knows no HTTP version's bytes: heads in, values out. What an upstream is asked for is what can be followed: of
extensions, permessage-deflate alone (RFC 7692 7).

Rule 1: what isn't unambiguous is refused with BadMessage, and nothing else is raised.
Rule 2: an answer that takes what was not offered is refused: a subprotocol, an extension, a parameter of one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from trio_egress.values import frozen
from trio_egress.wire.message import BadMessage, Fields, RequestHead, ResponseHead, drop_fields

WEBSOCKET: Final = "websocket"
VERSION: Final = b"13"
EXTENSIONS: Final = b"sec-websocket-extensions"

_KEY, _ACCEPT = b"sec-websocket-key", b"sec-websocket-accept"
_PROTOCOL, _VERSION, _ORIGIN = b"sec-websocket-protocol", b"sec-websocket-version", b"origin"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
NONCE_BYTES: Final = 16

_DEFLATE = b"permessage-deflate"
_CLIENT_ALONE, _SERVER_ALONE = b"client_no_context_takeover", b"server_no_context_takeover"
_CLIENT_BITS, _SERVER_BITS = b"client_max_window_bits", b"server_max_window_bits"
_BITS = re.compile(rb"[89]|1[0-5]")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PARAMETER = re.compile(
    rb"""([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*=[ \t]*(?:"([0-9A-Za-z]*)"|([0-9A-Za-z]+)))?"""
)
OFFERS_MOST: Final = 16
"""Offers of extensions, and subprotocols (a browser makes one offer, and programs name a few subprotocols)."""

Parameters = dict[bytes, bytes | None]


@frozen
class Deflate:
    """Compression that was agreed on: whether each side's messages build on those before (context takeover)."""

    client_takes_over: bool
    server_takes_over: bool


@frozen
class Opening:
    """What a client asks for. `protocols`: in its order."""

    key: bytes
    origin: str | None
    protocols: tuple[str, ...]
    offers: tuple[Parameters, ...]

    def adapt(self, head: RequestHead) -> RequestHead:
        """The request as it goes on: with the offers that can be followed."""
        fields = drop_fields(
            head.fields, (EXTENSIONS,)
        )  # hop-by-hop, as it were: both ends and we must follow
        if self.offers:
            fields = (*fields, (b"Sec-WebSocket-Extensions", b", ".join(map(_render_offer, self.offers))))
        return attrs.evolve(head, fields=fields, opens_websocket=True)


@frozen
class Opened:
    """What a server has agreed to."""

    protocol: str | None
    deflate: Deflate | None


def parse_opening(head: RequestHead) -> Opening:
    """Of a request that asks for a WebSocket. Raises BadMessage."""
    if head.method != "GET" or not head.switches:
        raise BadMessage("a WebSocket is asked for by `GET`, with `Connection: Upgrade` (RFC 6455 4.1)")
    if head.body != 0:
        raise BadMessage("the request for a WebSocket has a body")
    if _find_one(head.fields, _VERSION) != VERSION:
        raise BadMessage("a WebSocket's version must be 13 (RFC 6455 4.1)")
    key = _find_one(head.fields, _KEY)
    if key is None or not _is_nonce(key):
        raise BadMessage("Sec-WebSocket-Key must be 16 bytes in base64 (RFC 6455 4.1)")
    origin = _find_one(head.fields, _ORIGIN)
    return Opening(
        key,
        None if origin is None else origin.decode("latin-1"),
        _parse_protocols(head.fields),
        _parse_offers(head.fields),
    )


def check_opened(opening: Opening, head: ResponseHead) -> Opened:
    """What the answer to it has agreed to. Raises BadMessage."""
    if head.upgrades != (WEBSOCKET,) or not head.switches:
        raise BadMessage("it switches to something that isn't a WebSocket")
    if _find_one(head.fields, _ACCEPT) != compute_accept(opening.key):
        raise BadMessage("Sec-WebSocket-Accept isn't the answer to what was asked (RFC 6455 4.1)")
    protocol = _find_one(head.fields, _PROTOCOL)
    if protocol is not None and protocol.decode("latin-1") not in opening.protocols:
        raise BadMessage("it chooses a subprotocol that was not offered (RFC 6455 4.1)")
    chosen = _split_extensions(head.fields)
    if len(chosen) > 1:
        raise BadMessage("it chooses several extensions, and one was offered")
    deflate = _check_deflate(opening.offers, *chosen[0]) if chosen else None
    return Opened(None if protocol is None else protocol.decode("latin-1"), deflate)


def add_key(head: RequestHead, nonce: bytes) -> RequestHead:
    """A request out of HTTP/2, where there are no keys, as it is in HTTP/1.1. `nonce`: 16 random bytes."""
    return attrs.evolve(head, fields=(*head.fields, (b"Sec-WebSocket-Key", base64.b64encode(nonce))))


def add_accept(head: ResponseHead, request: RequestHead) -> ResponseHead:
    """An answer out of HTTP/2 to a request with a key, as it is in HTTP/1.1."""
    key = _find_one(request.fields, _KEY) or b""
    return attrs.evolve(head, fields=(*head.fields, (b"Sec-WebSocket-Accept", compute_accept(key))))


def compute_accept(key: bytes) -> bytes:
    """Sec-WebSocket-Accept for a key (RFC 6455 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def _check_deflate(offers: Sequence[Parameters], name: bytes, chosen: Parameters | None) -> Deflate:
    """RFC 7692 7.1: whether it is an answer to one of the offers."""
    if name != _DEFLATE or chosen is None or not _is_answer(chosen):
        raise BadMessage("it chooses an extension that was not offered (RFC 6455 4.1)")
    if not any(_answers(offer, chosen) for offer in offers):
        raise BadMessage(
            "it agrees to other parameters of permessage-deflate than were offered (RFC 7692 5.1)"
        )
    return Deflate(_CLIENT_ALONE not in chosen, _SERVER_ALONE not in chosen)


def _answers(offer: Parameters, chosen: Parameters) -> bool:
    if _SERVER_ALONE in offer and _SERVER_ALONE not in chosen:
        return False
    if _CLIENT_BITS in chosen and _CLIENT_BITS not in offer:
        return False
    asked = offer.get(_SERVER_BITS)
    if asked is None:
        return True
    said = chosen.get(_SERVER_BITS)
    return said is not None and int(said) <= int(asked)


def _is_answer(chosen: Parameters) -> bool:
    """`client_max_window_bits` has a value in an answer (RFC 7692 7.1.2.2)."""
    return _CLIENT_BITS not in chosen or chosen[_CLIENT_BITS] is not None


def _parse_offers(fields: Fields) -> tuple[Parameters, ...]:
    """Those of permessage-deflate that are well formed; the others are not made for the client."""
    return tuple(
        parameters
        for name, parameters in _split_extensions(fields)
        if name == _DEFLATE and parameters is not None
    )


def _split_extensions(fields: Fields) -> list[tuple[bytes, Parameters | None]]:
    """Names and parameters, which are None where they are none of permessage-deflate's. Raises BadMessage."""
    found: list[tuple[bytes, Parameters | None]] = []
    for item in _split(fields, EXTENSIONS):
        name, *parameters = (part.strip(b" \t") for part in item.split(b";"))
        if not _TOKEN.fullmatch(name):
            raise BadMessage("Sec-WebSocket-Extensions names no extension (RFC 6455 9.1)")
        found.append((name, _parse_parameters(parameters)))
    return found


def _parse_parameters(raw: Iterable[bytes]) -> Parameters | None:
    """RFC 7692 7.1; None where something is strange or said twice."""
    parameters: Parameters = {}
    for part in raw:
        match = _PARAMETER.fullmatch(part)
        if match is None or match[1] in parameters:
            return None
        value = match[2] if match[2] is not None else match[3]
        if not _is_parameter(match[1], value):
            return None
        parameters[match[1]] = value
    return parameters


def _is_parameter(name: bytes, value: bytes | None) -> bool:
    if name in (_CLIENT_ALONE, _SERVER_ALONE):
        return value is None
    if name == _CLIENT_BITS and value is None:
        return True
    return name in (_CLIENT_BITS, _SERVER_BITS) and value is not None and _BITS.fullmatch(value) is not None


def _render_offer(parameters: Parameters) -> bytes:
    said = (name if value is None else b"%b=%b" % (name, value) for name, value in parameters.items())
    return b"; ".join((_DEFLATE, *said))


def _parse_protocols(fields: Fields) -> tuple[str, ...]:
    names = _split(fields, _PROTOCOL)
    if len(set(names)) < len(names) or not all(map(_TOKEN.fullmatch, names)):
        raise BadMessage("Sec-WebSocket-Protocol must be different words (RFC 6455 4.1)")
    return tuple(name.decode("ascii") for name in names)


def _split(fields: Fields, wanted: bytes) -> list[bytes]:
    """The items of a list over all fields of that name; empty ones are none (RFC 9110 5.6.1)."""
    whole = b",".join(value for name, value in fields if name.lower() == wanted)
    items = [item for part in whole.split(b",") if (item := part.strip(b" \t"))]
    if len(items) > OFFERS_MOST:
        raise BadMessage(f"a WebSocket is offered with more than {OFFERS_MOST} subprotocols or extensions")
    return items


def _find_one(fields: Fields, wanted: bytes) -> bytes | None:
    """The value of a field that stands at most once."""
    values = [value for name, value in fields if name.lower() == wanted]
    if len(values) > 1:
        raise BadMessage(f"the field {wanted.decode('ascii')} stands there more than once")
    return values[0].strip(b" \t") if values else None


def _is_nonce(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == NONCE_BYTES
    except binascii.Error:
        return False
