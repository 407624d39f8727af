"""Heads and trailers of HTTP/2 to messages and back (RFC 9113 8); h2 has checked pseudo-header fields and their order.

Rule 1: what HTTP/1.1 couldn't carry, or would read as something else, is refused with BadMessage: whatever comes in as
        one may go out as the other.
Rule 2: a WebSocket, which is an extended CONNECT here (RFC 8441), is what it is in HTTP/1.1: a GET that would switch,
        and an answer 101 to it; its key has no meaning here, and is neither read nor said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus

from trio_egress.wire.message import (
    HOP_BY_HOP,
    NEVER_TRAILING,
    SWITCHING,
    BadMessage,
    Body,
    Fields,
    Framing,
    RequestHead,
    ResponseHead,
    Trailers,
    check_expectation,
    check_length,
    drop_fields,
)
from trio_egress.wire.websocket_opening import WEBSOCKET

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_PATH = re.compile(rb"[\x21\x22\x24-\x7e]+")
_KEYS = (b"sec-websocket-key", b"sec-websocket-accept")
_LENGTH = re.compile(rb"[0-9]{1,18}")

Raw = Iterable[tuple[bytes, bytes]]


def read_request(raw: Raw, *, ended: bool) -> RequestHead:
    """A request from its field section (RFC 9113 8.3.1). Raises BadMessage."""
    told, fields = _split(raw)
    if (protocol := told.get(b":protocol")) is not None:
        told, fields = _read_opening(protocol, told, fields, ended=ended)
        ended = True  # what follows is no body
    method, path = told.get(b":method", b""), told.get(b":path", b"")
    if not _METHOD.fullmatch(method):
        raise BadMessage("a method must be a token (RFC 9110 9.1)")
    if method != b"CONNECT" and not (
        _PATH.fullmatch(path) and (path.startswith(b"/") or (path == b"*" and method == b"OPTIONS"))
    ):
        raise BadMessage("a request's :path must be a path, or `*` for OPTIONS (RFC 9113 8.3.1)")
    check_expectation(value for name, value in fields if name == b"expect")
    hosts = [value for name, value in fields if name == b"host"]
    authority = told.get(b":authority")
    length = _read_body(fields)
    if ended and length not in (0, Framing.CHUNKED):
        raise BadMessage("Content-Length promises a body, and the stream ends without one (RFC 9113 8.1.1)")
    return RequestHead(
        method=method.decode("ascii"),
        scheme=_text(told[b":scheme"]).lower() if b":scheme" in told else None,
        authority=_text(authority) if authority is not None else None,
        path=path.decode("ascii"),
        host=_text(hosts[0]) if hosts else None,
        fields=_only_end_to_end(fields, besides=b"host"),
        body=0 if ended else length,
        persists=True,
        takes_trailers=(b"te", b"trailers") in fields,
        upgrades=(WEBSOCKET,) if protocol is not None else (),
        switches=protocol is not None,
        version=2,
    )


def _read_opening(
    protocol: bytes, told: dict[bytes, bytes], fields: list[tuple[bytes, bytes]], *, ended: bool
) -> tuple[dict[bytes, bytes], list[tuple[bytes, bytes]]]:
    """An extended CONNECT (RFC 8441 4), as a GET. Raises BadMessage."""
    if protocol != WEBSOCKET.encode("ascii"):
        raise BadMessage("an extended CONNECT is for a WebSocket alone here (RFC 8441 5)", 501)
    if ended or any(name == b"content-length" for name, _ in fields):
        raise BadMessage("the request for a WebSocket has a body, or an end")
    return {**told, b":method": b"GET"}, [pair for pair in fields if pair[0] not in _KEYS]


def read_answer(method: str, raw: Raw, *, ended: bool, opens: bool = False) -> ResponseHead:
    """An answer from its field section (RFC 9113 8.3.2); `opens`: to a request for a WebSocket. Raises BadMessage."""
    told, fields = _split(raw)
    said = told.get(b":status", b"")
    if not re.fullmatch(rb"[1-9][0-9]{2}", said) or said == b"101":
        raise BadMessage("an answer's :status must be a number of three digits, and not 101 (RFC 9113 8.6)")
    status = int(said)
    if opens and 200 <= status < 300:
        if ended or status != 200:
            raise BadMessage("a WebSocket is opened by 200, and goes on after it (RFC 8441 5)")
        switched = [pair for pair in fields if pair[0] not in _KEYS and pair[0] != b"content-length"]
        heading = SWITCHING, _find_phrase(SWITCHING), _only_end_to_end(switched), 0
        return ResponseHead(*heading, persists=True, upgrades=(WEBSOCKET,), switches=True)
    length = _read_body(fields)
    bodiless = status < 200 or method == "HEAD" or status in (204, 304)
    if ended and not bodiless and length not in (0, Framing.CHUNKED):
        raise BadMessage("Content-Length promises a body, and the stream ends without one (RFC 9113 8.1.1)")
    return ResponseHead(
        status=status,
        phrase=_find_phrase(status),
        fields=_only_end_to_end(fields),
        body=0 if bodiless or ended else length,
        persists=True,
    )


def render_request(head: RequestHead, host: str) -> list[tuple[bytes, bytes]]:
    """The field section of a request inside TLS, for the authority `host`."""
    opens = [(b":method", b"CONNECT"), (b":protocol", WEBSOCKET.encode("ascii"))]
    pseudo = [
        *(opens if head.opens_websocket else [(b":method", head.method.encode("ascii"))]),
        (b":scheme", b"https"),
        (b":authority", host.encode("ascii")),
        (b":path", head.path.encode("ascii")),
    ]
    fields = drop_fields(head.fields, _KEYS) if head.opens_websocket else head.fields
    return pseudo + _lower(fields) + ([(b"te", b"trailers")] if head.takes_trailers else [])


def render_answer(head: ResponseHead) -> list[tuple[bytes, bytes]]:
    if head.status == SWITCHING:
        return [(b":status", b"200"), *_lower(drop_fields(head.fields, _KEYS))]
    return [(b":status", b"%d" % head.status), *_lower(head.fields)]


def read_trailers(raw: Raw) -> Trailers:
    """Raises BadMessage."""
    fields = _read_fields(list(raw))
    return Trailers(tuple((name, value) for name, value in fields if name not in NEVER_TRAILING))


def render_trailers(trailers: Trailers) -> list[tuple[bytes, bytes]]:
    return _lower(trailers.fields)


def _split(raw: Raw) -> tuple[dict[bytes, bytes], list[tuple[bytes, bytes]]]:
    """Pseudo-header fields, which h2 has checked to be known, first and single; and the others."""
    pairs = list(raw)
    told = {name: value for name, value in pairs if name.startswith(b":")}
    return told, _read_fields([pair for pair in pairs if not pair[0].startswith(b":")])


def _read_fields(raw: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    for name, value in raw:
        if not _TOKEN.fullmatch(name):
            raise BadMessage("a field name must be a token in lower case (RFC 9113 8.2.1)")
        if not _VALUE.fullmatch(value):
            raise BadMessage("a field value has a control character (RFC 9110 5.5)")
    return [(bytes(name), bytes(value)) for name, value in raw]


def _read_body(fields: list[tuple[bytes, bytes]]) -> Body:
    """By Content-Length, of which there must be one, in digits; else the end of the stream tells."""
    lengths = [value for name, value in fields if name == b"content-length"]
    if not lengths:
        return Framing.CHUNKED
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise BadMessage("Content-Length must be one number of at most 18 digits (RFC 9110 8.6)")
    return check_length(int(lengths[0]))


def _only_end_to_end(fields: Fields | list[tuple[bytes, bytes]], besides: bytes = b"") -> Fields:
    """`Content-Length` in its usual digits: to some a leading zero begins an octal number."""
    return tuple(
        (name, b"%d" % int(value) if name == b"content-length" else value)
        for name, value in fields
        if name not in HOP_BY_HOP and name != besides
    )


def _lower(fields: Fields) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in fields]


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")


def _find_phrase(status: int) -> bytes:
    """HTTP/2 has none, and a client of HTTP/1.1 shows one."""
    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b""
