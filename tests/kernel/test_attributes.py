"""Attributes as bytes, and bytes that are none."""

from __future__ import annotations

import struct

import pytest

from trio_egress.kernel import nft
from trio_egress.kernel.attributes import parse_attributes, render_attribute, render_attributes


def test_each_kind_of_value_has_its_form() -> None:
    inner = nft.Nest((("NFTA_DATA_VALUE", b"\x01"),))
    raw = render_attributes(
        (
            ("NFTA_EXPR_NAME", "ct"),
            ("NFTA_VERDICT_CODE", -3),
            ("NFTA_LOG_GROUP", 7),
            ("NFTA_REJECT_ICMP_CODE", 3),
            ("NFTA_CMP_DATA", inner),
            ("NFTA_RULE_EXPRESSIONS", (inner,)),
        )
    )
    assert raw == (
        struct.pack("=HH", 7, 1)
        + b"ct\0\0"
        + struct.pack("=HH", 8, 1)
        + b"\xff\xff\xff\xfd"
        + struct.pack("=HH", 6, 1)
        + b"\x00\x07\0\0"
        + struct.pack("=HH", 5, 2)
        + b"\x03\0\0\0"
        + struct.pack("=HH", 12, 0x8003)
        + (value := struct.pack("=HH", 5, 1) + b"\x01\0\0\0")
        + struct.pack("=HH", 16, 0x8004)
        + struct.pack("=HH", 12, 0x8001)
        + value
    )


def test_a_name_that_is_not_known_is_never_left_out() -> None:
    with pytest.raises(KeyError, match="NFTA_CMP_DATUM"):
        render_attributes((("NFTA_CMP_DATUM", 1),))


@pytest.mark.parametrize("name", ["NFTA_EXTHDR_TYPE", "NFTA_LOG_GROUP", "NFTA_CT_KEY"])
def test_a_number_that_does_not_fit_is_never_cut(name: str) -> None:
    with pytest.raises(struct.error):
        render_attributes(((name, 1 << 32),))


def test_values_come_back_by_their_numbers() -> None:
    raw = render_attribute(1, b"abc") + render_attribute(0x8002, b"") + render_attribute(3, b"12345678")
    assert parse_attributes(raw) == {1: b"abc", 2: b"", 3: b"12345678"}


@pytest.mark.parametrize("length", range(12, 20))
def test_what_is_cut_short_is_not_there(length: int) -> None:
    raw = render_attribute(1, b"12345678") + render_attribute(2, b"abcd")
    assert parse_attributes(raw[:length]) == {1: b"12345678"}


@pytest.mark.parametrize("length", [0, 3, 9, 0xFFFF])
def test_a_length_that_cannot_be_ends_the_reading(length: int) -> None:
    assert parse_attributes(struct.pack("=HH", length, 1) + bytes(4)) == {}
