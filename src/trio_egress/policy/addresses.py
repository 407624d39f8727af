"""Which addresses count as outside, and what the others are.

Knows nothing of rules or names: numbers in, an answer out.

Rule 1: an address is outside only if it is plain global unicast: what nobody has listed is not outside.
Rule 2: an address that carries another one (NAT64, 6to4, Teredo, v4-mapped, v4-compatible) is never outside.
Sources: the IANA special-purpose registries (RFC 6890 and its successors); for metadata the clouds' manuals.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from trio_egress.model import Address

_METADATA = "cloud metadata"

_IPV4 = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private (RFC 1918)",
    "100.64.0.0/10": "carrier-grade NAT (RFC 6598)",
    "100.100.100.200/32": _METADATA,
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": _METADATA,
    "169.254.0.0/16": "link-local",
    "169.254.169.253/32": _METADATA,
    "169.254.169.254/32": _METADATA,
    "169.254.170.2/32": _METADATA,
    "169.254.170.23/32": _METADATA,
    "172.16.0.0/12": "private (RFC 1918)",
    "192.0.0.0/24": "IETF protocol assignments",
    "192.0.0.192/32": _METADATA,
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "6to4 relay",
    "192.168.0.0/16": "private (RFC 1918)",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "255.255.255.255/32": "broadcast",
}

# Global unicast is 2000::/3 (RFC 4291 2.4); the first, fourth and fifth line are all the rest of the space.
_IPV6 = {
    "::/3": "not global unicast",
    "2001::/23": "IETF protocol assignments",
    "2002::/16": "6to4",
    "4000::/2": "not global unicast",
    "8000::/1": "not global unicast",
    "::/128": "unspecified",
    "::1/128": "loopback",
    "::/96": "v4-compatible",
    "::ffff:0:0/96": "v4-mapped",
    "::ffff:0:0:0/96": "v4-translated (SIIT)",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "NAT64",
    "100::/64": "discard-only",
    "2001::/32": "Teredo",
    "2001:2::/48": "benchmarking",
    "2001:10::/28": "ORCHID",
    "2001:20::/28": "ORCHID",
    "2001:db8::/32": "documentation",
    "3fff::/20": "documentation",
    "5f00::/16": "segment routing",
    "fc00::/7": "private (unique local)",
    "fd00:ec2::23/128": _METADATA,
    "fd00:ec2::254/128": _METADATA,
    "fd20:ce::254/128": _METADATA,
    "fe80::/10": "link-local",
    "fec0::/10": "site-local",
    "ff00::/8": "multicast",
}

_Range = tuple[int, int, str]


def _narrowest_first(networks: list[tuple[IPv4Network | IPv6Network, str]]) -> tuple[_Range, ...]:
    ordered = sorted(networks, key=lambda row: -row[0].prefixlen)
    return tuple((int(net[0]), int(net[-1]), described) for net, described in ordered)


_RANGES = {
    4: _narrowest_first([(IPv4Network(text), described) for text, described in _IPV4.items()]),
    6: _narrowest_first([(IPv6Network(text), described) for text, described in _IPV6.items()]),
}


def is_outside(address: Address) -> bool:
    """Whether a rule without `allow_private` may lead here."""
    return _find(address) is None


def describe_range(address: Address) -> str:
    """What the address is, in a few words: the narrowest range that holds it, or "public"."""
    return _find(address) or "public"


def _find(address: IPv4Address | IPv6Address) -> str | None:
    number = int(address)
    for first, last, described in _RANGES[address.version]:
        if first <= number <= last:
            return described
    return None


PRIVATE_DOMAINS = ("localhost", "local", "internal", "home.arpa")
"""Names for which no resolver of the internet has an answer (RFC 6761, RFC 6762, RFC 8375, ICANN 2024)."""


def is_private_name(name: str) -> bool:
    """Whether nothing outside can have this name: one without a dot is a machine nearby, too."""
    return "." not in name or any(f".{name}".endswith(f".{domain}") for domain in PRIVATE_DOMAINS)
