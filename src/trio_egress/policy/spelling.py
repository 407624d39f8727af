"""Attempts as people write them, in a terminal or in a policy's own tests: `POST https://api.example.com/v1`.

Reads one text; decides nothing.

Rule 1: what the boundary itself prints of an attempt (the target of a receipt) is read here, too.
Rule 2: ValueError with a reason, and nothing else, is raised for whatever can't be an attempt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv6Address
from types import MappingProxyType

from trio_egress.model import Attempt, Host, Name, Protocol, Transport
from trio_egress.policy.destination import split_port
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.paths import find_query_names
from trio_egress.policy.services import FETCH, PUSH, find_service
from trio_egress.values import frozen

_SPELLING = re.compile(r"(?:(?P<method>[A-Z]+)[ ]+)?(?:(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://)?(?P<rest>\S+)")
_PORTS: Mapping[str, int] = MappingProxyType(
    {"http": 80, "https": 443, "ws": 80, "wss": 443, "tls": 443, "ssh": 22}
)
_SERVICE = re.compile(r"service=([a-z-]+)")
_FORMS = "write a URL, perhaps after a method (`POST https://api.example.com/v1`), or `host:port`"


@frozen
class Spelt:
    """One attempt. `connection`: the TLS connection that comes before it, where it is a request inside TLS."""

    attempt: Attempt
    connection: Attempt | None = None


def parse_spelling(raw: str) -> Spelt:
    """A method without a URL that can have one is refused; a URL of the web without a method is a GET."""
    found = _SPELLING.fullmatch(raw.strip())
    if found is None or found["rest"].endswith("://"):
        raise ValueError(f"{raw!r} is no attempt: {_FORMS}")
    method, scheme, rest = found["method"], (found["scheme"] or "").lower(), found["rest"]
    if not scheme and rest.startswith("dns:"):
        return _spell_name(rest.removeprefix("dns:"), method)
    authority, path, query = _split(rest)
    host, port = _parse_authority(authority)
    if scheme and isinstance(host, IPv6Address) and "[" not in authority:
        raise ValueError(f"an IPv6 address in a URL has brackets: {scheme}://[{host}]")
    if not scheme:
        scheme = _guess(port, has_path=bool(path or query))
    if scheme not in (*_PORTS, "tcp"):
        raise ValueError(f"{scheme}:// is not judged here; {_FORMS}")
    port = port or _PORTS.get(scheme)
    if port is None:
        raise ValueError(f"tcp:// needs a port: tcp://{authority}:5432")
    if scheme in ("http", "https", "ws", "wss"):
        return _spell_request(scheme, host, port, method or "GET", path or "/", query)
    if scheme == "ssh" and path not in ("", "/") and not method:
        return _spell_git(host, port, path, query)
    if method or path or query:
        raise ValueError(f"{scheme}:// has no method and no path")
    protocol = Protocol(scheme)
    return Spelt(Attempt(Transport.TRANSPARENT, protocol, host, port))


def _split(rest: str) -> tuple[str, str, str]:
    """Authority, path, and query; a fragment is never sent."""
    rest = rest.partition("#")[0]
    before, _, query = rest.partition("?")
    authority, slash, path = before.partition("/")
    return authority, f"{slash}{path}", query


def _parse_authority(raw: str) -> tuple[Host, int | None]:
    if "\\" in raw:
        raise ValueError("a backslash ends the host for browsers, and not for curl: write what is meant")
    host, port = split_port(raw.rpartition("@")[2])
    return parse_host(host), port


def _guess(port: int | None, *, has_path: bool) -> str:
    """What is meant without a scheme: the web on its ports and with a path, SSH on 22, else bytes."""
    if port is None or port == 443:
        return "https"
    if port == 80 or has_path:
        return "http"
    return "ssh" if port == 22 else "tcp"


def _spell_git(host: Host, port: int, path: str, query: str) -> Spelt:
    """A repository over SSH, by default to fetch from it, and by `?service=git-receive-pack` to push."""
    service = find_service(query) if query else FETCH
    if service is None:
        raise ValueError(f"ssh:// with a path is git's: its query is service={FETCH} or service={PUSH}")
    return Spelt(Attempt(Transport.TRANSPARENT, Protocol.SSH, host, port, path=path, service=service))


def _spell_name(raw: str, method: str | None) -> Spelt:
    host = parse_host(raw)
    if method is not None or not isinstance(host, str):
        raise ValueError("dns: is followed by a name, and has no method")
    return Spelt(Attempt(Transport.DNS, Protocol.DNS, Name(host), 0))


def _spell_request(scheme: str, host: Host, port: int, method: str, path: str, query: str) -> Spelt:
    secure = scheme in ("https", "wss")
    service = _SERVICE.fullmatch(query)
    attempt = Attempt(
        Transport.TRANSPARENT,
        Protocol.HTTP,
        host,
        port,
        method,
        path,
        secure=secure,
        websocket=scheme in ("ws", "wss"),
        query=find_query_names(query),
        service=service[1] if service else None,
    )
    connection = Attempt(Transport.TRANSPARENT, Protocol.TLS, host, port) if secure else None
    return Spelt(attempt, connection)
