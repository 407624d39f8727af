"""Which addresses count as outside."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.policy.addresses import describe_range, is_outside

INSIDE = [
    ("0.0.0.0/8", "this network"),
    ("10.0.0.0/8", "private (RFC 1918)"),
    ("100.64.0.0/10", "carrier-grade NAT (RFC 6598)"),
    ("127.0.0.0/8", "loopback"),
    ("168.63.129.16/32", "cloud metadata"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private (RFC 1918)"),
    ("192.0.0.0/24", "IETF protocol assignments"),
    ("192.0.2.0/24", "documentation"),
    ("192.88.99.0/24", "6to4 relay"),
    ("192.168.0.0/16", "private (RFC 1918)"),
    ("198.18.0.0/15", "benchmarking"),
    ("198.51.100.0/24", "documentation"),
    ("203.0.113.0/24", "documentation"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/5", "reserved"),
    ("::/128", "unspecified"),
    ("::1/128", "loopback"),
    ("::127.0.0.0/104", "v4-compatible"),
    ("::ffff:0:0/96", "v4-mapped"),
    ("::ffff:0:0:0/96", "v4-translated (SIIT)"),
    ("64:ff9b::/96", "NAT64"),
    ("64:ff9b:1::/48", "NAT64"),
    ("100::/64", "discard-only"),
    ("1000::/4", "not global unicast"),
    ("2001::/32", "Teredo"),
    ("2001:2::/48", "benchmarking"),
    ("2001:10::/28", "ORCHID"),
    ("2001:20::/28", "ORCHID"),
    ("2001:1::/32", "IETF protocol assignments"),
    ("2001:db8::/32", "documentation"),
    ("2002::/16", "6to4"),
    ("3fff::/20", "documentation"),
    ("4000::/3", "not global unicast"),
    ("5f00::/16", "segment routing"),
    ("8000::/2", "not global unicast"),
    ("fc00::/8", "private (unique local)"),
    ("fd00::/16", "private (unique local)"),
    ("fe80::/10", "link-local"),
    ("fec0::/10", "site-local"),
    ("ff00::/8", "multicast"),
]


@pytest.mark.parametrize(("network", "description"), INSIDE)
def test_first_and_last_address_of_each_range_are_not_outside(network: str, description: str) -> None:
    net = ip_network(network)
    for address in (net[0], net[-1]):
        assert not is_outside(address)
        assert describe_range(address) == description


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.169.253",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
    ],
)
def test_metadata_services_are_named_as_such(address: str) -> None:
    assert describe_range(ip_address(address)) == "cloud metadata"


@pytest.mark.parametrize(
    "address",
    [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2000::",
        "2001:200::",
        "2001:db7:ffff::",
        "2001:db9::",
        "2003::",
        "2606:4700:4700::1111",
        "3ffe:ffff::",
        "3fff:1000::",
        "3fff:ffff::",
    ],
)
def test_the_neighbours_of_each_range_are_outside(address: str) -> None:
    assert is_outside(ip_address(address))
    assert describe_range(ip_address(address)) == "public"


@given(st.ip_addresses())
def test_only_what_the_standard_library_calls_global_is_outside(address: IPv4Address | IPv6Address) -> None:
    assert address.is_global or not is_outside(address)


@given(st.ip_addresses(v=6))
def test_only_global_unicast_is_outside(address: IPv6Address) -> None:
    assert address in IPv6Network("2000::/3") or not is_outside(address)


@given(st.ip_addresses(v=4))
def test_an_address_that_carries_another_is_never_outside(address: IPv4Address) -> None:
    carriers = ["::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b::", "64:ff9b:1::"]
    carried = [IPv6Address(int(IPv6Address(carrier)) + int(address)) for carrier in carriers]
    carried.append(IPv6Address((0x2002 << 112) + (int(address) << 80)))
    carried.append(IPv6Address((0x20010000 << 96) + (int(address) << 64)))
    assert not any(is_outside(outer) for outer in carried)


@given(st.ip_addresses())
def test_what_is_described_as_public_is_outside_and_nothing_else(address: IPv4Address | IPv6Address) -> None:
    assert is_outside(address) is (describe_range(address) == "public")


def test_most_of_ipv4_is_outside() -> None:
    inside = sum(IPv4Network(text).num_addresses for text, _ in INSIDE if ":" not in text)
    assert inside < 2**32 // 5
