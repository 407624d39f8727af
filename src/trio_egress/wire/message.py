"""HTTP messages as values, whatever version they are spoken in (RFC 9110), and what every version refuses alike.

Rule 1: what isn't unambiguous is refused with BadMessage, and nothing else is raised.
Rule 2: a message is rendered from these, never from its bytes; hop-by-hop fields are in none of them (RFC 9110 7.6.1).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterable

from trio_egress.errors import PeerError
from trio_egress.values import frozen
from trio_egress.wire.overrides import OVERRIDES

HEAD_BYTES = 64 * 1024
"""One head (Node allows 16 KiB, Apache 100 lines of 8 KiB)."""

HEADER_COUNT = 128
"""Fields of one head (Apache's LimitRequestFields is 100)."""

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-connection te transfer-encoding upgrade http2-settings".split()
    + b"proxy-authorization proxy-authenticate proxy-authentication-info alt-svc".split()
)
"""RFC 9110 7.6.1, RFC 9113 3.1, the fields that speak to a proxy alone (RFC 9110 11.7), and Alt-Svc, which names ways
to the server that the agent hasn't (RFC 7838): QUIC, or another host."""

FRAMING = frozenset((b"content-length", b"transfer-encoding", b"host", b"trailer"))
"""Never removed because `Connection` names them."""

NEVER_TRAILING = HOP_BY_HOP | FRAMING | OVERRIDES
"""Never taken from a trailer (RFC 9110 6.5.1)."""

LENGTH_MAX = 2**53 - 1
"""A body's (RFC 7493 2.2): the greatest that a receipt can tell; what is more is another number to some readers."""

SWITCHING = 101
"""The status that ends HTTP on a connection (RFC 9110 15.2.2). Of a stream of HTTP/2 it is said of what opens one."""

Fields = tuple[tuple[bytes, bytes], ...]
"""Names as they were written, and values."""


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


@frozen
class Trailers:
    """The end of a chunked body, with the fields that came after it."""

    fields: Fields = ()


@frozen
class RequestHead:
    """A request as it is to be judged and sent on.

    `scheme` and `authority` are those of an absolute-form target, `authority` alone that of CONNECT; `path` is what
    goes upstream ("/…" or "*"); `host` is the Host field as given. `fields` hold what goes on, without Host.
    `version`: of HTTP, its first number. `takes_trailers`: it says so by `TE: trailers`, without which a gRPC server
    may not answer. `upgrades`: what its sender would switch to, in lower case; `switches`: it says so by `Connection`,
    too. `opens_websocket`: it goes on as a request for one (RFC 6455), which only a judged one does.
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
    switches: bool = False
    opens_websocket: bool = False
    takes_trailers: bool = False
    version: int = 1


@frozen
class ResponseHead:
    """An answer, final or (`status` < 200) not, as it is to be sent on. `upgrades`, `switches`: as of a request."""

    status: int
    phrase: bytes
    fields: Fields
    body: Body
    persists: bool
    upgrades: tuple[str, ...] = ()
    switches: bool = False


def drop_fields(fields: Fields, names: Collection[bytes]) -> Fields:
    """Without those of these names, in lower case."""
    return tuple(field for field in fields if field[0].lower() not in names)


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
    if not re.fullmatch(r"[1-9][0-9]{0,4}", port, re.ASCII) or int(port) > 65535:
        raise BadMessage("a port must be a number from 1 to 65535")
    return host, int(port)


def check_expectation(values: Iterable[bytes]) -> None:
    """RFC 9110 10.1.1. What else one says in `Expect`, some servers read as `100-continue`, and some don't."""
    if [value.lower() for value in values] not in ([], [b"100-continue"]):
        raise BadMessage("an expectation must be `100-continue`", 417)


def check_length(length: int) -> int:
    """A body's, as a head tells it."""
    if length > LENGTH_MAX:
        raise BadMessage("a body can't be that long", 413)
    return length


def describe_fault(error: Exception) -> str:
    """A parser's reason in lower case, without the payload that it may quote."""
    found = re.match(r"[A-Za-z][A-Za-z -]*?(?= *(?:bytearray|b['\"]|[^A-Za-z -]|$))", str(error))
    return found.group().lower() if found else "malformed"
