"""HTTP/1.1 as a proxy needs it: heads, chunked bodies, and their rendering. h11 parses; nothing else imports it.

One object is one request and its answer: a new one for each, fed with what the last one left over. It does not look at
a body of known length: those bytes go past it. Heads of the usual form are read and written without h11, which is then
only asked, with the same bytes, where there is more to the message.

Rule 1: what isn't unambiguous is refused with BadMessage, and nothing else is raised (two framings, a version other
than 1.0 or 1.1, userinfo, a target that is none of the four forms, a length that some read as another number).
Rule 2: a message is rendered from what was parsed, never from its bytes; hop-by-hop fields end here (RFC 9110 7.6.1).
Rule 3: a head is at most HEAD_BYTES long with HEADER_COUNT fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

import h11

from trio_egress.wire.message import (
    FRAMING,
    HEAD_BYTES,
    HEADER_COUNT,
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
    describe_fault,
)
from trio_egress.wire.usual_heads import UsualHead, read_usual_request, read_usual_response

EXPECTS_NO_BODY = frozenset(("GET", "HEAD", "DELETE", "OPTIONS", "TRACE"))
"""Methods whose bodies have no meaning (RFC 9110 9.3.1): some servers don't read them, and take them for requests."""

_SWITCH = ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"))
"""What is never passed on as it came (RFC 9110 7.8), and said anew where it was judged."""

_LENGTHS = frozenset((b"content-length", b"transfer-encoding"))
_HOST = frozenset((b"host",))
_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

Parsed = Sequence[tuple[bytes, bytes]]
"""Names in lower case, and values, as h11 gives them."""


class _Side:
    """One message each way: bytes in, parsed values out, and the way back."""

    def __init__(self, role: type[h11.CLIENT | h11.SERVER], head_bytes: int, header_count: int) -> None:
        self._role = role
        self._machine: h11.Connection | None = None
        self._raw = b""
        """All that was fed, until h11 has it."""

        self._usual_bytes = 0
        """Of it, the head that was read without h11."""

        self._head_bytes = head_bytes
        self._header_count = header_count
        self._ended = False
        self._chunks = True

    def feed(self, raw: bytes) -> None:
        """Bytes of the peer; empty, once and last, at the end of its stream."""
        self._ended = not raw
        if self._machine is None and raw:
            self._raw += raw
        else:
            self._h11.receive_data(raw)

    def body(self) -> bytes | Trailers | None:
        """The next piece of a chunked body, its end, or None for more bytes."""
        match self._next():
            case h11.Data(data=data):
                return bytes(data)
            case h11.EndOfMessage(headers=headers):
                self._check_size(headers)
                _check_controls(headers)
                return Trailers(_only_trailing(headers.raw_items()))
        return None

    def leftover(self) -> bytes:
        """What was fed and not parsed; the object is of no use for parsing after this."""
        if self._machine is None:
            return self._raw[self._usual_bytes :]
        return bytes(self._machine.trailing_data[0])

    def render_piece(self, data: bytes) -> bytes:
        """A piece of a body."""
        return self._h11.send(h11.Data(data=data)) or b""

    def render_end(self, trailers: Trailers) -> bytes:
        """The end of a body that was rendered. Only after chunks there is a place for trailers (RFC 9112 7.1.2)."""
        fields = list(trailers.fields) if self._chunks else []
        return self._h11.send(h11.EndOfMessage(headers=fields)) or b""

    @property
    def _h11(self) -> h11.Connection:
        """h11's connection, which has been told whatever was told without it."""
        if self._machine is None:
            self._machine = h11.Connection(self._role, max_incomplete_event_size=self._head_bytes)
            self._tell_before(self._machine)
            if self._raw:
                self._machine.receive_data(self._raw)
            if self._usual_bytes:
                self._machine.next_event()
            self._tell_after(self._machine)
        return self._machine

    def _tell_before(self, machine: h11.Connection) -> None:
        """What was sent before anything was received."""

    def _tell_after(self, machine: h11.Connection) -> None:
        """What was sent when the head was received."""

    def _take_usual(self, read: Callable[[bytes], UsualHead | None]) -> UsualHead | None:
        """The head, where it is of the usual form and came whole with the first bytes."""
        if self._machine is not None or self._usual_bytes:
            return None
        usual = read(self._raw)
        if usual is not None:
            self._check_size(usual.fields, len(usual.line[1]) if self._role is h11.SERVER else 0)
            self._usual_bytes = usual.end
        return usual

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
        self._check_size(event.headers, len(event.target) if isinstance(event, h11.Request) else 0)
        names = {name for name, _ in event.headers}
        if {b"content-length", b"transfer-encoding"} <= names:
            raise BadMessage("a message has both Content-Length and Transfer-Encoding (RFC 9112 6.1)")
        if b"transfer-encoding" in names and event.http_version == b"1.0" and isinstance(event, h11.Request):
            raise BadMessage("an HTTP/1.0 request has Transfer-Encoding (RFC 9112 6.1)")

    def _check_size(self, fields: Parsed, more: int = 0) -> None:
        """Of a head, or of the trailers."""
        if len(fields) > self._header_count:
            raise BadMessage(f"a head has more than {self._header_count} fields", 431)
        # h11 bounds what is incomplete; a head that came whole in few reads can be longer.
        if more + sum([len(name) + len(value) for name, value in fields]) > self._head_bytes:
            raise BadMessage(f"a head has more than {self._head_bytes} bytes", 431)


class AgentSide(_Side):
    """What we are to the agent: a server for one request."""

    def __init__(self, head_bytes: int = HEAD_BYTES, header_count: int = HEADER_COUNT) -> None:
        super().__init__(h11.SERVER, head_bytes, header_count)
        self._modern = True
        self._request: RequestHead | None = None
        self._answer: tuple[ResponseHead, list[tuple[bytes, bytes]]] | None = None

    def head(self) -> RequestHead | None:
        """The request, or None for more bytes. After an empty `feed` there always is one or an error."""
        usual = self._take_usual(read_usual_request)
        if usual is not None:
            self._request = _request_head(*usual.line, b"1.1", usual.fields, usual.raw)
            return self._request
        match self._next():
            case h11.Request(method=method, target=target, http_version=version, headers=headers):
                self._modern = version == b"1.1"
                return _request_head(method, target, version, headers, headers.raw_items())
            case h11.ConnectionClosed():
                raise BadMessage("the agent closed the connection before a request")
        return None

    def render_head(self, head: ResponseHead, *, close: bool = False) -> bytes:
        """An answer's head. `close` says that the connection ends after it."""
        self._chunks = self._modern and not isinstance(head.body, int)
        fields = [*head.fields, *([(b"Connection", b"close")] if close else [])]
        if head.status == SWITCHING:
            fields += _SWITCH
        if head.status >= 200:
            usual = self._render_usual(head, close=close)
            if usual is not None:
                return usual
            event = h11.Response(status_code=head.status, headers=fields, reason=head.phrase)
            return self._h11.send(event) or b""
        if not self._modern:  # HTTP/1.0 knows no interim answers (RFC 9110 15.2)
            return b""
        interim = h11.InformationalResponse(status_code=head.status, headers=fields, reason=head.phrase)
        return self._h11.send(interim) or b""

    def _render_usual(self, head: ResponseHead, *, close: bool) -> bytes | None:
        """The head as h11 writes it, where request and answer are of the usual form and the length is told."""
        request = self._request
        if request is None or self._machine is not None or request.method == "CONNECT":
            return None
        ends = close or not request.persists
        fields = [*head.fields, *([(b"Connection", b"close")] if ends else [])]
        raw = _render(b"HTTP/1.1 %d %b" % (head.status, head.phrase), fields)
        usual = read_usual_response(raw)
        if usual is None or usual.end != len(raw) or usual.raw != fields:
            return None
        if usual.count(b"content-length") != 1 or usual.count(b"connection") != ends:
            return None
        self._answer = (head, fields)
        return raw

    def _tell_after(self, machine: h11.Connection) -> None:
        if self._answer is not None:
            head, fields = self._answer
            machine.send(h11.Response(status_code=head.status, headers=fields, reason=head.phrase))


class UpstreamSide(_Side):
    """What we are to an upstream: a client with one request. `last`: it was told that no other one follows."""

    def __init__(self, head_bytes: int = HEAD_BYTES, header_count: int = HEADER_COUNT) -> None:
        super().__init__(h11.CLIENT, head_bytes, header_count)
        self._method = ""
        self.last = False
        self._request: tuple[RequestHead, list[tuple[bytes, bytes]]] | None = None

    def render_head(self, head: RequestHead, host: str) -> bytes:
        """The request's head, for the authority `host`.

        One with a body that the server may leave unread, and take for a request, is the connection's last: where none
        is expected, and where it is asked first (`Expect`, RFC 9110 10.1.1).
        """
        self._method = head.method
        self._chunks = head.body is Framing.CHUNKED
        framing = [(b"Transfer-Encoding", b"chunked")] if self._chunks else []
        unread = head.method in EXPECTS_NO_BODY or any(name.lower() == b"expect" for name, _ in head.fields)
        self.last = head.body != 0 and unread
        if self.last:
            framing.append((b"Connection", b"close"))
        if head.opens_websocket:
            framing += _SWITCH
        fields = [(b"Host", host.encode("ascii")), *head.fields, *framing]
        line = (head.method.encode("ascii"), head.path.encode("ascii"))
        raw = _render(b"%b %b HTTP/1.1" % line, fields)
        usual = read_usual_request(raw) if self._machine is None else None
        if usual is not None and (usual.line, usual.raw, usual.end) == (line, fields, len(raw)):
            self._request = (head, fields)
            return raw
        return self._h11.send(h11.Request(method=head.method, target=head.path, headers=fields)) or b""

    def _tell_before(self, machine: h11.Connection) -> None:
        if self._request is not None:
            head, fields = self._request
            machine.send(h11.Request(method=head.method, target=head.path, headers=fields))

    def head(self) -> ResponseHead | None:
        """The next answer, interim ones included, or None for more bytes."""
        if self._machine is None and not self._raw:
            return None
        usual = self._take_usual(read_usual_response) if self._request is not None else None
        if usual is not None:
            status, phrase = usual.line
            return _response_head(self._method, int(status), phrase, b"1.1", usual.fields, usual.raw)
        match self._next():
            case h11.InformationalResponse() | h11.Response() as event:
                told, headers = (event.status_code, bytes(event.reason), event.http_version), event.headers
                return _response_head(self._method, *told, headers, headers.raw_items())
        return None


def _request_head(
    raw_method: bytes, target: bytes, version: bytes, headers: Parsed, raw: Parsed
) -> RequestHead:
    method = raw_method.decode("ascii")
    scheme, authority, path = _split_target(method, target.decode("ascii"))
    hosts = [value for name, value in headers if name == b"host"]
    options = _options(headers)
    _check_controls(headers)
    check_expectation([value for name, value in headers if name == b"expect"])
    upgrades = _upgrades(headers)
    # What follows a request for a WebSocket is no HTTP, whatever its answer is: nothing there is read as the next one.
    persists = version == b"1.1" and b"close" not in options and "websocket" not in upgrades
    return RequestHead(
        method=method,
        scheme=scheme,
        authority=authority,
        path=path,
        host=_text(hosts[0]) if hosts else None,
        fields=_only_end_to_end(raw, options, besides=_HOST),
        body=_request_body(headers),
        persists=persists,
        upgrades=upgrades,
        switches=version == b"1.1" and b"upgrade" in options,
        takes_trailers=b"trailers" in _tokens(headers, b"te"),
    )


def _render(line: bytes, fields: Parsed) -> bytes:
    """A head, unchecked."""
    return b"%b\r\n%b\r\n" % (line, b"".join([b"%b: %b\r\n" % field for field in fields]))


def _split_target(method: str, target: str) -> tuple[str | None, str | None, str]:
    """Scheme, authority and path of the four forms (RFC 9112 3.2)."""
    if method == "CONNECT":
        return None, target, ""
    if (target.startswith("/") and "#" not in target) or (target == "*" and method == "OPTIONS"):
        return None, None, target
    found = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]+)((?:[/?][^#]*)?)", target)
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
            return check_length(int(value))
    return 0


def _check_controls(fields: Parsed) -> None:
    """Characters that h11 lets through, and no value may have (RFC 9110 5.5)."""
    if _CONTROLS.search(b"".join([value for _, value in fields])):
        raise BadMessage("a field's value has a control character")


def _response_head(
    method: str, status: int, phrase: bytes, version: bytes, headers: Parsed, raw: Parsed
) -> ResponseHead:
    options = _options(headers)
    body: Body = 0
    if status >= 200 and method != "HEAD" and status not in (204, 304):
        names = {name for name, _ in headers}
        body = _request_body(headers) if names & _LENGTHS else Framing.UNTIL_CLOSE
    return ResponseHead(
        status=status,
        phrase=phrase,
        fields=_only_end_to_end(raw, options),
        body=body,
        persists=version == b"1.1" and b"close" not in options and body is not Framing.UNTIL_CLOSE,
        upgrades=_upgrades(headers),
        switches=b"upgrade" in options,
    )


def _only_end_to_end(raw: Parsed, options: frozenset[bytes], besides: Collection[bytes] = ()) -> Fields:
    """`Content-Length` in its usual digits: to some a leading zero begins an octal number."""
    kept = []
    for name, value in raw:
        lower = name.lower()
        if lower in HOP_BY_HOP or lower in besides or (lower in options and lower not in FRAMING):
            continue
        kept.append((name, b"%d" % int(value) if lower == b"content-length" else value))
    return tuple(kept)


def _only_trailing(raw: list[tuple[bytes, bytes]]) -> Fields:
    return tuple((name, value) for name, value in raw if name.lower() not in NEVER_TRAILING)


def _upgrades(headers: Parsed) -> tuple[str, ...]:
    return tuple([_text(token) for token in _tokens(headers, b"upgrade")])


def _options(headers: Parsed) -> frozenset[bytes]:
    return frozenset(_tokens(headers, b"connection"))


def _tokens(headers: Parsed, name: bytes) -> list[bytes]:
    values = [value for field, value in headers if field == name]
    if not values:
        return []
    return [token.strip().lower() for token in b",".join(values).split(b",") if token.strip()]


def _text(raw: bytes) -> str:
    """Latin-1, as RFC 9110 5.5 reads a field: any byte is some text, and a strange one is refused where it is used."""
    return raw.decode("latin-1")


def _bad(error: h11.RemoteProtocolError) -> BadMessage:
    return BadMessage(f"not HTTP/1.1: {describe_fault(error)}", error.error_status_hint)
