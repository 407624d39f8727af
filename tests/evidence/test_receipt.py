"""Drafts, records, times and ids."""

from __future__ import annotations

import hashlib
import uuid

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evidence.specimens import KEY, START_NS, Scribe

from trio_egress.evidence.canonical import render_canonical
from trio_egress.evidence.receipt import (
    TARGET_CHARS,
    Draft,
    assemble,
    digest_record,
    hash_receipt,
    parse_timestamp,
    render_record,
    render_timestamp,
    uuid7,
)
from trio_egress.evidence.receipt_form import RECORD

_MAX_NS = 253_402_300_799_999_999_999  # the last nanosecond of the year 9999
FIXED = {
    "timestamp": "2027-01-15T08:00:00Z",
    "principal": "",
    "actor": "",
    "policy_hash": "sha256:00",
    "chain_prev_hash": "00",
    "chain_seq": 1,
}


@pytest.mark.parametrize(
    ("now_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (START_NS, "2027-01-15T08:00:00Z"),
        (START_NS + 1, "2027-01-15T08:00:00.000000001Z"),
        (START_NS + 500_000_000, "2027-01-15T08:00:00.5Z"),
        (START_NS + 999_999_999, "2027-01-15T08:00:00.999999999Z"),
        (_MAX_NS, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_a_time_has_as_many_digits_as_it_needs(now_ns: int, text: str) -> None:
    assert render_timestamp(now_ns) == text
    assert parse_timestamp(text) == now_ns


@given(st.integers(0, _MAX_NS))
def test_every_time_is_read_as_it_was_written(now_ns: int) -> None:
    assert parse_timestamp(render_timestamp(now_ns)) == now_ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z",
        "2027-01-15T08:00:00",
        "2027-01-15T08:00:00+00:00",
        "2027-01-15t08:00:00Z",
        "2027-01-15 08:00:00Z",
        "2027-01-15T08:00:00z",
        "2027-01-15T08:00:00.Z",
        "2027-01-15T08:00:00.50Z",
        "2027-01-15T08:00:00.0Z",
        "2027-01-15T08:00:00.1234567891Z",
        "2027-01-15T08:00:00,5Z",
        "2027-01-15T08:00:00.-1Z",
        "2027-01-15T08:00:00.+1Z",
        "2027-02-29T08:00:00Z",
        "2027-01-15T24:00:00Z",
        "2027-01-15T08:00:60Z",
        "2027-1-15T08:00:000Z",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "２０２7-01-15T08:00:00Z",
    ],
)
def test_a_time_in_any_other_form_is_refused(text: str) -> None:
    assert parse_timestamp(text) is None


@given(st.text(max_size=40))
def test_no_text_makes_reading_a_time_raise(text: str) -> None:
    parse_timestamp(text)
    parse_timestamp(f"2027-01-15T08:00:00.{text}Z")


@given(st.integers(0, 2**47 * 1_000_000), st.binary(min_size=10, max_size=10))
def test_an_id_is_a_uuid_of_version_7_with_its_time(now_ns: int, random: bytes) -> None:
    made = uuid.UUID(uuid7(now_ns, random))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == now_ns // 1_000_000


def test_each_random_bit_that_an_id_holds_changes_it() -> None:
    ids = {uuid7(0, (1 << bit).to_bytes(10, "big")) for bit in range(74)}
    assert len(ids) == 74


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("action_id", "1"),
        ("action_id", "0190A0B0-0000-7000-8000-000000000000"),
        ("verdict", "banana"),
        ("transport", "pigeon"),
        ("phase", "later"),
        ("action_type", ""),
        ("side_effect_class", "x"),
        ("reversibility", "x"),
    ],
)
def test_a_draft_with_a_word_that_the_format_does_not_have_is_refused(member: str, value: str) -> None:
    with pytest.raises(ValueError, match=member):
        attrs.evolve(Scribe().draft(), **{member: value})  # type: ignore[arg-type]


def _record(draft: Draft) -> dict[str, object]:
    return render_record(draft, FIXED, b"{}")


@given(st.text(st.characters(exclude_categories=[])))
def test_no_text_makes_a_record_that_does_not_fit_or_cannot_be_signed(text: str) -> None:
    draft = attrs.evolve(Scribe().draft(), target=text, method=text, layer=text, pattern=text, severity=text)
    record = _record(draft)
    assert RECORD.find_misfits(record) == []
    render_canonical(record)


def test_members_that_are_empty_are_left_out_and_the_others_always_stand() -> None:
    record = _record(Scribe().draft(phase=""))
    assert list(record) == [
        *(
            "version",
            "action_id",
            "action_type",
            "timestamp",
            "principal",
            "actor",
            "delegation_chain",
            "target",
        ),
        *("side_effect_class", "reversibility", "policy_hash", "verdict", "transport"),
        *("chain_prev_hash", "chain_seq", "precedent_refs"),
    ]
    filled = attrs.evolve(Scribe().draft(), phase="intent", method="GET", severity="high")
    assert {"decision_phase", "method", "severity"} <= set(_record(filled))


def test_a_target_is_never_empty_and_never_endless() -> None:
    assert _record(Scribe().draft(target=""))["target"] == "(empty)"
    assert _record(Scribe().draft(target="x" * 9999))["target"] == "x" * TARGET_CHARS + "...(5903 more)"


def test_the_parts_of_a_receipt_are_put_together_in_their_order() -> None:
    whole = assemble(b"{R}", b"\xab" * 64, KEY.public_hex, b"{E}")
    assert whole.decode() == (
        '{"version":1,"action_record":{R},"signature":"ed25519:'
        + "ab" * 64
        + f'","signer_key":"{KEY.public_hex}","ext":{{E}}}}'
    )
    assert assemble(b"{R}", b"\xab" * 64, KEY.public_hex, None) == whole[:-11] + b"}"
    assert hash_receipt(whole) == digest_record(whole).hex() == hashlib.sha256(whole).hexdigest()
