"""Encodings of tokens and keys, against what their own descriptions and other programs say."""

from __future__ import annotations

import base64
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.content.vectors import encode_base58check, encode_bech32

from trio_egress.content.alphabets import (
    BASE36,
    BASE58_CHARS,
    BASE62,
    decode_base32,
    decode_base58check,
    decode_base64,
    decode_bech32,
    encode_number,
)


@given(st.integers(0, 2**32 - 1))
def test_a_number_is_written_as_int_reads_it(number: int) -> None:
    assert int(encode_number(number, BASE36, 7), 36) == number
    assert len(encode_number(number, BASE62, 6)) == 6


@given(st.binary(max_size=100))
def test_base64_of_both_alphabets_is_read_without_padding(raw: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert decode_base64(encode(raw).rstrip(b"=")) == raw


def test_what_is_no_base64_is_none() -> None:
    assert [decode_base64(text) for text in (b"a", b"ab=", b"a b", b"\xff\xff")] == [None] * 4


@given(st.binary(max_size=100))
def test_base32_is_read_without_padding(raw: bytes) -> None:
    assert decode_base32(base64.b32encode(raw).rstrip(b"=")) == raw


def test_what_is_no_base32_is_none() -> None:
    assert [decode_base32(text) for text in (b"a", b"A", b"A1", b"\xff\xff")] == [None] * 4


@given(st.binary(min_size=1, max_size=80))
def test_base58check_is_read_and_a_wrong_checksum_is_none(raw: bytes) -> None:
    text = encode_base58check(raw).encode()
    assert decode_base58check(text) == raw
    last = b"2" if text[-1:] != b"2" else b"3"
    assert decode_base58check(text[:-1] + last) is None


def test_base58_of_other_letters_or_too_long_is_none() -> None:
    assert decode_base58check(b"0OIl") is None
    assert decode_base58check(b"1" * (BASE58_CHARS + 1)) is None
    assert decode_base58check(b"") is None


@given(st.binary(max_size=40))
def test_bech32_is_read_in_one_case(raw: bytes) -> None:
    text = encode_bech32("age-secret-key-", raw).encode()
    assert decode_bech32(text) == decode_bech32(text.upper()) == raw
    assert decode_bech32(text[:-1] + text[-1:].upper()) in ((raw, None) if text[-1:].isdigit() else (None,))


def test_what_is_no_bech32_is_none() -> None:
    good = encode_bech32("a", b"\1\2").encode()
    other = b"q" if good[-1:] != b"q" else b"p"
    wrong = (
        good[:-1] + other,
        good.replace(b"1", b"", 1),
        b"a1qqqqq",
        b"1qqqqqq",
        b"a1bbbbbb",
    )
    assert [decode_bech32(text) for text in wrong] == [None] * len(wrong)


def test_the_examples_of_bip_173_are_read_or_refused_as_it_says() -> None:
    valid = [b"A12UEL5L", b"a12uel5l", b"?1ezyfcl"]
    assert [decode_bech32(text) for text in valid] == [b""] * len(valid)
    for text in (
        b"\x20" + b"1nwldj5",
        b"pzry9x0s0muk",
        b"1pzry9x0s0muk",
        b"x1b4n0q5v",
        b"li1dgmt3",
        b"A1G7SGD8",
    ):
        assert decode_bech32(text) is None


@pytest.mark.programs
def test_an_identity_that_age_made_is_read() -> None:
    made = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    identity = made.strip().split("\n")[-1].encode()
    decoded = decode_bech32(identity)
    assert decoded is not None
    assert len(decoded) == 32
