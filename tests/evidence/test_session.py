"""The table of states and the genesis hash."""

from __future__ import annotations

import pytest

from trio_egress.evidence.session import NEXT_STATE, SessionState, Step, render_genesis_hash

OPENING = {
    "run_nonce": "r",
    "open_nonce": "o",
    "recorder_session": "s",
    "policy_hash": "p",
    "signer_key_epoch": "e",
    "heartbeat_seconds": 30,
    "genesis_anchor_head": "h",
    "genesis_anchor_log": "l",
    "posture_capsule_sha256": "c",
    "containment_nonce": "n",
    "contained_uid": "u",
}


def test_a_session_is_opened_once_and_closed_once() -> None:
    assert {(state.name, step.name): after.name for (state, step), after in NEXT_STATE.items()} == {
        ("NEW", "OPEN"): "OPEN",
        ("OPEN", "ACTION"): "OPEN",
        ("OPEN", "HEARTBEAT"): "OPEN",
        ("OPEN", "CLOSE"): "CLOSED",
    }
    assert not any((SessionState.CLOSED, step) in NEXT_STATE for step in Step)


@pytest.mark.parametrize("name", OPENING)
def test_every_framed_member_changes_the_genesis_hash(name: str) -> None:
    changed = {**OPENING, name: 31 if name == "heartbeat_seconds" else "x"}
    assert render_genesis_hash(changed) != render_genesis_hash(OPENING)


def test_a_frame_cannot_be_moved_into_its_neighbour() -> None:
    moved = {**OPENING, "run_nonce": "ro", "open_nonce": ""}
    assert render_genesis_hash(moved) != render_genesis_hash(OPENING)


def test_an_absent_member_is_framed_as_empty() -> None:
    without = {name: value for name, value in OPENING.items() if name != "contained_uid"}
    assert render_genesis_hash(without) == render_genesis_hash({**OPENING, "contained_uid": ""})


def test_other_members_do_not_count() -> None:
    assert render_genesis_hash({**OPENING, "genesis_hash": "x", "chain_open_seq": 0}) == render_genesis_hash(
        OPENING
    )
