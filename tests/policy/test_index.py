"""Finding what is said about a host."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.model import Host
from trio_egress.policy.destination import Below, Exact, Pattern, Within, parse_destination
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.index import build_index


def pattern(text: str) -> Pattern:
    return parse_destination(text).pattern


PATTERNS = [
    "example.com",
    "api.example.com",
    "*.example.com",
    "*.api.example.com",
    "*.com",
    "10.1.2.3",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "0.0.0.0/0",
    "2001:db8::/32",
    "::a01:203",
]


@pytest.mark.parametrize(
    ("host", "found"),
    [
        ("example.com", {"example.com", "*.com"}),
        ("api.example.com", {"api.example.com", "*.example.com", "*.com"}),
        ("v1.api.example.com", {"*.api.example.com", "*.example.com", "*.com"}),
        ("notexample.com", {"*.com"}),
        ("xexample.com", {"*.com"}),
        ("www.xexample.com", {"*.com"}),
        ("www.notexample.com", {"*.com"}),
        ("a.b.api.example.com", {"*.api.example.com", "*.example.com", "*.com"}),
        ("com", set()),
        ("example.com.evil.org", set()),
        ("10.1.2.3", {"10.1.2.3", "10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0"}),
        ("10.2.0.0", {"10.0.0.0/8", "0.0.0.0/0"}),
        ("11.0.0.0", {"0.0.0.0/0"}),
        ("2001:db8:ffff::1", {"2001:db8::/32"}),
        ("2001:db9::", set()),
        ("::10.1.2.3", {"::a01:203"}),
    ],
)
def test_a_host_finds_every_pattern_that_matches_it(host: str, found: set[str]) -> None:
    index = build_index((pattern(text), text) for text in PATTERNS)
    assert set(index.find(parse_host(host))) == found


def test_the_loopback_of_the_host_is_found_by_its_name_alone() -> None:
    texts = ["*.internal", "*.host.internal.example", "host.internal:5432"]
    index = build_index((pattern(text), text) for text in texts)
    assert index.find(parse_host("HOST.internal.")) == ("host.internal:5432",)
    assert index.find(parse_host("other.internal")) == ("*.internal",)
    assert index.find(parse_host("a.host.internal")) == ("*.internal",)


def test_values_of_one_pattern_keep_their_order() -> None:
    index = build_index([(pattern("a.example"), 2), (pattern("a.example"), 1), (pattern("10.0.0.0/8"), 3)])
    assert index.find(parse_host("a.example")) == (2, 1)


def test_an_index_without_wildcards_or_networks_finds_exact_hosts() -> None:
    index = build_index([(pattern("a.example"), 1), (pattern("192.0.2.1"), 2)])
    assert index.find(parse_host("a.example")) == (1,)
    assert index.find(parse_host("192.0.2.1")) == (2,)
    assert index.find(parse_host("b.a.example")) == ()


def test_the_base_of_a_wildcard_is_found_apart() -> None:
    index = build_index([(pattern("*.a.example"), 1)])
    assert index.find(parse_host("a.example")) == ()
    assert index.find_base(parse_host("a.example")) == (1,)
    assert index.find_base(parse_host("b.a.example")) == ()
    assert index.find_base(parse_host("10.0.0.1")) == ()


def matches(pattern: Pattern, host: Host) -> bool:
    """The definition that the index must agree with, one pattern at a time."""
    match pattern:
        case Exact(exact):
            return exact == host and type(exact) is type(host)
        case Below(name):
            return isinstance(host, str) and host.endswith(f".{name}")
        case Within(network):
            return isinstance(host, (IPv4Address, IPv6Address)) and host in network


_LABELS = st.lists(st.sampled_from(["a", "b", "com"]), min_size=1, max_size=4).map(".".join)
_SMALL = st.integers(0, 15)
_HOSTS = _LABELS | _SMALL.map(lambda n: f"10.0.0.{n}") | _SMALL.map(lambda n: f"::{n:x}")
_TEXTS = (
    _HOSTS
    | _LABELS.map("*.{}".format)
    | st.integers(0, 32).map(lambda p: f"{IPv4Address(0x0A000000 >> (32 - p) << (32 - p))}/{p}")
    | st.integers(0, 128).map(lambda p: f"::/{p}")
)


@given(st.lists(_TEXTS), _HOSTS)
def test_the_index_agrees_with_the_definition(texts: list[str], host: str) -> None:
    patterns = [pattern(text) for text in texts]
    index = build_index((pattern, place) for place, pattern in enumerate(patterns))
    wanted = [place for place, pattern in enumerate(patterns) if matches(pattern, parse_host(host))]
    assert sorted(index.find(parse_host(host))) == wanted


def covers(wide: Pattern, narrow: Pattern) -> bool:
    """The definition: every host that the narrow one matches, the wide one matches."""
    match wide, narrow:
        case _, Exact(host):
            return matches(wide, host)
        case Below(name), Below(deeper):
            return deeper == name or deeper.endswith(f".{name}")
        case Within(around), Within(inner):
            return inner.version == around.version and inner.subnet_of(around)  # type: ignore[arg-type]
        case _:
            return False


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("api.example.com", {"api.example.com", "*.example.com", "*.com"}),
        ("*.api.example.com", {"*.api.example.com", "*.example.com", "*.com"}),
        ("*.x.api.example.com", {"*.api.example.com", "*.example.com", "*.com"}),
        ("*.com", {"*.com"}),
        ("*.org", set()),
        ("10.1.0.0/16", {"10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"}),
        ("10.0.0.0/7", {"0.0.0.0/0"}),
        ("10.1.2.0/24", {"10.1.0.0/16", "10.0.0.0/8", "0.0.0.0/0"}),
        ("2001:db8:1::/48", {"2001:db8::/32"}),
        ("::/0", set()),
    ],
)
def test_a_pattern_finds_every_pattern_that_is_at_least_as_wide(text: str, found: set[str]) -> None:
    index = build_index((pattern(text), text) for text in PATTERNS)
    assert set(index.find_covering(pattern(text))) == found


@given(st.lists(_TEXTS), _TEXTS)
def test_what_is_wider_agrees_with_the_definition(texts: list[str], narrow: str) -> None:
    patterns = [pattern(text) for text in texts]
    index = build_index((pattern, place) for place, pattern in enumerate(patterns))
    wanted = [place for place, wide in enumerate(patterns) if covers(wide, pattern(narrow))]
    assert sorted(index.find_covering(pattern(narrow))) == wanted
