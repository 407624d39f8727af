"""The address that a request to the WebSocket endpoint asks for: `/ws?url=wss://host/path`.

Judges no host: it says what a client means, or that nobody can know.

Rule 1: what isn't unambiguous is refused with BadMessage, and nothing else is raised; its reason repeats none of it.
Rule 2: the address is decoded once, and what is judged is what goes on.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import unquote_to_bytes

from trio_egress.values import frozen
from trio_egress.wire.message import BadMessage, split_authority

PORTS = {"ws": 80, "wss": 443}

_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")
_ADDRESS = re.compile(r"(wss?)://([^/?]+)((?:[/?].*)?)", re.IGNORECASE)
_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]*")
"""Of a URL (RFC 3986 2), without `#`: an address of a WebSocket has no fragment (RFC 6455 3)."""


@frozen
class Asked:
    """`authority` as it is spelt, `host` and `port` as they are told there; `path` with its query."""

    secure: bool
    authority: str
    host: str
    port: int
    path: str


def find_endpoint(target: str, endpoints: Collection[str]) -> str | None:
    """The endpoint at whose path a request's target is; which parameters it has makes no difference."""
    path = target.partition("?")[0]
    return next((endpoint for endpoint in endpoints if endpoint.partition("?")[0] == path), None)


def parse_asked(target: str, endpoint: str) -> Asked:
    """What a request's target asks for at `endpoint`, its path and the parameter: `/ws?url=`. Raises BadMessage."""
    if not target.startswith(endpoint):
        raise BadMessage(f"the address is asked for by one parameter: {endpoint}wss://host/path")
    raw = target[len(endpoint) :]
    if "&" in raw:
        raise BadMessage("there is one parameter, and `&` in the address is written %26")
    if not _ESCAPES.fullmatch(raw):
        raise BadMessage("the address has a `%` without two digits after it")
    address = unquote_to_bytes(raw).decode("latin-1")
    found = _ADDRESS.fullmatch(address) if _CHARACTERS.fullmatch(address) else None
    if found is None:
        raise BadMessage(
            "the address must be ws://host/path or wss://host/path, in the characters of a URL and without `#`"
        )
    scheme, authority, path = found.groups()
    if "@" in authority:
        raise BadMessage("user information is not part of a WebSocket's address")
    host, port = split_authority(authority)
    scheme = scheme.lower()
    return Asked(
        scheme == "wss", authority, host, port or PORTS[scheme], path if path.startswith("/") else f"/{path}"
    )
