"""Hosts as strategies: what is said of each of them is tried with the policy's own reader and matcher."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.fuzzing.hosts import (
    Choices,
    find_near,
    hosts,
    hosts_in,
    hosts_near,
    names_below,
    spell_host,
    spellings_of_host,
)
from trio_egress.model import Host, Name
from trio_egress.policy.destination import parse_destination
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.index import build_index

DESTINATIONS = (
    "a.example",
    "*.a.example",
    "192.0.2.7",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/64",
    "::1",
)


@given(hosts())
def test_every_host_is_in_normal_form(host: Host) -> None:
    assert parse_host(str(host)) == host


@given(hosts(), st.data())
def test_every_spelling_means_the_host_that_was_spelt(host: Host, data: st.DataObject) -> None:
    assert parse_host(data.draw(spellings_of_host(host))) == host


@given(hosts(), st.data())
def test_a_program_sends_spellings_in_ascii(host: Host, data: st.DataObject) -> None:
    spelt = data.draw(spellings_of_host(host, ascii_only=True))
    assert spelt.isascii()
    assert parse_host(spelt) == host


@given(hosts())
def test_the_first_spelling_is_the_normal_form(host: Host) -> None:
    assert spell_host(host, Choices(0)).strip("[]") == str(host)


def test_an_address_is_spelt_in_many_ways() -> None:
    choices = (Choices(number * 7919) for number in range(20_000))
    spelt = {spell_host(IPv4Address("127.0.0.1"), each, ascii_only=True) for each in choices}
    assert {"127.0.0.1", "2130706433", "0x7f000001", "127.1", "[::ffff:127.0.0.1]", "127.0.0.1."} <= spelt


@pytest.mark.parametrize("text", DESTINATIONS)
@given(data=st.data())
def test_the_matcher_finds_every_host_of_a_pattern_and_none_beside_it(text: str, data: st.DataObject) -> None:
    pattern = parse_destination(text).pattern
    index = build_index([(pattern, True)])
    assert index.find(data.draw(hosts_in(pattern))) == (True,)
    beside = data.draw(hosts_near(pattern))
    assert index.find(beside) == ((True,) if str(beside).endswith(".a.example") and "*" in text else ())


@given(names_below("internal"))
def test_a_name_below_another_is_never_that_name_itself(name: Name) -> None:
    assert name.endswith(".internal")
    assert name != "internal"


def test_every_pattern_has_something_beside_it() -> None:
    assert all(find_near(parse_destination(text).pattern) for text in DESTINATIONS)
    assert find_near(parse_destination("10.0.0.0/8").pattern) == (
        IPv4Address("9.255.255.255"),
        IPv4Address("11.0.0.0"),
    )


def test_choices_are_the_digits_of_a_number_in_the_bases_that_are_asked_for() -> None:
    choices = Choices(1 + 3 * 2 + 3 * 5 * 1)
    assert [choices.pick("abc"), choices.pick("vwxyz"), choices.pick("01"), choices.pick("01")] == [
        "b",
        "x",
        "1",
        "0",
    ]
