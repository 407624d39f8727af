"""Another key in the middle of a log: believed only if the key before endorsed it, for just this place."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pipelock_verify
import pytest
from tests.evidence.specimens import KEY, SESSION, STRANGER, Scribe, codes, replay, sign, write_evidence
from tests.evidence.test_packet import FACTS, make_packet

from trio_egress.evidence.canonical import render_canonical
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.report import Verdict
from trio_egress.evidence.rotation import ROTATIONS_MAX, Segments, Tail
from trio_egress.evidence.sign import SigningKey, generate
from trio_egress.evidence.verify import verify

THIRD = generate(b"\x03" * 32)
Record = dict[str, Any]

ROTATED = 4
"""The line, from 0, that begins the new segment of `write_rotated`."""


def write_rotated() -> list[bytes]:
    scribe = Scribe().open().allow().heartbeat().rotate(STRANGER).block().heartbeat()
    return scribe.allow("b.example.com").heartbeat().close().lines


def endorsement_of(lines: Sequence[bytes], at: int = ROTATED) -> Record:
    found: Record = json.loads(lines[at])["ext"]["trio_egress"]["rotation"]
    return found


def rejoin(
    lines: Sequence[bytes], change: Callable[[Record], None], key: SigningKey = STRANGER
) -> list[bytes]:
    """The log with its first receipt under the new key changed, and all from there on linked and signed anew by it."""
    out, head = list(lines[:ROTATED]), replay(list(lines[:ROTATED])).head
    for seq, line in enumerate(lines[ROTATED:]):
        receipt = json.loads(line)
        record = receipt["action_record"]
        record["chain_prev_hash"] = head
        control = record.get("session_control", {})
        control.get("heartbeat", {}).update(chain_head=head)
        control.get("close", {}).update(root_hash=head)
        if not seq:
            change(receipt)
        raw, head = sign(receipt, key)
        out.append(raw)
    return out


def resign(
    receipt: Record, by: SigningKey = KEY, label: bytes = b"pipelock-rotation-endorsement-v1\0"
) -> None:
    """The endorsement signed anew, as it stands by now."""
    rotation = receipt["ext"]["trio_egress"]["rotation"]
    rotation.pop("endorsement", None)
    signature = by.sign(sha256(label + render_canonical(rotation)).digest())
    rotation["endorsement"] = f"ed25519:{signature.hex()}"


def setting(**members: object) -> Callable[[Record], None]:
    """Members of the endorsement, which the old key signs as they are."""

    def change(receipt: Record) -> None:
        receipt["ext"]["trio_egress"]["rotation"].update(members)
        resign(receipt)

    return change


def judge(
    tmp_path: Path, lines: Sequence[bytes], endorsements: Sequence[Record], key: str = KEY.public_hex
) -> int:
    """What pipelock-verify says, with these endorsements: as its exit code."""
    evidence = write_evidence(tmp_path, list(lines))
    try:
        result = pipelock_verify.verify_chain(
            evidence, public_key_hex=key, session_id="run-1", rotation_endorsements=endorsements
        )
    except pipelock_verify.InvalidReceiptError:
        return 1
    return 0 if result.valid else 1


def test_an_endorsed_key_is_believed_by_both(tmp_path: Path) -> None:
    lines = write_rotated()
    played = replay(lines)
    assert played.findings.kept == []
    assert (played.signer_key, played.segments.current_key) == (KEY.public_hex, STRANGER.public_hex)
    assert (played.final_seq, played.tally.receipt_count) == (6, 11)
    assert judge(tmp_path, lines, [endorsement_of(lines)]) == 0


def test_a_log_may_have_many_keys(tmp_path: Path) -> None:
    lines = Scribe().open().rotate(STRANGER).block().rotate(THIRD).allow().close().lines
    assert replay(lines).findings.kept == []
    assert judge(tmp_path, lines, [endorsement_of(lines, 1), endorsement_of(lines, 3)]) == 0
    assert judge(tmp_path, lines, [endorsement_of(lines, 1)]) == 1


@pytest.mark.parametrize("keys", [{STRANGER.public_hex}, {THIRD.public_hex}])
def test_the_first_key_is_the_one_to_pin(keys: set[str], tmp_path: Path) -> None:
    lines = write_rotated()
    played = Replay(Findings(), "evidence.jsonl", keys)
    for line in lines:
        played.feed(line[:-1])
    assert codes(played) == ["key.not_trusted"]
    assert judge(tmp_path, lines, [endorsement_of(lines)], STRANGER.public_hex) == 1


def _replayed_session(receipt: Record) -> None:
    """What the old key gave for the same place of another run."""
    other = Scribe(attrs.evolve(SESSION, run_id="run-2")).open().allow().heartbeat().rotate(STRANGER)
    receipt["ext"]["trio_egress"]["rotation"] = endorsement_of(other.lines)


def _replayed_tail(receipt: Record) -> None:
    """What the old key gave for another tail of the same run."""
    other = Scribe().open().block().block().heartbeat().rotate(STRANGER)
    receipt["ext"]["trio_egress"]["rotation"] = endorsement_of(other.lines)


def _without(receipt: Record) -> None:
    del receipt["ext"]["trio_egress"]["rotation"]


def _transition(**members: object) -> Callable[[Record], None]:
    return lambda receipt: receipt["action_record"]["key_transition"].update(members)


def _unmarked(receipt: Record) -> None:
    del receipt["action_record"]["key_transition"]


def _flipped(receipt: Record) -> None:
    rotation = receipt["ext"]["trio_egress"]["rotation"]
    rotation["endorsement"] = rotation["endorsement"][:-1] + (
        "0" if rotation["endorsement"][-1] != "0" else "1"
    )


FORGED = {
    "by the new key": lambda receipt: resign(receipt, STRANGER),
    "by a stranger": lambda receipt: resign(receipt, THIRD),
    "as another kind of message": lambda receipt: resign(receipt, label=b""),
    "one bit": _flipped,
    "of another run": _replayed_session,
    "of another tail": _replayed_tail,
    "none": _without,
    "no endorsement": lambda receipt: receipt["ext"]["trio_egress"].update(rotation=7),
    "session_id": setting(session_id="run-2"),
    "prior_signer_key": setting(prior_signer_key=THIRD.public_hex),
    "prior_final_seq": setting(prior_final_seq=4),
    "prior_tail_hash": setting(prior_tail_hash="0" * 64),
    "new_signer_key": setting(new_signer_key=THIRD.public_hex),
    "version": setting(version=2),
    "unknown member": setting(more=1),
    "rotated_at": setting(rotated_at="yesterday"),
    "transition key": _transition(prior_signer_key=STRANGER.public_hex),
    "transition seq": _transition(prior_chain_seq=4),
    "transition hash": _transition(prior_chain_hash="0" * 64),
    "no transition": _unmarked,
}


@pytest.mark.parametrize("attack", FORGED.values(), ids=FORGED)
def test_both_refuse_a_key_that_is_not_endorsed_for_this_place(
    attack: Callable[[Record], None], tmp_path: Path
) -> None:
    """The control is the same log joined again with nothing changed."""
    lines = rejoin(write_rotated(), lambda receipt: None)
    assert replay(lines).findings.kept == []
    assert judge(tmp_path, lines, [endorsement_of(lines)]) == 0
    lines = rejoin(write_rotated(), attack)
    assert {"chain.rotation", "signature.key"} & set(codes(replay(lines)))
    found = json.loads(lines[ROTATED])["ext"]["trio_egress"].get("rotation")
    assert judge(tmp_path, lines, [found] if isinstance(found, dict) else []) == 1


OURS_ALONE: dict[str, Callable[[Record], None]] = {
    "another time": setting(rotated_at="2020-01-01T00:00:00Z"),
    "upper case": lambda receipt: receipt["ext"]["trio_egress"]["rotation"].update(
        endorsement=receipt["ext"]["trio_egress"]["rotation"]["endorsement"].upper().replace("ED", "ed")
    ),
    "another order": lambda receipt: receipt["ext"]["trio_egress"].update(
        rotation=dict(reversed(receipt["ext"]["trio_egress"]["rotation"].items()))
    ),
    "another transport": lambda receipt: receipt["action_record"].update(transport="policy"),
    "an attempt": lambda receipt: receipt["action_record"].update(transport="transparent"),
}


@pytest.mark.parametrize("attack", OURS_ALONE.values(), ids=OURS_ALONE)
def test_ours_refuses_what_the_other_may_accept(attack: Callable[[Record], None]) -> None:
    assert "chain.rotation" in codes(replay(rejoin(write_rotated(), attack)))


def test_a_stranger_can_not_go_on_with_a_log_or_take_an_endorsement_along(tmp_path: Path) -> None:
    """The endorsement names STRANGER; THIRD signs."""
    lines = rejoin(write_rotated(), lambda receipt: None, THIRD)
    assert "chain.rotation" in codes(replay(lines))
    assert judge(tmp_path, lines, [endorsement_of(lines)]) == 1


def test_no_key_comes_back(tmp_path: Path) -> None:
    """What was left behind (because it was stolen, say) can be endorsed by nobody."""
    back = Scribe().open().rotate(STRANGER).rotate(KEY).block().close().lines
    same = Scribe().open().rotate(KEY).close().lines
    forth = Scribe().open().rotate(STRANGER).rotate(THIRD).block().close().lines
    assert "chain.rotation" in codes(replay(back))
    assert "chain.rotation" in codes(replay(same))
    assert replay(forth).findings.kept == []


def test_no_log_goes_on_under_a_key_of_small_order() -> None:
    """Under such a key one signature fits many messages. Whoever holds the old key could name it."""
    weak = "01" + "00" * 31
    tail = Tail("run-1", KEY.public_hex, 3, "0" * 64)
    segments = Segments()
    segments.begin(KEY.public_hex, 1)
    at = "2027-01-15T08:00:00Z"
    receipt: Record = {"ext": {"trio_egress": {"rotation": tail.render(weak, at)}}}
    resign(receipt)
    record = {"timestamp": at, "key_transition": tail.render_transition()}
    facts = receipt["ext"]["trio_egress"]
    assert segments.rotate(tail, record, facts, weak, 5) == "a new key that is none"
    facts["rotation"]["new_signer_key"] = STRANGER.public_hex
    resign(receipt)
    assert segments.rotate(tail, record, facts, STRANGER.public_hex, 5) == ""  # the control


def test_the_keys_of_one_log_are_bounded() -> None:
    segments = Segments()
    for number in range(ROTATIONS_MAX):
        segments.begin(f"{number}", number + 1)
    assert "rotations" in segments.rotate(Tail("r", "", 0, ""), {}, {}, "", 1)


def test_nothing_rotates_before_the_open_or_after_the_close() -> None:
    lines = write_rotated()
    assert "chain.rotation" in codes(replay(lines[ROTATED:]))
    scribe = Scribe().open().close()
    ended = [
        *scribe.lines,
        *rejoin([*scribe.lines, *scribe.lines, *lines[ROTATED:]], lambda receipt: None)[4:],
    ]
    assert {"chain.rotation", "session.order"} <= set(codes(replay(ended)))


def test_a_rotation_cut_off_is_a_prefix_like_any_other() -> None:
    lines = write_rotated()
    for size in range(1, len(lines)):
        assert replay(lines[:size]).findings.kept == []


def test_a_packet_carries_the_endorsements_where_other_verifiers_want_them(tmp_path: Path) -> None:
    """Its manifest and checkpoint are signed by the key of the end; whoever pins the first one believes all of it."""
    lines = write_rotated()
    assert make_packet(tmp_path, lines, FACTS, STRANGER) is Verdict.VALID
    assert json.loads((tmp_path / "rotation-1.json").read_bytes()) == endorsement_of(lines)
    report = verify(tmp_path, keys=[KEY.public_hex])
    assert report.verdict is Verdict.VALID
    assert any(STRANGER.public_hex in note for note in report.notes)
    assert verify(tmp_path, keys=[STRANGER.public_hex]).verdict is Verdict.INVALID


def test_a_manifest_by_the_key_left_behind_is_refused(tmp_path: Path) -> None:
    make_packet(tmp_path, write_rotated(), FACTS, KEY)
    assert "manifest.signature" in [f.code for f in verify(tmp_path, keys=[KEY.public_hex]).findings]


@pytest.mark.parametrize(("size", "signer"), [(4, KEY), (5, STRANGER), (11, STRANGER)])
def test_a_checkpoint_is_signed_by_the_key_of_its_time(size: int, signer: SigningKey, tmp_path: Path) -> None:
    lines = write_rotated()[:size]
    scribe = Scribe(key=signer)
    for line in lines:
        scribe.chain._tree.append(line[:-1])
    write_evidence(tmp_path, lines)
    (tmp_path / "checkpoint.txt").write_bytes(scribe.chain.sign_checkpoint())
    assert verify(tmp_path, keys=[KEY.public_hex]).findings == ()
    other = {KEY: STRANGER, STRANGER: KEY}[signer]
    scribe.chain._key = other
    (tmp_path / "checkpoint.txt").write_bytes(scribe.chain.sign_checkpoint())
    assert [f.code for f in verify(tmp_path, keys=[KEY.public_hex]).findings] == ["checkpoint.key"]
