"""What `destination` may say: a pattern over hosts, and perhaps a port.

Parses one string and judges no attempt.

Rule 1: `host` is that host alone; `*.host` is every name below it, at any depth, and never the host itself.
Rule 2: a CIDR holds addresses, never names: no name is resolved to find out.
Rule 3: an address is written as everybody reads it; another spelling is refused, and the right one named.
Rule 4: `host.internal` is the host's own loopback: one port of it, never all, and never by a wildcard.
"""

from __future__ import annotations

import re
from collections.abc import Container
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from trio_egress.model import HOST_INTERNAL, Host, Name, render_authority
from trio_egress.policy.hosts import parse_host
from trio_egress.values import frozen

Network = IPv4Network | IPv6Network

_WELL_KNOWN_PORTS = {"http": 80, "https": 443, "ssh": 22}
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(?:[^/@]*@)?([^/?#]+)", re.IGNORECASE)
_PREFIX = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)
_PREFIX_AND_PORT = re.compile(r"[0-9]+:[0-9]*", re.ASCII)


@frozen
class Exact:
    """One name or address."""

    host: Host


@frozen
class Below:
    """Every name below this one, at any depth, without itself."""

    name: Name


@frozen
class Within:
    """Every address of a network."""

    network: Network


Pattern = Exact | Below | Within


@frozen
class Destination:
    """Where a rule leads. No port: HTTP on 80 and 443, TLS on 443. A port: that one, any protocol."""

    pattern: Pattern
    port: int | None = None

    def holds(self, host: Host, port: int, usual: Container[int] = (80, 443)) -> bool:
        """Whether it leads there; without a port of its own on the usual ones."""
        on = port in usual if self.port is None else port == self.port
        return on and _holds_all(self.pattern, Exact(host))

    def __str__(self) -> str:
        match self.pattern:
            case Exact(host):
                return str(host) if self.port is None else render_authority(host, self.port)
            case Below(name):
                return f"*.{name}" if self.port is None else f"*.{name}:{self.port}"
            case wide:
                return str(wide.network)


def find_network(pattern: Pattern) -> Network | None:
    """The addresses that a pattern holds; None where it holds names."""
    match pattern:
        case Within(network):
            return network
        case Exact(IPv4Address() | IPv6Address() as address):
            return ip_network(address)
    return None


def find_overlap(one: Pattern, other: Pattern) -> Pattern | None:
    """The hosts that both hold, which is always all of one of them; None where there is no such host."""
    return one if _holds_all(other, one) else other if _holds_all(one, other) else None


def _holds_all(wide: Pattern, narrow: Pattern) -> bool:
    match wide, narrow:
        case Exact(host), Exact(other):
            return host == other
        case Below(name), Exact(host):
            return host != HOST_INTERNAL and isinstance(host, str) and host.endswith(f".{name}")
        case Below(name), Below(other):
            return other == name or other.endswith(f".{name}")
        case Within(network), _:
            inner = find_network(narrow)
            return inner is not None and inner.version == network.version and inner.subnet_of(network)  # type: ignore[arg-type]
    return False


def parse_destination(raw: str) -> Destination:
    """Raises ValueError with a reason and, where there is one, the right spelling."""
    if url := _URL.match(raw):
        raise ValueError(f'a destination is a host, not a URL; did you mean "{_host_of_url(url)}"?')
    if "/" in raw:
        return Destination(Within(_parse_network(raw)))
    host, port = split_port(raw)
    if "*" in host:
        return Destination(Below(_parse_base(host)), port)
    exact = parse_written_host(host)
    if exact == HOST_INTERNAL and port is None:
        raise ValueError(
            f'{HOST_INTERNAL} is the loopback of this machine, of which a rule opens one port: "{HOST_INTERNAL}:5432"'
        )
    return Destination(Exact(exact), port)


def split_port(raw: str) -> tuple[str, int | None]:
    """`host:port` or `[v6]:port` in two; an IPv6 address without brackets has no port."""
    if raw.startswith("["):
        host, bracket, rest = raw.partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError('an IPv6 address with a port is written "[address]:port"')
        return f"{host}]", _parse_port(rest[1:]) if rest else None
    if raw.count(":") != 1:
        return raw, None
    host, _, port = raw.partition(":")
    return host, _parse_port(port)


def parse_written_host(raw: str) -> Host:
    """As `parse_host`, but an IPv4 address must be written as one: a reviewer doesn't calculate."""
    host = parse_host(raw)
    if isinstance(host, IPv4Address) and raw != str(host):
        raise ValueError(f'this is a spelling of an address; did you mean "{host}"?')
    return host


def _parse_port(raw: str) -> int:
    if raw.isascii() and raw.isdecimal() and len(raw) <= 5 and raw[0] != "0" and int(raw) <= 65535:
        return int(raw)
    hint = f'; did you mean ":{_WELL_KNOWN_PORTS[raw.lower()]}"?' if raw.lower() in _WELL_KNOWN_PORTS else ""
    raise ValueError(f"the port must be a number from 1 to 65535, without a leading zero{hint}")


def _parse_base(raw: str) -> Name:
    """The name after `*.`."""
    base = raw[1:].removeprefix(".")
    if not raw.startswith("*") or "*" in base:
        raise ValueError('"*" stands only once, at the front ("*.example.com"), and means any depth')
    if not base:
        raise ValueError(
            "a rule can't allow every host; name them, or the domain they are in (*.example.com)"
        )
    if not raw.startswith("*."):
        raise ValueError(f'"*" stands for whole labels; did you mean "*.{base}"?')
    name = parse_host(base)
    if isinstance(name, (IPv4Address, IPv6Address)):
        raise ValueError("an address has no subdomains; many addresses are a network, as in 192.0.2.0/24")
    if name == HOST_INTERNAL:
        raise ValueError(f"{HOST_INTERNAL} is this machine's loopback, and has no names below it")
    return name


def _parse_network(raw: str) -> Network:
    text, _, prefix = raw.partition("/")
    if _PREFIX_AND_PORT.fullmatch(prefix):
        raise ValueError("a network has no port: a rule for it is for HTTP on 80 and 443 and TLS on 443")
    host = parse_written_host(text) if _PREFIX.fullmatch(prefix) else None
    if not isinstance(host, (IPv4Address, IPv6Address)):
        raise ValueError("a destination has no path" + (f'; did you mean "{text}"?' if text else ""))
    if int(prefix) > host.max_prefixlen:
        raise ValueError(
            f"a network of IPv{host.version} has a prefix length of at most {host.max_prefixlen}"
        )
    network = ip_network(f"{host}/{prefix}", strict=False)
    if network.network_address != host:
        raise ValueError(f'the address has bits set beyond /{prefix}; did you mean "{network}"?')
    return network


def _host_of_url(url: re.Match[str]) -> str:
    """What the writer of a URL meant: its host, with the port where that isn't the scheme's own."""
    scheme, authority = url.group(1).lower(), url.group(2)
    usual = _WELL_KNOWN_PORTS.get(scheme)
    return authority.removesuffix(f":{usual}")
