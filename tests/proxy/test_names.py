"""Synthetic addresses: one name each, the same for the whole run, and an end to them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.model import Name
from trio_egress.proxy.names import CAPACITY, Names

V4, V6 = ip_network("198.18.0.0/15"), ip_network("fd74:7269:6f65:6772::/64")


def test_the_first_addresses_are_kept_free() -> None:
    names = Names()
    assert names.address_of(Name("a.example")) == (
        ip_address("198.18.0.2"),
        ip_address("fd74:7269:6f65:6772::2"),
    )
    for free in ("198.18.0.0", "198.18.0.1", "fd74:7269:6f65:6772::", "fd74:7269:6f65:6772::1"):
        assert names.name_of(ip_address(free)) is None


@given(st.lists(st.text("abc.", min_size=1, max_size=4).map(Name)))
def test_a_name_keeps_its_addresses_and_shares_them_with_none(asked: list[Name]) -> None:
    names = Names()
    given_out: dict[Name, tuple[IPv4Address, IPv6Address]] = {}
    for name in asked:
        addresses = names.address_of(name)
        assert addresses is not None
        assert given_out.setdefault(name, addresses) == addresses
        assert addresses[0] in V4
        assert addresses[1] in V6
    assert len(set(given_out.values())) == len(given_out)
    for name, addresses in given_out.items():
        assert [names.name_of(address) for address in addresses] == [name, name]


@pytest.mark.parametrize(
    "address",
    ["198.18.0.3", "198.17.255.255", "198.20.0.2", "0.0.0.2", "::2", "fd74:7269:6f65:6772::3", "fd74::2"],
)
def test_an_address_that_was_not_given_out_has_no_name(address: str) -> None:
    names = Names()
    names.address_of(Name("a.example"))
    assert names.name_of(ip_address(address)) is None


def test_the_block_is_used_to_its_last_address_and_no_further() -> None:
    names = Names()
    for place in range(CAPACITY - 1):
        names.address_of(Name(f"{place}.example"))
    last = names.address_of(Name("last.example"))
    assert last == (V4[-1], V6[2**17 - 1])
    assert names.address_of(Name("more.example")) is None
    assert names.address_of(Name("last.example")) == last
    assert names.address_of(Name("0.example")) == (V4[2], V6[2])
    assert names.name_of(V4[-1]) == "last.example"
