"""What `destination` may say."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.model import Name
from trio_egress.policy.destination import (
    Below,
    Destination,
    Exact,
    Within,
    find_network,
    parse_destination,
    parse_written_host,
    split_port,
)

API = Exact(Name("api.example.com"))


@pytest.mark.parametrize(
    ("text", "destination"),
    [
        ("api.example.com", Destination(API)),
        ("API.example.com.", Destination(API)),
        ("api.example.com:8443", Destination(API, 8443)),
        ("bücher.example", Destination(Exact(Name("xn--bcher-kva.example")))),
        ("*.example.com", Destination(Below(Name("example.com")))),
        ("*.Example.com:22", Destination(Below(Name("example.com")), 22)),
        ("*.com", Destination(Below(Name("com")))),
        ("192.0.2.7", Destination(Exact(ip_address("192.0.2.7")))),
        ("192.0.2.7:1", Destination(Exact(ip_address("192.0.2.7")), 1)),
        ("2001:db8::7", Destination(Exact(ip_address("2001:db8::7")))),
        ("[2001:db8::7]", Destination(Exact(ip_address("2001:db8::7")))),
        ("[2001:db8::7]:65535", Destination(Exact(ip_address("2001:db8::7")), 65535)),
        ("10.0.0.0/8", Destination(Within(ip_network("10.0.0.0/8")))),
        ("0.0.0.0/0", Destination(Within(ip_network("0.0.0.0/0")))),
        ("192.0.2.7/32", Destination(Within(ip_network("192.0.2.7/32")))),
        ("2001:db8::/32", Destination(Within(ip_network("2001:db8::/32")))),
        ("::/0", Destination(Within(ip_network("::/0")))),
        ("2001:db8::1/128", Destination(Within(ip_network("2001:db8::1/128")))),
    ],
)
def test_each_form_is_read_and_written_back_in_normal_form(text: str, destination: Destination) -> None:
    assert parse_destination(text) == destination
    assert parse_destination(str(destination)) == destination


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("API.example.com.:443", "api.example.com:443"),
        ("*.Example.com", "*.example.com"),
        ("*.Example.com:22", "*.example.com:22"),
        ("[2001:DB8::7]:443", "[2001:db8::7]:443"),
        ("[2001:DB8::7]", "2001:db8::7"),
        ("2001:DB8::/32", "2001:db8::/32"),
    ],
)
def test_the_text_of_a_destination_is_its_normal_form(text: str, written: str) -> None:
    assert str(parse_destination(text)) == written


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the host is empty"),
        (":443", "the host is empty"),
        ("https://api.example.com/v1", 'not a URL; did you mean "api.example.com"?'),
        ("HTTPS://user:secret@api.example.com:443", 'did you mean "api.example.com"?'),
        ("http://api.example.com:80", 'did you mean "api.example.com"?'),
        ("https://api.example.com:8443?x", 'did you mean "api.example.com:8443"?'),
        ("postgres://db.example.com:5432/x", 'did you mean "db.example.com:5432"?'),
        ("api.example.com/v1", 'no path; did you mean "api.example.com"?'),
        ("api.example.com/24", 'no path; did you mean "api.example.com"?'),
        ("/v1", "a destination has no path"),
        ("api.example.com:", "port must be a number"),
        ("api.example.com:0", "port must be a number"),
        ("api.example.com:65536", "port must be a number"),
        ("api.example.com:080", "leading zero"),
        ("api.example.com:4４3", "port must be a number"),
        ("api.example.com:https", 'did you mean ":443"?'),
        ("api.example.com:SSH", 'did you mean ":22"?'),
        ("[2001:db8::7", '"[address]:port"'),
        ("[2001:db8::7]443", '"[address]:port"'),
        ("[2001:db8::7]:x", "port must be a number"),
        ("0x7f.1", 'did you mean "127.0.0.1"?'),
        ("127.0.0.1.", 'did you mean "127.0.0.1"?'),
        ("::ffff:10.0.0.1", 'did you mean "10.0.0.1"?'),
        ("*", "can't allow every host"),
        ("*.", "can't allow every host"),
        ("*example.com", 'did you mean "*.example.com"?'),
        ("*.*.example.com", "only once, at the front"),
        ("api.*.com", "only once, at the front"),
        ("*.10.0.0.1", "an address has no subdomains"),
        ("*.exa mple.com", "' ' is not allowed"),
        ("10.0.0.1/8", 'bits set beyond /8; did you mean "10.0.0.0/8"?'),
        ("10.0.0.0/33", "at most 32"),
        ("2001:db8::/129", "at most 128"),
        ("10.0.0.0/08", "no path"),
        ("10.0.0.0/255.0.0.0", "no path"),
        ("10.0.0.0/", "no path"),
        ("10/8", 'did you mean "0.0.0.10"?'),
        ("10.0.0.0/8:443", "a network has no port"),
        ("::ffff:10.0.0.0/104", 'did you mean "10.0.0.0"?'),
        ("fe80::1%eth0", "zone id"),
        ("host.internal", 'of which a rule opens one port: "host.internal:5432"'),
        ("HOST.Internal.", 'of which a rule opens one port: "host.internal:5432"'),
        ("*.host.internal:5432", "has no names below it"),
    ],
)
def test_a_wrong_destination_is_refused_with_what_was_meant(text: str, reason: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        parse_destination(text)
    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        ("api.example.com", ("api.example.com", None)),
        ("api.example.com:443", ("api.example.com", 443)),
        ("2001:db8::1", ("2001:db8::1", None)),
        ("[2001:db8::1]", ("[2001:db8::1]", None)),
        ("[2001:db8::1]:443", ("[2001:db8::1]", 443)),
    ],
)
def test_a_port_is_split_off_and_an_address_is_not(raw: str, parts: tuple[str, int | None]) -> None:
    assert split_port(raw) == parts


def test_an_ipv6_address_may_be_written_in_any_of_its_forms() -> None:
    assert parse_written_host("2001:DB8:0::1") == ip_address("2001:db8::1")


_HOSTS = st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){0,3}", fullmatch=True)
_PORTS = st.integers(1, 65535)
DESTINATIONS = (
    st.builds(lambda host, port: f"{host}:{port}", _HOSTS, _PORTS)
    | _HOSTS
    | _HOSTS.map("*.{}".format)
    | st.ip_addresses(v=4).map(str)
    | st.builds(lambda host, port: f"[{host}]:{port}", st.ip_addresses(v=6), _PORTS)
)


def read(text: str) -> Destination | str:
    """A destination, or why it is none."""
    try:
        return parse_destination(text)
    except ValueError as error:
        return str(error)


@given(DESTINATIONS | st.text() | st.text("*.:/[]0123456789abcxXfF-"))
def test_any_text_is_a_destination_with_a_stable_text_or_has_a_reason(text: str) -> None:
    match read(text):
        case Destination() as destination:
            assert parse_destination(str(destination)) == destination
        case reason:
            assert reason


@given(st.ip_addresses(), st.integers(0, 128))
def test_a_suggested_network_is_always_accepted(address: object, prefix: int) -> None:
    match read(f"{address}/{prefix}"):
        case str(reason) if "bits set beyond" in reason:
            suggested = reason.split('did you mean "')[1].removesuffix('"?')
            assert isinstance(parse_destination(suggested).pattern, Within)
        case str(reason):
            assert "prefix length of at most" in reason or "did you mean" in reason
        case destination:
            assert str(destination) == f"{address}/{prefix}"


@pytest.mark.parametrize(
    ("raw", "network"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.0.2.1", "192.0.2.1/32"),
        ("[2001:db8::1]:443", "2001:db8::1/128"),
        ("a.example", None),
        ("*.example", None),
    ],
)
def test_a_pattern_of_addresses_is_a_network(raw: str, network: str | None) -> None:
    found = find_network(parse_destination(raw).pattern)
    assert found == (None if network is None else ip_network(network))


def test_a_network_has_no_more_bits_than_its_version() -> None:
    for raw, said in (
        ("10.0.0.0/33", "IPv4 has a prefix length of at most 32"),
        ("::/129", "IPv6 has a prefix"),
    ):
        with pytest.raises(ValueError, match=f"^a network of {said}"):
            parse_destination(raw)
