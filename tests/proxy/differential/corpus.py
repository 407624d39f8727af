"""Requests that are valid, odd or malicious: what each says on one connection of the agent, and what becomes of it.

A case is bytes and an expectation. What is said is followed by LAST, which is read as a request of its own wherever the
case leaves the connection whole; so nothing of a case can lie in wait for what comes after it.
Another protocol's cases (HTTP/2 to HTTP/1.1) need another way of saying them, and the same expectation.
A malicious one names its control: a reader to whom the same bytes, sent straight, say `/smuggled` as well.
"""

from __future__ import annotations

import enum

import attrs
from tests.proxy.differential.servers import Read

HOST = "api.example"
LAST = b"GET /last HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: api.example\r\n\r\n"


class End(enum.Enum):
    """How it goes on after what was read."""

    GOES_ON = "the connection takes LAST"
    CLOSES = "the connection has ended well"
    BREAKS = "one more request was allowed, and broken off with its connection"


@attrs.frozen
class Refused:
    """The status that is answered (inside TLS 421 for another host), and the layer of the receipt."""

    status: int = 400
    layer: str = "malformed"


@attrs.frozen
class Case:
    raw: bytes
    reads: tuple[Read, ...] = ()
    end: End | Refused = End.GOES_ON
    control: str | None = None
    """http.server, or a reader of old_fashioned.py."""
    but: frozenset[str] = frozenset()
    """Servers that refuse it themselves, or know no chunks."""
    door: str | None = None
    """The only one by which it is said: plain, or tls."""
    starts_otherwise: bool = False
    """Its first bytes are not those of HTTP: without TLS it is refused for that, and never parsed."""
    cut: bool = False
    """The agent says no more, and ends its side; by the plain door, where one side can."""

    @property
    def goes_on(self) -> bool:
        """Whether LAST is read. A denial ends no connection, unless nobody knows where the next request begins."""
        if isinstance(self.end, Refused):
            return self.end.layer not in ("malformed", "limit")
        return self.end is End.GOES_ON


REFUSED = Refused()
HEAD = b"Host: api.example\r\n"
A = Read("GET", "/a")
POST = Read("POST", "/a")
SMUGGLED_READ = Read("GET", "/smuggled")
CHUNKLESS = frozenset({"http.server"})
"""It knows no chunks, and says so to the first."""

CASES: dict[str, Case] = {}


def add(name: str, raw: bytes, *reads: Read, end: End | Refused = End.GOES_ON, **more: object) -> None:
    assert name not in CASES
    CASES[name] = Case(raw, reads, end, **more)  # type: ignore[arg-type]


def refuse(
    name: str,
    raw: bytes,
    control: str | None = None,
    status: int = 400,
    layer: str = "malformed",
    **more: object,
) -> None:
    add(name, raw, end=Refused(status, layer), control=control, **more)


def get(fields: bytes = b"", line: bytes = b"GET /a HTTP/1.1", host: bytes = HEAD) -> bytes:
    return line + b"\r\n" + host + fields + b"\r\n"


def post(fields: bytes = b"", body: bytes = b"", line: bytes = b"POST /a HTTP/1.1") -> bytes:
    return get(fields, line) + body


def measured(body: bytes, fields: bytes = b"", line: bytes = b"POST /a HTTP/1.1") -> bytes:
    return post(b"Content-Length: %d\r\n" % len(body) + fields, body, line)


def chunked(body: bytes, fields: bytes = b"") -> bytes:
    return post(b"Transfer-Encoding: chunked\r\n" + fields, body)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


# valid

add("get", get(), A)
add("post", measured(b"abc"), Read("POST", "/a", b"abc"))
add("post nothing", measured(b""), POST)
add("post without a length", post(), POST)
add("put", measured(b"abc", line=b"PUT /a HTTP/1.1"), Read("PUT", "/a", b"abc"))
add("pipelined", get() + measured(b"abc") + get(), A, Read("POST", "/a", b"abc"), A)
add(
    "chunks",
    chunked(chunk(b"abc") + chunk(b"defg") + b"0\r\n\r\n"),
    Read("POST", "/a", b"abcdefg"),
    but=CHUNKLESS,
)
add("no chunk", chunked(b"0\r\n\r\n"), POST, but=CHUNKLESS)
add(
    "chunks and a pipelined one",
    chunked(chunk(b"a") + b"0\r\n\r\n") + get(),
    Read("POST", "/a", b"a"),
    A,
    but=CHUNKLESS,
)
add("a request as a body", measured(SMUGGLED), Read("POST", "/a", SMUGGLED))
add(
    "a request as a chunk",
    chunked(chunk(SMUGGLED) + b"0\r\n\r\n"),
    Read("POST", "/a", SMUGGLED),
    but=CHUNKLESS,
)
add("expect", measured(b"abc", b"Expect: 100-continue\r\n"), Read("POST", "/a", b"abc"))
add(
    "trailers",
    chunked(chunk(b"a") + b"0\r\nX-Sum: 1\r\n\r\n", b"Trailer: X-Sum\r\n"),
    Read("POST", "/a", b"a"),
    but=CHUNKLESS,
)
add("a query", get(line=b"GET /a?b=c&d=%20 HTTP/1.1"), Read("GET", "/a?b=c&d=%20"))
add("lower-case names", get().lower().replace(b"get", b"GET").replace(b"http/", b"HTTP/"), A)
add("close", get(b"Connection: close\r\n"), A, end=End.CLOSES)
add("absolute form", get(line=b"GET http://api.example/a HTTP/1.1"), A, door="plain")
add("absolute form inside TLS", get(line=b"GET https://api.example/a HTTP/1.1"), A, door="tls")
refuse(
    "absolute form in the clear",
    get(line=b"GET https://api.example/a HTTP/1.1"),
    status=403,
    layer="name_mismatch",
    door="plain",
)
refuse(
    "absolute form that is not",
    get(line=b"GET http://api.example/a HTTP/1.1"),
    status=403,
    layer="name_mismatch",
    door="tls",
)
add("http/1.0", b"GET /a HTTP/1.0\r\n\r\n", A, end=End.CLOSES)
add("http/1.0 that would go on", b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", A, end=End.CLOSES)
add(
    "http/1.0 with a body",
    b"POST /a HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
    Read("POST", "/a", b"abc"),
    end=End.CLOSES,
)
add("options", get(line=b"OPTIONS /a HTTP/1.1"), Read("OPTIONS", "/a"))
add("head", get(line=b"HEAD /a HTTP/1.1"), Read("HEAD", "/a"))
add(
    "an upgrade to h2c",
    get(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"),
    A,
)

# two framings: CL.TE, TE.CL, and Transfer-Encoding that some see and some don't

CL_TE = b"0\r\n\r\n" + SMUGGLED
TE_CL = chunk(SMUGGLED) + b"0\r\n\r\n"
FOUR = b"Content-Length: 4\r\n"  # up to the end of the first chunk's size

refuse("CL.TE", measured(CL_TE, b"Transfer-Encoding: chunked\r\n"), "chunks")
refuse("TE.CL", post(FOUR + b"Transfer-Encoding: chunked\r\n", TE_CL), "http.server")
refuse("TE.CL the other way round", post(b"Transfer-Encoding: chunked\r\n" + FOUR, TE_CL), "http.server")
refuse(
    "TE.CL with a length of nothing",
    post(b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", SMUGGLED),
    "http.server",
)
for name, line, status in (
    ("xchunked", b"Transfer-Encoding: xchunked", 501),
    ("identity", b"Transfer-Encoding: identity", 501),
    ("chunked, identity", b"Transfer-Encoding: chunked, identity", 501),
    ("identity, chunked", b"Transfer-Encoding: identity, chunked", 501),
    ("gzip, chunked", b"Transfer-Encoding: gzip, chunked", 501),
    ("two chunkeds", b"Transfer-Encoding: chunked, chunked", 501),
    ("two fields", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", 501),
    ("two fields the other way round", b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked", 501),
    ("an empty one beside", b"Transfer-Encoding:\r\nTransfer-Encoding: chunked", 501),
    ("quotes", b'Transfer-Encoding: "chunked"', 501),
    ("a parameter", b"Transfer-Encoding: chunked;q=1", 501),
    ("a comma behind", b"Transfer-Encoding: chunked,", 501),
    ("a comma before", b"Transfer-Encoding: ,chunked", 501),
    ("a space before the colon", b"Transfer-Encoding : chunked", 400),
    ("a tab before the colon", b"Transfer-Encoding\t: chunked", 400),
    ("a vertical tab", b"Transfer-Encoding: \x0bchunked", 400),
    ("a form feed", b"Transfer-Encoding:\x0cchunked", 400),
    ("a NUL behind", b"Transfer-Encoding: chunked\0", 400),
    ("a control character before", b"Transfer-Encoding: \x01chunked", 501),
    ("a byte of Latin-1 before", b"Transfer-Encoding: \xa0chunked", 501),
    ("a space in the name", b"Transfer Encoding: chunked", 400),
    ("a return in the name", b"Transfer-Encoding\r: chunked", 400),
    ("a return before", b"X: y\rTransfer-Encoding: chunked", 400),
    ("a return behind", b"Transfer-Encoding: chunked\rX: y", 400),
    ("a colon more", b"Transfer-Encoding:: chunked", 501),
    ("no colon", b"Transfer-Encoding chunked", 400),
    ("a name of Latin-1", b"Tr\xe4nsfer-Encoding: chunked", 400),
):
    # Who doesn't see it goes by the length; who does reads what the length covers as chunks.
    refuse(f"TE.TE {name}", post(FOUR + line + b"\r\n", TE_CL), "http.server", status)
for name, line in (
    ("a tab before the value", b"Transfer-Encoding:\tchunked"),
    ("blanks around the value", b"Transfer-Encoding:  \t chunked \t"),
    ("capitals", b"TRANSFER-ENCODING: CHUNKED"),
    ("a newline alone", b"Y: y\nTransfer-Encoding: chunked"),
    ("a fold inside", b"Transfer-Encoding:\r\n chunked"),
):
    refuse(f"TE.TE {name}", post(line + b"\r\n" + FOUR, TE_CL), "http.server")
    add(
        f"chunks by {name}",
        post(line + b"\r\n", chunk(b"a") + b"0\r\n\r\n"),
        Read("POST", "/a", b"a"),
        but=CHUNKLESS,
    )
REST = b"\r\n0\r\n\r\n"
for name, line in (
    ("an underscore", b"Transfer_Encoding: chunked"),
    ("another name", b"X-Transfer-Encoding: chunked"),
    ("a fold", b"X: y\r\n Transfer-Encoding: chunked"),
):
    # It is no Transfer-Encoding, here as there: what looks smuggled is judged as what it is, and what follows is none.
    reads = Read("POST", "/a", b"%x\r\n" % len(SMUGGLED)), SMUGGLED_READ
    add(f"TE.TE {name}", post(line + b"\r\n" + FOUR, TE_CL), *reads, end=REFUSED)
refuse(
    "TE in HTTP/1.0",
    b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" + FOUR + b"\r\n" + TE_CL,
    "lengths",
)
refuse("TE alone in HTTP/1.0", b"POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + TE_CL)

# lengths

LONG = SMUGGLED + b"x" * (100 - len(SMUGGLED))
TWO = b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(SMUGGLED)
refuse("CL.CL", post(TWO, SMUGGLED), "http.server")
refuse(
    "CL.CL the other way round",
    post(b"Content-Length: %d\r\nContent-Length: 0\r\n" % len(SMUGGLED), SMUGGLED),
    "last length",
)
refuse("CL.CL in a list", post(b"Content-Length: 0, %d\r\n" % len(SMUGGLED), SMUGGLED), "lengths")
refuse("CL.CL by zeros", post(b"Content-Length: 3\r\nContent-Length: 03\r\n", b"abc"))
for name, value in (
    ("signed", b"+100"),
    ("negative", b"-100"),
    ("hexadecimal", b"0x64"),
    ("with an exponent", b"1e2"),
    ("a fraction", b"100.0"),
    ("with a blank inside", b"1 00"),
    ("with an underscore", b"1_00"),
    ("of nothing", b""),
    ("in quotes", b'"100"'),
    ("with a comma", b"100,"),
    ("in other digits", "１００".encode()),
    ("with more", b"100 x"),
    ("with a NUL", b"100\0"),
    ("with a vertical tab", b"\x0b100"),
    ("with a control character", b"\x01100"),
    ("of forty digits", b"9" * 40),
    ("as a word", b"all"),
):
    refuse(f"length {name}", post(b"Content-Length: " + value + b"\r\n", LONG))
refuse(
    "length that wraps around at 64 bits", post(b"Content-Length: %d\r\n" % 2**64, SMUGGLED), "64 bits", 413
)
refuse("length too long for 63 bits", post(b"Content-Length: %d\r\n" % 2**63, SMUGGLED), None, 413)
refuse("length too long for a double", post(b"Content-Length: %d\r\n" % 2**53, SMUGGLED), None, 413)
refuse("length that is signed to some", post(b"Content-Length: -1\r\n", SMUGGLED), "lengths")
refuse("length that is hexadecimal to some", post(b"Content-Length: 0x2d\r\n", SMUGGLED), "lengths")
refuse("length with a space before the colon", post(b"Content-Length : 0\r\n", SMUGGLED), "http.server")
add("length twice", post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"), Read("POST", "/a", b"abc"))
add("length as a list", post(b"Content-Length: 3, 3\r\n", b"abc"), Read("POST", "/a", b"abc"))
add(
    "length with zeros",
    post(b"Content-Length: 0000000010\r\n", b"abcdefghij"),
    Read("POST", "/a", b"abcdefghij"),
)
add("length with blanks", post(b"Content-Length: \t 3 \t\r\n", b"abc"), Read("POST", "/a", b"abc"))
add(
    "length with an underscore in its name",
    post(b"Content_Length: %d\r\n" % len(SMUGGLED), SMUGGLED),
    POST,
    SMUGGLED_READ,
)
add("length folded", post(b"Content-Length:\r\n 3\r\n", b"abc"), Read("POST", "/a", b"abc"))
add(
    "length in a fold",
    post(b"X: y\r\n Content-Length: %d\r\n" % len(SMUGGLED), SMUGGLED),
    POST,
    SMUGGLED_READ,
)
add(
    "length that ends too soon",
    post(b"Content-Length: 1\r\n", b"ab\r\n\r\n"),
    Read("POST", "/a", b"a"),
    end=REFUSED,
)

# CL.0: a body that the method leads nobody to expect

for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS"):
    add(
        f"CL.0 {method.decode()}",
        measured(SMUGGLED, line=method + b" /a HTTP/1.1"),
        Read(method.decode(), "/a", SMUGGLED),
        control="no bodies",
    )
add(
    "TE.0",
    get(b"Transfer-Encoding: chunked\r\n") + chunk(SMUGGLED) + b"0\r\n\r\n",
    Read("GET", "/a", SMUGGLED),
    but=CHUNKLESS,
)

# chunks

for name, body in (
    ("signed", b"+1\r\na\r\n0\r\n\r\n"),
    ("negative", b"-1\r\na\r\n0\r\n\r\n"),
    ("with 0x", b"0x1\r\na\r\n0\r\n\r\n"),
    ("with a blank before", b" 1\r\na\r\n0\r\n\r\n"),
    ("with an underscore", b"1_0\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n"),
    ("of nothing", b"\r\na\r\n0\r\n\r\n"),
    ("as a word", b"all\r\na\r\n0\r\n\r\n"),
    ("with a NUL", b"1\0\r\na\r\n0\r\n\r\n"),
    ("with a comma", b"1,1\r\na\r\n0\r\n\r\n"),
    ("ended by a newline", b"1\na\n0\n\n"),
    ("ended by a return", b"1\ra\r\n0\r\n\r\n"),
    ("with thirty digits", b"0" * 29 + b"1\r\na\r\n0\r\n\r\n"),
    ("whose data is too long", b"1\r\nab\r\n0\r\n\r\n"),
    ("whose data ends with a newline", b"1\r\na\n0\r\n\r\n"),
    ("whose data ends with other bytes", b"1\r\naXX0\r\n\r\n"),
    ("with an extension that ends with a newline", b"1;x\na\r\n0\r\n\r\n"),
    ("with an extension that holds a newline", b"1;a\nx\r\n" + TE_CL),
    ("with an extension that holds a return", b"1;a\rb\na\r\n0\r\n\r\n"),
    ("with an extension without end", b"1;" + b"x" * 200_000),
    ("with a blank before its extension", b"1 ;x\r\na\r\n0\r\n\r\n"),
    ("with a bad trailer", b"0\r\nX : y\r\n\r\n"),
    ("with a trailer that is none", b"0\r\n" + SMUGGLED),
    ("with too many trailers", b"0\r\n" + b"X: y\r\n" * 200 + b"\r\n"),
    ("with too long a trailer", b"0\r\nX: " + b"y" * 200_000 + b"\r\n\r\n"),
):
    add(f"chunk {name}", chunked(body), end=End.BREAKS, but=CHUNKLESS)
add(
    "chunk that wraps around at 32 bits",
    chunked(b"100000000\r\n" + b"\r\n" + SMUGGLED),
    end=End.BREAKS,
    control="32 bits",
    cut=True,
    but=CHUNKLESS,
)
add(
    "chunk that wraps around at 64 bits",
    chunked(b"10000000000000000\r\n" + b"\r\n" + SMUGGLED),
    end=End.BREAKS,
    control="64 bits",
    cut=True,
    but=CHUNKLESS,
)
for name, body in (
    ("with an extension", b"1;x\r\na\r\n0\r\n\r\n"),
    ("with an extension of a value", b'1;x="y;z"\r\na\r\n0;last\r\n\r\n'),
    ("with zeros", b"00000001\r\na\r\n000\r\n\r\n"),
    ("in capitals", b"A\r\n" + b"a" * 10 + b"\r\n0\r\n\r\n"),
    ("with blanks behind", b"1  \t\r\na\r\n0 \r\n\r\n"),
):
    data = b"a" * 10 if b"A\r\n" in body else b"a"
    add(f"chunk {name}", chunked(body), Read("POST", "/a", data), but=CHUNKLESS)
FRAMING = (
    b"Content-Length: 50\r\nTransfer-Encoding: chunked\r\nHost: evil.example\r\nConnection: close\r\n"
    b"TE: x\r\nUpgrade: x\r\n"
)
add(
    "trailers that would frame",
    chunked(chunk(b"a") + b"0\r\n" + FRAMING + b"\r\n"),
    Read("POST", "/a", b"a"),
    but=CHUNKLESS,
)

# hosts

refuse("two hosts", get(b"Host: evil.example\r\n"))
refuse("two hosts alike", get(HEAD))
refuse("no host", get(host=b""))
refuse("another host", get(host=b"Host: evil.example\r\n"), status=403, layer="name_mismatch")
refuse(
    "another host in absolute form",
    get(line=b"GET http://evil.example/a HTTP/1.1"),
    status=403,
    layer="name_mismatch",
)
refuse(
    "absolute form against another host",
    get(line=b"GET http://api.example/a HTTP/1.1", host=b"Host: evil.example\r\n"),
    status=403,
    layer="name_mismatch",
)
refuse("absolute form without a host", get(line=b"GET http:///a HTTP/1.1"))
refuse(
    "absolute form of another scheme",
    get(line=b"GET ftp://api.example/a HTTP/1.1"),
    status=403,
    layer="protocol",
    door="tls",
)
refuse("a user before the host", get(line=b"GET http://api.example@evil.example/a HTTP/1.1"))
refuse("a user in Host", get(host=b"Host: api.example@evil.example\r\n"))
refuse("two names in Host", get(host=b"Host: api.example, evil.example\r\n"))
refuse("a blank in Host", get(host=b"Host: api.example evil.example\r\n"))
refuse("a path in Host", get(host=b"Host: api.example/x\r\n"))
refuse("a port that is none", get(host=b"Host: api.example:80x\r\n"))
refuse("another port", get(host=b"Host: api.example:8080\r\n"), status=403, layer="name_mismatch")
refuse("Host behind a space", get(host=b"Host : api.example\r\n"))
refuse("Host in the first fold", b"GET /a HTTP/1.1\r\n Host: api.example\r\n\r\n")
add("an empty port", get(host=b"Host: api.example:\r\n"), A)
add("capitals in Host", get(host=b"Host: API.Example\r\n"), attrs.evolve(A, host=("API.Example",)))
add("a dot behind Host", get(host=b"Host: api.example.\r\n"), A)
add(
    "other names of the host",
    get(b"X-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\nX-Host: evil.example\r\n"),
    A,
)
add("Host by connection option", get(b"Connection: Host, Content-Length\r\nContent-Length: 0\r\n"), A)

# lines and fields

refuse("a return alone", get(b"X: a\rGET /smuggled HTTP/1.1\r\r\n"))
refuse("a return ends the request line", b"GET /a HTTP/1.1\rHost: api.example\r\n\r\n")
refuse("two returns", get(b"X: a\r\rGET /smuggled HTTP/1.1\r\rY: b\r\n"), "returns")
add("newlines alone", get().replace(b"\r\n", b"\n"), A)
add("newlines and returns mixed", b"GET /a HTTP/1.1\nHost: api.example\r\n\n", A)
add("a fold", get(b"X: a\r\n\tb\r\n"), A)
add("a fold of nothing", get(b"X: a\r\n \r\nY: b\r\n"), A)
refuse("a fold first", b"GET /a HTTP/1.1\r\n X: y\r\nHost: api.example\r\n\r\n")
refuse("a NUL in a value", get(b"X: a\0b\r\n"))
refuse("a NUL in a name", get(b"X\0Y: b\r\n"))
for code in (1, 8, 0x0B, 0x0C, 0x0E, 0x1B, 0x1F, 0x7F):
    refuse(f"control character {code:02x} in a value", get(b"X: a%cb\r\n" % code))
refuse("a name of nothing", get(b": y\r\n"))
refuse("a name with a blank", get(b"X Y: z\r\n"))
refuse("a name in brackets", get(b"X(Y): z\r\n"))
refuse("a line without a colon", get(b"X\r\n"))
add("a byte of Latin-1", get(b"X: \xe4\r\n"), A)
add("a value of nothing", get(b"X:\r\n"), A)
add("a strange name", get(b"!#$%&'*+-.^_`|~: y\r\n"), A)
refuse("a head that is too long", get(b"X: " + b"y" * 70_000 + b"\r\n"), status=431, layer="limit")
refuse(
    "a line that is too long", get(line=b"GET /" + b"a" * 70_000 + b" HTTP/1.1"), status=431, layer="limit"
)
refuse("too many fields", get(b"X: y\r\n" * 200), status=431, layer="limit")
refuse("a head without end", b"GET /a HTTP/1.1\r\nX: " + b"y" * 200_000, status=431, layer="limit")

# what is expected, and what is hop by hop

for value in (
    b"200-ok",
    b"100-continue, x",
    b"y 100-continue",
    b"100-continue;q=1",
    b"100-continue\r\nExpect: 100-continue",
):
    refuse(f"expect {value.decode()!r}", measured(SMUGGLED, b"Expect: " + value + b"\r\n"), status=417)
add("expect in capitals", measured(b"abc", b"Expect: 100-Continue\r\n"), Read("POST", "/a", b"abc"))
add(
    "options that would take framing away",
    measured(b"abc", b"Connection: Content-Length\r\n"),
    Read("POST", "/a", b"abc"),
)
add("options that take fields away", get(b"Connection: X-A, Cookie\r\nX-A: 1\r\nCookie: a\r\n"), A)
refuse(
    "an upgrade to something",
    get(b"Connection: Upgrade\r\nUpgrade: something\r\n"),
    status=403,
    layer="protocol",
)

# methods, targets, versions

refuse("HTTP/0.9", b"GET /a\r\n")
refuse("HTTP/0.9 with a host", b"GET /a\r\nHost: api.example\r\n\r\n")
for version, status in (
    (b"HTTP/0.9", 505),
    (b"HTTP/1.2", 505),
    (b"HTTP/2.0", 505),
    (b"HTTP/3.0", 505),
    (b"HTTP/1", 400),
    (b"HTTP/1.10", 400),
    (b"HTTP/01.1", 400),
    (b"http/1.1", 400),
    (b"HTTP/1.1 ", 400),
    (b"HTTP/1,1", 400),
    (b"HTTPS/1.1", 400),
    (b"ICY/1.1", 400),
    (b"HTTP /1.1", 400),
):
    refuse(f"version {version.decode()!r}", get(line=b"GET /a " + version), status=status)
refuse("a preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", status=505)
refuse("two spaces", get(line=b"GET  /a HTTP/1.1"), starts_otherwise=True)
refuse("a tab", get(line=b"GET\t/a HTTP/1.1"), starts_otherwise=True)
refuse("a blank before", get(line=b" GET /a HTTP/1.1"), starts_otherwise=True)
refuse("a blank in the target", get(line=b"GET /a /smuggled HTTP/1.1"))
refuse("a request line of more words", get(line=b"GET /a HTTP/1.1 GET /smuggled HTTP/1.1"))
refuse("an empty line before", b"\r\n" + get(), starts_otherwise=True)
refuse("no method", get(line=b"/a HTTP/1.1"), starts_otherwise=True)
refuse("a method that is none", get(line=b"G(T /a HTTP/1.1"), starts_otherwise=True)
refuse("a method of Latin-1", get(line=b"G\xe4T /a HTTP/1.1"), starts_otherwise=True)
refuse("a target of Latin-1", get(line=b"GET /\xe4 HTTP/1.1"))
refuse("a target with a NUL", get(line=b"GET /a\0b HTTP/1.1"))
refuse("a target with a control character", get(line=b"GET /a\x01b HTTP/1.1"))
refuse("a target with a return", get(line=b"GET /a\rb HTTP/1.1"))
refuse("a target that is a name", get(line=b"GET a HTTP/1.1"), starts_otherwise=True)
refuse("a target that is a star", get(line=b"GET * HTTP/1.1"))
refuse("a target that is a query", get(line=b"GET ?a HTTP/1.1"), starts_otherwise=True)
refuse("a target with a fragment", get(line=b"GET /a#/../b HTTP/1.1"))
refuse("a target with a fragment in its query", get(line=b"GET /a?b#c HTTP/1.1"))
refuse(
    "CONNECT",
    get(line=b"CONNECT evil.example:443 HTTP/1.1", host=b"Host: evil.example:443\r\n"),
    status=403,
    layer="name_mismatch",
)
add(
    "a method in lower case",
    get(line=b"get /a HTTP/1.1"),
    Read("get", "/a"),
    door="tls",
    but=frozenset({"nginx", "node", "gunicorn", "aiohttp"}),
)
add(
    "a method of its own",
    get(line=b"FROBNICATE /a HTTP/1.1"),
    Read("FROBNICATE", "/a"),
    but=frozenset({"node", "aiohttp"}),
)
add(
    "a query with everything",
    get(line=b'GET /a?"<>[]^`{|}\\;:@/?%zz%00 HTTP/1.1'),
    Read("GET", '/a?"<>[]^`{|}\\;:@/?%zz%00'),
)
for name, path in (
    ("two slashes", b"//a"),
    ("two slashes inside", b"/b//a"),
    ("dots", b"/b/../a"),
    ("a dot", b"/./a"),
    ("encoded dots", b"/b/%2e%2e/a"),
    ("a backslash", b"/b\\..\\a"),
    ("a semicolon", b"/b/..;/a"),
    ("an encoded NUL", b"/a%00"),
    ("an encoded newline", b"/a%0d%0ab"),
    ("a second layer of escapes", b"/%252e%252e/a"),
    ("an escape that is none", b"/a%zz"),
    ("overlong dots", b"/%c0%ae%c0%ae/a"),
    ("wide dots", b"/%EF%BC%8E%EF%BC%8E/a"),
):
    refuse(f"a path with {name}", get(line=b"GET " + path + b" HTTP/1.1"), status=403, layer="path")
add("a path with escapes", get(line=b"GET /%61%20b HTTP/1.1"), Read("GET", "/%61%20b"))
add("a path with an encoded slash", get(line=b"GET /a%2fb HTTP/1.1"), Read("GET", "/a%2fb"))
add(
    "a path of everything else",
    get(line=b"GET /a:b@c!$&'()*+,=~._- HTTP/1.1"),
    Read("GET", "/a:b@c!$&'()*+,=~._-"),
)

# what follows

refuse("garbage", b"\x00\x01\x02\x03garbage\r\n\r\n", starts_otherwise=True)
add("garbage behind", get() + b"garbage\r\n\r\n", A, end=REFUSED)
add("a malformed one behind", get() + get(b"X : y\r\n"), A, end=REFUSED)
add("a denied one behind", get() + get(host=b"Host: evil.example\r\n"), A, end=Refused(403, "name_mismatch"))
