"""HTTP/1.1 as a proxy needs it: heads, chunked bodies, and their rendering. h11 parses; nothing else imports it.

One object is one request and its answer: a new one for each, fed with what the last one left over. It does not look at
a body of known length: those bytes go past it.

Rule 1: what isn't unambiguous is refused with BadMessage, and nothing else is raised (two framings, a version other
than 1.0 or 1.1, userinfo, a target that is none of the four forms).
Rule 2: a message is rendered from what was parsed, never from its bytes; hop-by-hop fields end here (RFC 9110 7.6.1).
Rule 3: a head is at most HEAD_BYTES long with HEADER_COUNT fields.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence

import attrs
import h11

from trio_egress.errors import PeerError

HEAD_BYTES = 64 * 1024
"""One head (Node allows 16 KiB, Apache 100 lines of 8 KiB)."""

HEADER_COUNT = 128
"""Fields of one head (Apache's LimitRequestFields is 100)."""

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection te transfer-encoding upgrade http2-settings".split()
    + b"proxy-authorization proxy-authenticate proxy-authentication-info".split()
)
"""RFC 9110 7.6.1, RFC 9113 3.1, and the fields that speak to a proxy alone (RFC 9110 11.7)."""

FRAMING = frozenset((b"content-length", b"transfer-encoding", b"host", b"trailer"))
"""Never removed because `Connection` names them, and never taken from a trailer (RFC 9110 6.5.1)."""

Fields = tuple[tuple[bytes, bytes], ...]
"""Names as they were written, and values."""

Parsed = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values, as h11 gives them."""


class BadMessage(PeerError):
    """A message that can't be taken; `status` is what its sender may be told (RFC 9110 15.5)."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class Framing(enum.Enum):
    """How a body ends whose length its head doesn't tell."""

    CHUNKED = "chunked"
    UNTIL_CLOSE = "until close"


Body = int | Framing
"""Its exact length, or how it ends."""


@attrs.frozen
class Trailers:
    """The end of a chunked body, with the fields that came after it."""

    fields: Fields = ()


@attrs.frozen
class RequestHead:
    """A request as it is to be judged and sent on.

    `scheme` and `authority` are those of an absolute-form target, `authority` alone that of CONNECT; `path` is what
    goes upstream ("/…" or "*"); `host` is the Host field as given. `fields` hold what goes on, without Host.
    """

    method: str
    scheme: str | None
    authority: str | None
    path: str
    host: str | None
    fields: Fields
    body: Body
    persists: bool
    upgrades: tuple[str, ...] = ()


@attrs.frozen
class ResponseHead:
    """An answer, final or (`status` < 200) not, as it is to be sent on."""

    status: int
    phrase: bytes
    fields: Fields
    body: Body
    persists: bool


class _Side:
    """One h11 connection: bytes in, parsed values out, and the way back."""

    def __init__(self, role: type[h11.CLIENT | h11.SERVER], head_bytes: int, header_count: int) -> None:
        self._h11 = h11.Connection(role, max_incomplete_event_size=head_bytes)
        self._head_bytes = head_bytes
        self._header_count = header_count
        self._ended = False

    def feed(self, raw: bytes) -> None:
        """Bytes of the peer; empty, once and last, at the end of its stream."""
        self._ended = not raw
        self._h11.receive_data(raw)

    def body(self) -> bytes | Trailers | None:
        """The next piece of a chunked body, its end, or None for more bytes."""
        match self._next():
            case h11.Data(data=data):
                return bytes(data)
            case h11.EndOfMessage(headers=headers):
                return Trailers(_only_trailing(headers.raw_items()))
        return None

    def leftover(self) -> bytes:
        """What was fed and not parsed; the object is of no use for parsing after this."""
        return bytes(self._h11.trailing_data[0])

    def render_piece(self, data: bytes) -> bytes:
        """A piece of a body whose length the head didn't tell."""
        return self._h11.send(h11.Data(data=data)) or b""

    def _next(self) -> h11.Event | None:
        try:
            event = self._h11.next_event()
        except h11.RemoteProtocolError as error:
            raise (
                BadMessage("the connection ended inside a message") if self._ended else _bad(error)
            ) from None
        if isinstance(event, (h11.Request, h11.Response, h11.InformationalResponse)):
            self._check_head(event)
        return event if isinstance(event, h11.Event) else None

    def _check_head(self, event: h11.Request | h11.Response | h11.InformationalResponse) -> None:
        if event.http_version not in (b"1.0", b"1.1"):
            raise BadMessage("the HTTP version is neither 1.0 nor 1.1", 505)
        if len(event.headers) > self._header_count:
            raise BadMessage(f"a head has more than {self._header_count} fields", 431)
        # h11 bounds what is incomplete; a head that came whole in few reads can be longer.
        if sum(len(name) + len(value) for name, value in event.headers) > self._head_bytes:
            raise BadMessage(f"a head has more than {self._head_bytes} bytes", 431)
        names = {name for name, _ in event.headers}
        if {b"content-length", b"transfer-encoding"} <= names:
            raise BadMessage("a message has both Content-Length and Transfer-Encoding (RFC 9112 6.1)")
        if b"transfer-encoding" in names and event.http_version == b"1.0" and isinstance(event, h11.Request):
            raise BadMessage("an HTTP/1.0 request has Transfer-Encoding (RFC 9112 6.1)")


class AgentSide(_Side):
    """What we are to the agent: a server for one request."""

    def __init__(self, head_bytes: int = HEAD_BYTES, header_count: int = HEADER_COUNT) -> None:
        super().__init__(h11.SERVER, head_bytes, header_count)
        self._modern = True

    def head(self) -> RequestHead | None:
        """The request, or None for more bytes. After an empty `feed` there always is one or an error."""
        match self._next():
            case h11.Request() as event:
                self._modern = event.http_version == b"1.1"
                return _request_head(event)
            case h11.ConnectionClosed():
                raise BadMessage("the agent closed the connection before a request")
        return None

    def render_head(self, head: ResponseHead, *, close: bool = False) -> bytes:
        """An answer's head. `close` says that the connection ends after it."""
        fields = [*head.fields, *([(b"Connection", b"close")] if close else [])]
        if head.status >= 200:
            event = h11.Response(status_code=head.status, headers=fields, reason=head.phrase)
            return self._h11.send(event) or b""
        if not self._modern:  # HTTP/1.0 knows no interim answers (RFC 9110 15.2)
            return b""
        interim = h11.InformationalResponse(status_code=head.status, headers=fields, reason=head.phrase)
        return self._h11.send(interim) or b""

    def render_end(self, trailers: Trailers) -> bytes:
        """The end of a body whose length the head didn't tell."""
        return self._h11.send(h11.EndOfMessage(headers=list(trailers.fields) if self._modern else [])) or b""


class UpstreamSide(_Side):
    """What we are to an upstream: a client with one request."""

    def __init__(self, head_bytes: int = HEAD_BYTES, header_count: int = HEADER_COUNT) -> None:
        super().__init__(h11.CLIENT, head_bytes, header_count)
        self._method = ""

    def render_head(self, head: RequestHead, host: str) -> bytes:
        """The request's head, for the authority `host`."""
        self._method = head.method
        framing = [(b"Transfer-Encoding", b"chunked")] if head.body is Framing.CHUNKED else []
        fields = [(b"Host", host.encode("ascii")), *head.fields, *framing]
        return self._h11.send(h11.Request(method=head.method, target=head.path, headers=fields)) or b""

    def render_end(self, trailers: Trailers) -> bytes:
        """The end of a chunked body."""
        return self._h11.send(h11.EndOfMessage(headers=list(trailers.fields))) or b""

    def head(self) -> ResponseHead | None:
        """The next answer, interim ones included, or None for more bytes."""
        match self._next():
            case h11.InformationalResponse() | h11.Response() as event:
                return _response_head(self._method, event)
        return None


def split_authority(raw: str) -> tuple[str, int | None]:
    """The host text and the port of `host`, `host:port`, `[v6]` or `[v6]:port`. Raises BadMessage.

    The host text is not judged here: policy/hosts.py does that.
    """
    if raw.startswith("["):
        host, bracket, rest = raw.partition("]")
        host += bracket
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = raw.partition(":")
    if not host or colon not in ("", ":") or "@" in raw:
        raise BadMessage("a host must be `name`, `name:port`, `[address]` or `[address]:port`")
    if not port:
        return host, None
    if not re.fullmatch(r"[0-9]{1,5}", port, re.ASCII) or not 0 < int(port) < 65536:
        raise BadMessage("a port must be a number from 1 to 65535")
    return host, int(port)


def _request_head(event: h11.Request) -> RequestHead:
    method = event.method.decode("ascii")
    scheme, authority, path = _split_target(method, event.target.decode("ascii"))
    hosts = [value for name, value in event.headers if name == b"host"]
    options = _options(event.headers)
    return RequestHead(
        method=method,
        scheme=scheme,
        authority=authority,
        path=path,
        host=_text(hosts[0]) if hosts else None,
        fields=_only_end_to_end(event.headers.raw_items(), options, besides=b"host"),
        body=_request_body(event.headers),
        persists=event.http_version == b"1.1" and b"close" not in options,
        upgrades=tuple(_text(token).lower() for token in _tokens(event.headers, b"upgrade")),
    )


def _split_target(method: str, target: str) -> tuple[str | None, str | None, str]:
    """Scheme, authority and path of the four forms (RFC 9112 3.2)."""
    if method == "CONNECT":
        return None, target, ""
    if target.startswith("/") or (target == "*" and method == "OPTIONS"):
        return None, None, target
    found = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)((?:[/?][^#]*)?)", target)
    if found is None:
        raise BadMessage("a request target must be a path, `http://host/path` or `*` (RFC 9112 3.2)")
    scheme, authority, path = found.groups()
    if not path:
        path = "*" if method == "OPTIONS" else "/"
    return scheme.lower(), authority, path if path[0] in "/*" else f"/{path}"


def _request_body(headers: Parsed) -> Body:
    """RFC 9112 6.3; h11 has checked the values, and that there is one Content-Length."""
    for name, value in headers:
        if name == b"transfer-encoding":
            return Framing.CHUNKED
        if name == b"content-length":
            return int(value)
    return 0


def _response_head(method: str, event: h11.Response | h11.InformationalResponse) -> ResponseHead:
    options = _options(event.headers)
    body: Body = 0
    if event.status_code >= 200 and method != "HEAD" and event.status_code not in (204, 304):
        names = {name for name, _ in event.headers}
        body = _request_body(event.headers) if names & FRAMING else Framing.UNTIL_CLOSE
    return ResponseHead(
        status=event.status_code,
        phrase=bytes(event.reason),
        fields=_only_end_to_end(event.headers.raw_items(), options),
        body=body,
        persists=event.http_version == b"1.1" and b"close" not in options and body is not Framing.UNTIL_CLOSE,
    )


def _only_end_to_end(
    raw: list[tuple[bytes, bytes]], options: frozenset[bytes], besides: bytes = b""
) -> Fields:
    dropped = HOP_BY_HOP | (options - FRAMING) | {besides}
    return tuple((name, value) for name, value in raw if name.lower() not in dropped)


def _only_trailing(raw: list[tuple[bytes, bytes]]) -> Fields:
    return tuple((name, value) for name, value in raw if name.lower() not in HOP_BY_HOP | FRAMING)


def _options(headers: Parsed) -> frozenset[bytes]:
    return frozenset(_tokens(headers, b"connection"))


def _tokens(headers: Parsed, name: bytes) -> list[bytes]:
    values = b",".join(value for field, value in headers if field == name)
    return [token.strip().lower() for token in values.split(b",") if token.strip()]


def _text(raw: bytes) -> str:
    """Latin-1, as RFC 9110 5.5 reads a field: any byte is some text, and a strange one is refused where it is used."""
    return raw.decode("latin-1")


def _bad(error: h11.RemoteProtocolError) -> BadMessage:
    """h11's reason without the payload that it may quote."""
    found = re.match(r"[A-Za-z][A-Za-z -]*?(?= *(?:bytearray|b['\"]|[^A-Za-z -]|$))", str(error))
    return BadMessage(
        f"not HTTP/1.1: {found.group().lower() if found else 'malformed'}", error.error_status_hint
    )
