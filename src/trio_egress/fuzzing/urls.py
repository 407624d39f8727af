"""URLs as values, the ways in which one URL is spelt, and the attempt that a client makes of a URL.

A URL is read as the proxy reads it: the target of a request to it, through wire/http1.py and policy/hosts.py.
"""

from __future__ import annotations

import functools
import re
from ipaddress import IPv6Address

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from trio_egress.errors import PeerError
from trio_egress.fuzzing import hosts as host_strategies
from trio_egress.fuzzing.hosts import Choices, spell_host
from trio_egress.model import Attempt, Host, Protocol, Transport
from trio_egress.policy.hosts import parse_host
from trio_egress.values import frozen
from trio_egress.wire.http1 import AgentSide
from trio_egress.wire.message import split_authority

DEFAULT_PORTS = {"http": 80, "https": 443}
UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~")
"""RFC 3986 2.3, without the dot, which makes segments that are not to be spelt otherwise here."""


@frozen
class Url:
    """What a URL means. `port` is always said; `path` begins with `/` and has no dot segments."""

    scheme: str
    host: Host
    port: int
    path: str = "/"

    def __str__(self) -> str:
        host = f"[{self.host}]" if isinstance(self.host, IPv6Address) else str(self.host)
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


@functools.cache
def paths() -> SearchStrategy[str]:
    """Paths in normal form."""
    return st.text("abcXYZ019.~_-/", max_size=24).map(_without_dots)


def urls(
    hosts: SearchStrategy[Host] | None = None, ports: SearchStrategy[int] | None = None
) -> SearchStrategy[Url]:
    """URLs to these hosts, mostly on the usual port of their scheme."""
    wanted = host_strategies.hosts() if hosts is None else hosts
    others = st.integers(1, 65535) if ports is None else ports
    schemes = st.sampled_from(sorted(DEFAULT_PORTS))
    usual = st.builds(
        lambda scheme, host, path: Url(scheme, host, DEFAULT_PORTS[scheme], path), schemes, wanted, paths()
    )
    return usual | st.builds(Url, schemes, wanted, others, paths())


def spellings_of_url(url: Url, *, ascii_only: bool = True) -> SearchStrategy[str]:
    """Texts that mean this URL (RFC 3986 6.2; WHATWG URL): case, the usual port, escapes that need not be, a fragment.

    `ascii_only`: such as a program sends to a proxy.
    """
    return st.integers(0, 2**128 - 1).map(
        lambda number: spell_url(url, Choices(number), ascii_only=ascii_only)
    )


def spell_url(url: Url, choices: Choices, *, ascii_only: bool = True) -> str:
    """One of the spellings."""
    scheme = choices.pick((url.scheme, url.scheme, url.scheme.upper(), url.scheme.title()))
    named = f":{url.port}"
    port = choices.pick(("", ":", named)) if url.port == DEFAULT_PORTS[url.scheme] else named
    path = choices.pick(("/", "")) if url.path == "/" else _escape(url.path, choices)
    host = spell_host(url.host, choices, ascii_only=ascii_only)
    return f"{scheme}://{host}{port}{path}{choices.pick(('', '', '#', '#/@b.example'))}"


def read_url(raw: str, method: str = "GET") -> Attempt:
    """The attempt that a client of the explicit proxy makes with this URL. Raises ValueError or PeerError."""
    side = AgentSide()
    # In a request line these end the target: whoever puts one into a URL has written two things.
    if not raw.isascii() or any(c <= " " or c == "\x7f" for c in raw):
        raise ValueError(
            "a URL on the wire has neither spaces, nor control characters, nor anything beyond ASCII"
        )
    side.feed(f"{method} {raw.partition('#')[0]} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head = side.head()
    if head is None or head.authority is None or head.scheme not in DEFAULT_PORTS:
        raise PeerError("this is no http or https URL")
    text, port = split_authority(head.authority)
    host = parse_host(text)
    number = port or DEFAULT_PORTS[head.scheme]
    if head.scheme == "https":
        return Attempt(Transport.CONNECT, Protocol.TLS, host, number)
    return Attempt(Transport.FORWARD, Protocol.HTTP, host, number, head.method, head.path.partition("?")[0])


def _without_dots(text: str) -> str:
    return "/" + "/".join(part for part in text.split("/") if part.strip("."))


def _escape(path: str, choices: Choices) -> str:
    """RFC 3986 6.2.2.1 and 2: an escape has no case, and an unreserved character and its escape are the same."""
    if not choices.pick((False, True)):
        return path
    parts = re.findall(r"%[0-9A-Fa-f]{2}|.", path, re.DOTALL)
    return "".join(choices.pick(_spell_part(part)) for part in parts[:24]) + "".join(parts[24:])


def _spell_part(part: str) -> tuple[str, ...]:
    if len(part) == 3:
        return part, part.lower(), part.upper()
    return (part, f"%{ord(part):02X}") if part in UNRESERVED else (part,)
