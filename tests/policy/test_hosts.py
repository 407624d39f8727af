"""The normal form of a host."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trio_egress.model import Host
from trio_egress.policy.hosts import LABEL_CHARS, NAME_CHARS, RAW_CHARS, parse_host

LOOPBACK = IPv4Address("127.0.0.1")


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("api.example.com", "api.example.com"),
        ("API.Example.COM", "api.example.com"),
        ("api.example.com.", "api.example.com"),
        ("localhost", "localhost"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("r3---sn-abc.example.com", "r3---sn-abc.example.com"),
        ("-a-.example.com", "-a-.example.com"),
        ("1.2.3.example", "1.2.3.example"),
        ("0x7g.example", "0x7g.example"),
        ("example.0xg1", "example.0xg1"),
        ("example.x1", "example.x1"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("ａｐｉ．example。com", "api.example.com"),
        ("api.example.com。", "api.example.com"),
        ("K.example", "k.example"),
        ("a\N{SOFT HYPHEN}b.example", "ab.example"),
    ],
)
def test_spellings_of_a_name_have_one_normal_form(raw: str, name: str) -> None:
    assert parse_host(raw) == name


@pytest.mark.parametrize(
    "raw",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0X7F.1",
        "0x7f.0x0.0x00.1",
        "017700000001",
        "0177.0.0.01",
        "127.0.0.00001",
        "１２７.０.０.１",
        "①②⑦.1",
        "::ffff:127.0.0.1",
        "[::ffff:7f00:1]",
    ],
)
def test_spellings_of_an_ipv4_address_are_that_address(raw: str) -> None:
    assert parse_host(raw) == LOOPBACK


@pytest.mark.parametrize("raw", ["2001:db8::1", "[2001:db8::1]", "2001:DB8:0:0::0001", "2001:db8::0.0.0.1"])
def test_spellings_of_an_ipv6_address_are_that_address(raw: str) -> None:
    assert parse_host(raw) == IPv6Address("2001:db8::1")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "the host is empty"),
        (".", "empty label"),
        ("a..b", "empty label"),
        (".a", "empty label"),
        ("a.com..", "empty label"),
        ("1.2.3.4..", "empty label"),
        ("\N{SOFT HYPHEN}", "empty label"),
        ("api.example.com:443", "port"),
        ("user@example.com", "user information"),
        ("example.com/path", "path"),
        ("https://example.com", "path or scheme"),
        ("*.example.com", "wildcard"),
        ("fe80::1%eth0", "zone id"),
        ("exa%6dple.com", "percent-encoding"),
        ("[::1", "'\\[' without '\\]'"),
        ("[::1]:443", "not an IPv6|'\\[' without"),
        ("[127.0.0.1]", "not an IPv6"),
        ("[example.com]", "not an IPv6"),
        ("::1]", "not an IPv6"),
        ("1:2:3", "not an IPv6"),
        ("::٣", "not an IPv6"),
        (" example.com", "' ' is not allowed"),
        ("example.com\n", "not allowed"),
        ("example.com\0", "not allowed"),
        ("exa\\mple.com", "not allowed"),
        ("a：80", "':' is not allowed"),
        ("℀.example", "'/' is not allowed"),
        ("\ud800.example", "."),
        ("☃.example", "IDNA 2008"),
        ("xn--a.example", "IDNA 2008"),
        ("xn--.example", "IDNA 2008"),
        ("xn--abc-.example", "."),
        ("ü_b.example", "IDNA 2008"),
        ("1.2.3.4.5", "over four parts"),
        ("1.2.3.256", "too large"),
        ("1.256.3.4", "too large"),
        ("4294967296", "too large"),
        ("0x100000000", "too large"),
        ("1.2.3.08", "'08' is not a number"),
        ("a.1", "'a' is not a number"),
        ("0xg.1", "'0xg' is not a number"),
        ("0x", "'0x' is not a number"),
        ("1.0X.", "'0x' is not a number"),
        ("0x7f.0x.1", "'0x' is not a number"),
        ("1..4", "'' is not a number"),
    ],
)
def test_what_has_no_normal_form_is_refused_with_its_reason(raw: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_host(raw)


def test_two_spellings_in_punycode_are_not_two_names() -> None:
    # Both decode to one label (RFC 5890 2.3.2.1, "fake A-labels"). idna refuses the second since 3.16 or so.
    try:
        assert parse_host("xn---bbk.example") == "xn--bbk.example"
    except ValueError:
        assert parse_host("xn--bbk.example") == "xn--bbk.example"


def test_a_label_of_63_characters_is_the_longest() -> None:
    assert parse_host("a" * 63) == "a" * 63
    with pytest.raises(ValueError, match="label is longer"):
        parse_host("a" * 64)


def test_a_name_of_253_characters_is_the_longest() -> None:
    longest = ".".join(["a" * 63] * 3 + ["a" * 61])
    assert len(longest) == NAME_CHARS == 253
    assert parse_host(longest + ".") == longest
    with pytest.raises(ValueError, match="name is longer"):
        parse_host(longest + "a")


def test_what_is_longer_than_any_spelling_is_not_even_mapped() -> None:
    assert parse_host("\N{SOFT HYPHEN}" * (RAW_CHARS - 1) + "a") == "a"
    with pytest.raises(ValueError, match="host is longer"):
        parse_host("a" * (RAW_CHARS + 1))


_PIECES = st.sampled_from(
    [
        "a",
        "B",
        "ü",
        "ß",
        "xn--",
        "bcher-kva",
        "0x",
        "7f",
        "09",
        "1",
        "256",
        ".",
        "。",
        ":",
        "[",
        "]",
        "-",
        "_",
        "%",
        "\u200d",
    ]
)
_SPELLINGS = st.text() | st.lists(_PIECES).map("".join)


def read(raw: str) -> Host | None:
    """The host, or None if it is refused; any error but ValueError fails the test."""
    try:
        return parse_host(raw)
    except ValueError:
        return None


@given(_SPELLINGS)
@example("xn--" + "9" * 60)
@example("ﷺ" * 1000)
def test_any_text_has_a_stable_normal_form_or_a_reason(raw: str) -> None:
    host = read(raw)
    if host is not None:
        assert parse_host(str(host)) == host
        assert type(parse_host(str(host))) is type(host)


@given(_SPELLINGS)
def test_a_name_is_safe_to_print_and_to_compare(raw: str) -> None:
    host = read(raw)
    if isinstance(host, str):
        assert set(host) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")
        assert host.strip(".") == host
        assert len(host) <= NAME_CHARS


@given(st.lists(st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True), min_size=1, max_size=5).map(".".join))
def test_letter_case_and_a_trailing_dot_never_change_a_host(raw: str) -> None:
    assert read(raw) == read(raw.upper()) == read(raw.swapcase() + ".")


@given(st.integers(0, 2**32 - 1))
def test_every_base_and_number_of_parts_spells_the_same_address(number: int) -> None:
    address = IPv4Address(number)
    a, b, c, d = address.packed
    spellings = [
        str(number),
        hex(number),
        f"0{number:o}",
        f"{a}.{b}.{c}.{d}",
        f"{a:#x}.{(b << 16) + (c << 8) + d}",
    ]
    assert {parse_host(spelling) for spelling in spellings} == {address}


@given(st.integers(0, 2**128 - 1))
def test_every_ipv6_address_is_read_back(number: int) -> None:
    address = IPv6Address(number)
    assert parse_host(f"[{address.exploded}]") == (address.ipv4_mapped or address)


@pytest.mark.parametrize("raw", ["255.255.255.255", "255.0.0.0", "0xff.255.255.0377"])
def test_a_byte_of_an_address_goes_up_to_255(raw: str) -> None:
    assert isinstance(parse_host(raw), IPv4Address)
    with pytest.raises(ValueError, match="a part of this is too large"):
        parse_host(raw.replace("255", "256", 1))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("a" * (RAW_CHARS + 1), f"the host is longer than {RAW_CHARS} characters"),
        (".".join(["a" * 63] * 4), f"the name is longer than {NAME_CHARS} characters"),
        ("a" * 64 + ".example", f"a label is longer than {LABEL_CHARS} characters"),
        ("a!b", "the character '!' is not allowed in a host name"),
        ("1.2.3.x.4", "a name that ends in a number must be an IPv4 address, and this has over four parts"),
        ("a.1", "a name that ends in a number must be an IPv4 address, and 'a' is not a number"),
    ],
)
def test_a_refusal_says_what_is_wrong(raw: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_host(raw)
    assert str(refused.value) == said
