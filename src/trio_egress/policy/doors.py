"""Which protocols and ports a rule is for: `protocol` and `ports`.

Judges no rule and no attempt: it says what a word or a range stands for, and which protocols an attempt may be.

Rule 1: `https` is TLS on its port, whatever can be seen of it; `tcp` is any stream of bytes.
Rule 2: a protocol without `ports` is for its own port alone.
"""

from __future__ import annotations

import enum
import re

from trio_egress.model import Attempt, Protocol
from trio_egress.values import frozen


class Scheme(enum.Enum):
    """The words of `protocol`."""

    HTTP = "http"
    HTTPS = "https"
    WS = "ws"
    WSS = "wss"
    SSH = "ssh"
    TCP = "tcp"


OWN_PORTS = {Scheme.HTTP: 80, Scheme.HTTPS: 443, Scheme.WS: 80, Scheme.WSS: 443, Scheme.SSH: 22}
"""Raw TCP has none."""

WEB = frozenset({Scheme.HTTP, Scheme.HTTPS, Scheme.WS, Scheme.WSS})
IN_TLS = frozenset({Scheme.HTTPS, Scheme.WSS})

_REQUESTS = {
    (False, False): frozenset({Scheme.HTTP}),
    (False, True): frozenset({Scheme.WS}),
    (True, False): frozenset({Scheme.HTTPS}),
    (True, True): frozenset({Scheme.WSS}),
}
_STREAMS = {
    Protocol.TLS: IN_TLS,
    Protocol.SSH: frozenset({Scheme.SSH}),
    Protocol.TCP: frozenset({Scheme.TCP}),
}

_RANGE = re.compile(r"([1-9][0-9]{0,4})-([1-9][0-9]{0,4})", re.ASCII)


@frozen(order=True)
class Ports:
    """From `first` to `last`, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def find_schemes(attempt: Attempt) -> frozenset[Scheme]:
    """What the attempt may be speaking: more than one where it can't be seen."""
    if attempt.protocol is Protocol.HTTP:
        return _REQUESTS[attempt.secure, attempt.websocket]
    return _STREAMS[attempt.protocol]


def parse_ports(value: object) -> Ports:
    """A number, or a range as a text. Raises ValueError with a reason."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Ports(value, value) if 0 < value < 65536 else _refuse()
    if isinstance(value, str) and (found := _RANGE.fullmatch(value)):
        first, last = int(found[1]), int(found[2])
        if first < last < 65536:
            return Ports(first, last)
        raise ValueError("a range of ports goes from a smaller to a larger one, up to 65535")
    return _refuse()


def merge_ports(ports: list[Ports]) -> tuple[Ports, ...]:
    """The same ports in their one form: in order, no two that touch."""
    merged: list[Ports] = []
    for part in sorted(ports):
        if merged and part.first <= merged[-1].last + 1:
            merged[-1] = Ports(merged[-1].first, max(merged[-1].last, part.last))
        else:
            merged.append(part)
    return tuple(merged)


def _refuse() -> Ports:
    raise ValueError('a port is a number from 1 to 65535, or a range such as "8000-8099"')
