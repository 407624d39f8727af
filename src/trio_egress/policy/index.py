"""Finds what is said about a host, in time that does not grow with the number of rules.

Knows patterns, not rules: it holds any values. What it finds is in no useful order.

An exact host is one look-up; a name below `*.x` is one look-up a label; a network is one look-up for each
prefix length that occurs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Generic, TypeVar

from trio_egress.model import HOST_INTERNAL, Address, Host
from trio_egress.policy.destination import Below, Exact, Network, Pattern
from trio_egress.values import frozen

T = TypeVar("T")


@frozen
class Index(Generic[T]):
    """Made by `build_index`."""

    _exact: Mapping[Host, tuple[T, ...]]
    _below: Mapping[str, tuple[T, ...]]
    _within: Mapping[tuple[int, int], Mapping[int, tuple[T, ...]]]

    def find(self, host: Host) -> tuple[T, ...]:
        """Everything whose pattern matches the host."""
        found = self._exact.get(host, ())
        if isinstance(host, (IPv4Address, IPv6Address)):
            return found + self._find_within(host) if self._within else found
        if not self._below or host == HOST_INTERNAL:  # *.internal is somebody's network, and not this machine
            return found
        return found + self._find_below(host)

    def find_base(self, host: Host) -> tuple[T, ...]:
        """Everything that is said of the names below this very host."""
        return self._below.get(str(host), ())

    def find_covering(self, pattern: Pattern) -> tuple[T, ...]:
        """Everything whose pattern matches all that this one does."""
        match pattern:
            case Exact(host):
                return self.find(host)
            case Below(name):
                return self._below.get(name, ()) + self._find_below(name)
            case wide:
                return self._find_around(wide.network)

    def _find_around(self, network: Network) -> tuple[T, ...]:
        found: tuple[T, ...] = ()
        number, own = int(network.network_address), network.max_prefixlen - network.prefixlen
        for (version, shift), networks in self._within.items():
            if version == network.version and shift >= own:
                found += networks.get(number >> shift, ())
        return found

    def _find_below(self, name: str) -> tuple[T, ...]:
        found: tuple[T, ...] = ()
        dot = name.find(".")
        while dot >= 0:
            found += self._below.get(name[dot + 1 :], ())
            dot = name.find(".", dot + 1)
        return found

    def _find_within(self, address: Address) -> tuple[T, ...]:
        found: tuple[T, ...] = ()
        number = int(address)
        for (version, shift), networks in self._within.items():
            if version == address.version:
                found += networks.get(number >> shift, ())
        return found


def build_index(entries: Iterable[tuple[Pattern, T]]) -> Index[T]:
    exact: dict[Host, list[T]] = {}
    below: dict[str, list[T]] = {}
    within: dict[tuple[int, int], dict[int, list[T]]] = {}
    for pattern, value in entries:
        match pattern:
            case Exact(host):
                exact.setdefault(host, []).append(value)
            case Below(name):
                below.setdefault(name, []).append(value)
            case wide:
                network = wide.network
                shift = network.max_prefixlen - network.prefixlen
                networks = within.setdefault((network.version, shift), {})
                networks.setdefault(int(network.network_address) >> shift, []).append(value)
    return Index(_frozen(exact), _frozen(below), {key: _frozen(table) for key, table in within.items()})


K = TypeVar("K")


def _frozen(table: Mapping[K, list[T]]) -> dict[K, tuple[T, ...]]:
    return {key: tuple(values) for key, values in table.items()}
