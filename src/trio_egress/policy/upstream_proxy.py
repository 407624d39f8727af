"""The `[upstream]` table: the proxy of a company, by which everything that is allowed goes out.

Looks nothing up, and knows no password: where that is found is the runtime's to read.

Rule 1: an address has no credentials in it: the policy is part of every packet.
Rule 2: what a pin names and what is this machine's own loopback is dialled directly, and so is what `no_proxy` lists.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

import attrs

from trio_egress.errors import Problem
from trio_egress.model import HOST_INTERNAL, Host, Via, render_authority
from trio_egress.policy.destination import Destination, parse_destination, parse_written_host, split_port
from trio_egress.policy.index import Index, build_index
from trio_egress.policy.secret import From
from trio_egress.policy.values import read_texts
from trio_egress.texts.faults import Fault, Faults, show
from trio_egress.values import frozen

USERNAME_CHARS = 255

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(/?)")
_EXAMPLE = '"http://proxy.corp.example:3128"'


@frozen
class Proxy:
    """Where it is."""

    host: Host
    port: int

    def __str__(self) -> str:
        return f"http://{render_authority(self.host, self.port)}"


@frozen(kw_only=True)
class UpstreamProxy:
    """A field for each key."""

    proxy: Proxy
    username: str | None = None
    password: From | None = None
    no_proxy: tuple[Destination, ...] = ()
    resolve: bool = False


@frozen
class PlacedProxy:
    """An upstream proxy, and the place of its password, as a problem of which nothing is said yet.

    `login`: once somebody has read the password, what the proxy is told (RFC 7617); it is no part of the policy.
    """

    table: UpstreamProxy
    place: Problem = attrs.field(eq=False, repr=False)
    login: str = attrs.field(default="", eq=False, repr=False)

    _direct: Index[int | None] = attrs.field(init=False, eq=False, repr=False)

    @_direct.default
    def _index_direct(self) -> Index[int | None]:
        return build_index((item.pattern, item.port) for item in self.table.no_proxy)

    def find(self, host: Host, port: int) -> Via | None:
        """By which proxy, and as whom, a host is reached; None where it is dialled directly."""
        if host == HOST_INTERNAL or any(only in (None, port) for only in self._direct.find(host)):
            return None
        return Via(self.table.proxy.host, self.table.proxy.port, self.table.resolve, self.login)


def read_proxy(value: object) -> Proxy:
    if not isinstance(value, str):
        raise ValueError(f"proxy must be an address such as {_EXAMPLE}, not {show(value)}")
    if "@" in value:
        message = (
            "an address has no credentials in it, because a policy is part of every packet: write username, and "
            'password = { env = "PROXY_PASSWORD" }'
        )
        raise Faults([Fault((), message, secret=True)])
    found = _URL.fullmatch(value)
    if found is None:
        raise ValueError(f"proxy must be an address such as {_EXAMPLE}, with its port and nothing behind it")
    scheme, authority, _ = found.groups()
    if scheme.lower() != "http":
        raise ValueError(
            f'a proxy is spoken to in plain HTTP: did you mean "http://{authority}"? ({scheme}:// is not spoken)'
        )
    host, port = split_port(authority)
    if port is None:
        raise ValueError(f'the port is missing; did you mean "http://{authority}:3128"?')
    return Proxy(_check_host(parse_written_host(host)), port)


def _check_host(host: Host) -> Host:
    if host == HOST_INTERNAL:
        raise ValueError(f"{HOST_INTERNAL} is a name for the agent; this machine's own proxy is at 127.0.0.1")
    if isinstance(host, (IPv4Address, IPv6Address)) and (host.is_unspecified or host.is_multicast):
        raise ValueError(f"nothing can be dialled at {host}")
    return host


def read_username(value: object) -> str:
    usable = isinstance(value, str) and 0 < len(value) <= USERNAME_CHARS and value.isprintable()
    if not isinstance(value, str) or not usable:
        raise ValueError(f'username must be a text such as "ci-runner", not {show(value)}')
    if ":" in value:
        raise ValueError(f"{show(value)} has a colon in it, which ends a name (RFC 7617 2)")
    return value


def read_no_proxy(value: object) -> tuple[Destination, ...]:
    example = '["*.corp.example", "10.0.0.0/8"]'
    read = {
        str(found): found for found in map(parse_destination, read_texts("no_proxy", value, example, _try))
    }
    return tuple(read[name] for name in sorted(read))


def _try(raw: str) -> str:
    parse_destination(raw)
    return raw


def check_upstream(table: UpstreamProxy) -> UpstreamProxy:
    """Raises Faults for what can't be said together; paths are relative to the table."""
    if (table.username is None) is (table.password is None):
        return table
    alone, missing = ("password", "username") if table.username is None else ("username", "password")
    raise Faults([Fault((alone,), f"{alone} stands with {missing}, which is missing")])


def render_upstream(table: UpstreamProxy) -> Mapping[str, object]:
    """As the compiled form has it: no key that is its default, and no password but where it is found."""
    written: dict[str, object] = {"proxy": str(table.proxy)}
    if table.username is not None:
        written["username"] = table.username
    if table.password is not None:
        written["password"] = attrs.asdict(table.password, filter=lambda _field, value: value is not None)
    if table.no_proxy:
        written["no_proxy"] = sorted(map(str, table.no_proxy))
    if table.resolve:
        written["resolve"] = True
    return written
