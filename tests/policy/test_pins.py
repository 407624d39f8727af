"""Reading the `[resolve]` table."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.model import Endpoint
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.pins import parse_pins
from trio_egress.policy.rule import Resolve
from trio_egress.texts.faults import Fault, Faults


def faults_of(table: Mapping[str, object]) -> list[Fault]:
    with pytest.raises(Faults) as caught:
        parse_pins(table)
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("key", "answer", "asked", "endpoint"),
    [
        ("api.example.com", "127.0.0.1", ("api.example.com", 443), Endpoint(ip_address("127.0.0.1"), 443)),
        (
            "API.example.com:443",
            "127.0.0.1:8443",
            ("api.example.com", 443),
            Endpoint(ip_address("127.0.0.1"), 8443),
        ),
        ("api.example.com", "::1", ("api.example.com", 443), Endpoint(ip_address("::1"), 443)),
        ("api.example.com", "[::1]:1", ("api.example.com", 443), Endpoint(ip_address("::1"), 1)),
        ("203.0.113.9", "127.0.0.1", ("203.0.113.9", 80), Endpoint(ip_address("127.0.0.1"), 80)),
        ("[2001:db8::9]:80", "127.0.0.1:1", ("2001:db8::9", 80), Endpoint(ip_address("127.0.0.1"), 1)),
    ],
)
def test_a_pin_says_where_a_host_is(
    key: str, answer: str, asked: tuple[str, int], endpoint: Endpoint
) -> None:
    assert parse_pins({key: answer}).find(parse_host(asked[0]), asked[1]) == endpoint


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("*.example.com", "a wildcard is not a host"),
        ("api.example.com:https", 'did you mean ":443"?'),
        ("0x7f.1", 'did you mean "127.0.0.1"?'),
        ("", "the host is empty"),
        (
            "host.internal:5432",
            "host.internal is this machine's loopback already, and can't be pinned elsewhere",
        ),
    ],
)
def test_a_wrong_target_is_a_fault_of_its_key(key: str, said: str) -> None:
    (fault,) = faults_of({key: "127.0.0.1"})
    assert (fault.path, fault.on_key) == ((key,), True)
    assert said in fault.message


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (8443, 'a pin is a string such as "127.0.0.1:8443", not 8443'),
        (["127.0.0.1"], "not a list"),
        ("localhost:8443", 'not to the name "localhost:8443"'),
        ("127.0.0.1:0", "port must be a number"),
        ("0x7f.1", 'did you mean "127.0.0.1"?'),
        ("0.0.0.0", "nothing can be dialled at 0.0.0.0"),
        ("[::]:443", "nothing can be dialled at ::"),
        ("224.0.0.1", "nothing can be dialled at 224.0.0.1"),
        ("ff02::1", "nothing can be dialled at ff02::1"),
    ],
)
def test_a_wrong_answer_is_a_fault_of_its_value(answer: object, said: str) -> None:
    (fault,) = faults_of({"api.example.com": answer})
    assert (fault.path, fault.on_key) == (("api.example.com",), False)
    assert said in fault.message


@pytest.mark.parametrize(
    ("table", "name"),
    [
        ({"api": {"example": {"com": "127.0.0.1"}}}, "api.example.com"),
        ({"api": {}}, "api"),
    ],
)
def test_a_name_without_quotes_is_recognised(table: Mapping[str, object], name: str) -> None:
    (fault,) = faults_of(table)
    assert fault == Fault(
        ("api",), f'a name with dots in it must be quoted; did you mean "{name}"?', on_key=True
    )


def test_a_host_is_pinned_once_however_it_is_spelt() -> None:
    (fault,) = faults_of({"api.example.com": "127.0.0.1", "API.example.com.": "127.0.0.2"})
    assert fault == Fault(
        ("API.example.com.",), "api.example.com is pinned already, by another spelling", on_key=True
    )


def test_a_host_may_be_pinned_apart_on_each_port() -> None:
    assert len(parse_pins({"a.example": "127.0.0.1", "a.example:80": "127.0.0.2"}).pins) == 2


def test_every_fault_of_the_table_is_told() -> None:
    assert len(faults_of({"a b": "127.0.0.1", "a": 1, "b": "127.0.0.1", "c": "x"})) == 3


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


def read(table: Mapping[str, object]) -> Resolve | tuple[Fault, ...]:
    try:
        return parse_pins(table)
    except Faults as error:
        return error.faults


@given(
    st.dictionaries(st.text() | st.sampled_from(["a.example", "A.example:80"]), _JSON | st.just("127.0.0.1"))
)
def test_any_table_is_pins_or_faults(table: dict[str, object]) -> None:
    match read(table):
        case Resolve(pins=pins):
            assert len(pins) == len(table)
        case faults:
            assert faults
