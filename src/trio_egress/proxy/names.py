"""Synthetic addresses: what the DNS stub answers for an allowed name, and the way back from address to name.

It resolves nothing, forgets nothing and judges nothing: a connection to one is judged by its name.

Rule 1: a name has the same two addresses for the whole run, and no address ever has two names.
Rule 2: at most CAPACITY names; past that a new name gets none, and those there are keep theirs.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Final

from trio_egress.model import Address, Name

_V4_BASE: Final = int(IPv4Address("198.18.0.0"))
"""198.18.0.0/15, for benchmarks (RFC 2544 C.2.2): nothing that anybody wants to reach is there."""
_V6_BASE: Final = int(IPv6Address("fd74:7269:6f65:6772::"))
"""A ULA /64 (RFC 4193) whose global id spells `trioegr`."""
_RESERVED: Final = 2
"""198.18.0.0 and .1 stay free: the network's own address, and one for a gateway."""

CAPACITY: Final = 2**17 - _RESERVED
"""What the /15 holds. The longest names would take about 60 MB."""


class Names:
    """The names of one run. `capacity` is lower in tests only."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._places: dict[Name, int] = {}
        self._names: list[Name] = []

    def address_of(self, name: Name) -> tuple[IPv4Address, IPv6Address] | None:
        """The two addresses of `name`; None when it is new and there is no room."""
        place = self._places.get(name)
        if place is None:
            place = len(self._names)
            if place >= self._capacity:
                return None
            self._names.append(name)
            self._places[name] = place
        offset = place + _RESERVED
        return IPv4Address(_V4_BASE + offset), IPv6Address(_V6_BASE + offset)

    def name_of(self, address: Address) -> Name | None:
        """The name that was given `address`; None for any other address."""
        base = _V4_BASE if isinstance(address, IPv4Address) else _V6_BASE
        place = int(address) - base - _RESERVED
        return self._names[place] if 0 <= place < len(self._names) else None
