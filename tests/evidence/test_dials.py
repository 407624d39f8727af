"""What was connected to, summed up by host, address and port."""

from __future__ import annotations

import pytest

from trio_egress.evidence.dials import ROWS, Dialled, Dials


def feed(*facts: dict[str, object], phase: str = "outcome") -> Dials:
    dials = Dials()
    for one in facts:
        dials.feed({"decision_phase": phase}, one)
    return dials


def test_outcomes_of_one_address_are_summed() -> None:
    fact: dict[str, object] = {
        "host": "a.example",
        "dialled": "192.0.2.7:443",
        "bytes_up": 1,
        "bytes_down": 2,
    }
    assert feed(fact, fact).rows == {("a.example", "192.0.2.7", 443): Dialled(2, 2, 4)}


def test_an_address_of_ip_6_stands_without_brackets() -> None:
    assert list(feed({"dialled": "[2001:db8::7]:80"}).rows) == [("2001:db8::7", "2001:db8::7", 80)]


@pytest.mark.parametrize(
    "dialled", ["", "nowhere", "192.0.2.7:", "192.0.2.7:x", "192.0.2.7:\u0663", "a:100000", 7]
)
def test_what_is_no_address_and_port_is_left_out(dialled: object) -> None:
    assert feed({"dialled": dialled}).rows == {}


def test_an_intent_was_not_connected_yet() -> None:
    assert feed({"dialled": "192.0.2.7:443"}, phase="intent").rows == {}


def test_sums_of_what_is_no_number_are_nothing() -> None:
    assert feed({"dialled": "192.0.2.7:443", "bytes_up": "9", "bytes_down": True}).rows == {
        ("192.0.2.7", "192.0.2.7", 443): Dialled(1)
    }


def test_rows_are_bounded_and_the_rest_is_counted() -> None:
    facts: list[dict[str, object]] = [{"dialled": f"192.0.2.7:{port}"} for port in range(ROWS + 3)]
    dials = feed(*facts, facts[0])
    assert (len(dials.rows), dials.left_out) == (ROWS, 3)
