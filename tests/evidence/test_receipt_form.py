"""The tables of a receipt: what fits them and what does not."""

from __future__ import annotations

import pytest

from trio_egress.evidence.members import (
    Member,
    Misfit,
    Presence,
)
from trio_egress.evidence.receipt_form import RECORD, SESSION_CONTROL

LEAST: dict[str, object] = {
    "version": 1,
    "action_id": "0190a0b0-0000-7000-8000-000000000000",
    "action_type": "read",
    "timestamp": "2027-01-15T08:00:00Z",
    "principal": "",
    "actor": "",
    "delegation_chain": None,
    "target": "t",
    "side_effect_class": "none",
    "reversibility": "unknown",
    "policy_hash": "",
    "verdict": "allow",
    "transport": "fetch",
    "chain_prev_hash": "h",
    "chain_seq": 0,
}
FULL: dict[str, object] = {
    "parent_action_id": "p",
    "delegation_chain": ["a", "b"],
    "intent": "i",
    "data_classes_in": ["x"],
    "decision_phase": "intent",
    "session_contaminated": True,
    "contract_policy_sources": ["x"],
    "contract_generation": 2**64 - 1,
    "redaction": {
        "profile": "p",
        "total_redactions": 2,
        "by_class": {"a": 1, "b": 0},
        "cache_boundary_kept": True,
    },
    "run_nonce": "n",
    "key_transition": {"prior_signer_key": "", "prior_chain_seq": 0, "prior_chain_hash": ""},
    "precedent_refs": ["r"],
}


def _record(**changes: object) -> dict[str, object]:
    return RECORD.order({**LEAST, **changes})


def _codes(record: object) -> list[tuple[str, str]]:
    return [(misfit.code, misfit.place) for misfit in RECORD.find_misfits(record, "r.")]


def test_the_least_and_the_fullest_record_fit() -> None:
    assert _codes(_record()) == []
    assert _codes(_record(**FULL)) == []
    assert _codes(_record()) == []  # again, from what is known by now


def test_the_canonical_order_has_58_members() -> None:
    assert len(RECORD.members) == 58
    assert [RECORD.members[at - 1].name for at in (1, 9, 16, 17, 40, 48, 49, 50, 52, 58)] == [
        *("version", "target", "verdict", "decision_phase", "transport", "chain_prev_hash", "chain_seq"),
        *("run_nonce", "session_control", "precedent_refs"),
    ]


@pytest.mark.parametrize("name", LEAST)
def test_every_required_member_is_missed(name: str) -> None:
    record = _record()
    del record[name]
    assert _codes(record) == [("member.missing", f"r.{name}")]


@pytest.mark.parametrize("name", ["action_id", "action_type", "timestamp", "target", "verdict", "transport"])
def test_a_member_that_must_be_filled_is_not_empty(name: str) -> None:
    (misfit,) = _codes({**_record(), name: ""})
    assert misfit[1] == f"r.{name}"


@pytest.mark.parametrize(
    "member", [m for m in RECORD.members if m.presence is Presence.OPTIONAL], ids=lambda m: m.name
)
@pytest.mark.parametrize("empty", ["", 0, False, [], {}, None])
def test_an_optional_member_never_stands_empty(member: Member, empty: object) -> None:
    raw = {
        m.name: {**_record(), member.name: empty}[m.name]
        for m in RECORD.members
        if m.name in _record() or m is member
    }
    (misfit, *_) = _codes(raw)
    assert misfit[0] in ("member.empty", "member.type", "member.missing")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", True),
        ("version", 2),
        ("version", "1"),
        ("action_id", "0190a0b0-0000-4000-8000-000000000000"),
        ("action_id", "0190a0b0-0000-7000-8000-00000000000"),
        ("action_id", "0190a0b0-0000-7000-8000-000000000000\n"),
        ("action_type", "fly"),
        ("principal", 5),
        ("delegation_chain", [1]),
        ("delegation_chain", "a"),
        ("side_effect_class", "banana"),
        ("reversibility", ""),
        ("policy_hash", None),
        ("verdict", "banana"),
        ("verdict", ["allow"]),
        ("verdict", {"allow": 1}),
        ("decision_phase", "later"),
        ("session_contaminated", "yes"),
        ("contract_generation", 2**64),
        ("transport", "pigeon"),
        ("chain_seq", -1),
        ("chain_seq", True),
        ("chain_seq", "0"),
        ("recent_taint_sources", [{"kind": "x"}]),
        ("shield", {"x": 1}),
        ("redaction", {"by_class": {"b": 1, "a": 1}}),
        ("redaction", {"by_class": {"a": "1"}}),
        ("precedent_refs", ["a", 1]),
    ],
)
def test_a_value_of_another_type_or_word_is_a_misfit(name: str, value: object) -> None:
    (misfit,) = _codes(_record(**{name: value}))
    assert misfit[0] == "member.type"
    assert misfit[1].startswith(f"r.{name}")


def test_members_out_of_order_are_told_with_their_neighbour() -> None:
    record = _record()
    record["principal"] = record.pop("principal")
    assert [m for m in RECORD.find_misfits(record) if m.code == "member.order"] == [
        Misfit("member.order", "principal", "after chain_seq", "before chain_seq")
    ]


def test_an_unknown_member_is_told_and_known_ones_are_still_looked_at() -> None:
    assert _codes({**_record(), "extra": 1, "verdict": 5}) == [
        ("member.unknown", "r.extra"),
        ("member.type", "r.verdict"),
    ]


@pytest.mark.parametrize("raw", [None, [], "x", 5])
def test_what_is_no_object_is_a_misfit(raw: object) -> None:
    assert _codes(raw) == [("member.type", "r")]
    assert RECORD.find_misfits(raw)[0].place == "receipt"


def test_a_nested_object_is_told_by_its_path() -> None:
    control = {"kind": "heartbeat", "heartbeat": {"run_nonce": "n"}}
    places = [misfit.place for misfit in SESSION_CONTROL.find_misfits(control)]
    assert places[0] == "heartbeat.open_nonce"
    assert SESSION_CONTROL.find_misfits({"kind": "nap"})[0].expected.startswith("one of heartbeat")
