"""Proofs in the forms of C2SP tlog-proof and tlog-witness: what they prove, and that nothing else passes."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.evidence.golang import REFUSED, ask
from tests.evidence.specimens import KEY, STRANGER, write_chain

from trio_egress.evidence.checkpoint import parse_checkpoint, sign_checkpoint
from trio_egress.evidence.merkle import Tree, find_consistency, find_inclusion, hash_ranges
from trio_egress.evidence.note import render_verifier_key
from trio_egress.evidence.proof import (
    PROOF_BYTES,
    Consistency,
    Inclusion,
    check_consistency,
    check_inclusion,
    parse_proof,
    render_consistency,
    render_inclusion,
)
from trio_egress.evidence.sign import SigningKey

LINES = [line[:-1] for line in write_chain()]
ENTRY, OLD = 3, 5


def sign(size: int, run_id: str = "run-1", key: SigningKey = KEY) -> bytes:
    tree = Tree()
    for line in LINES[:size]:
        tree.append(line)
    return sign_checkpoint(run_id, size, tree.root, key)


NOW = sign(len(LINES))
INCLUSION = render_inclusion(ENTRY, hash_ranges(LINES, find_inclusion(ENTRY, len(LINES))), NOW, LINES[ENTRY])
CONSISTENCY = render_consistency(OLD, hash_ranges(LINES, find_consistency(OLD, len(LINES))), NOW)


def read_inclusion(raw: bytes) -> Inclusion:
    proof = parse_proof(raw)
    assert isinstance(proof, Inclusion)
    return proof


def read_consistency(raw: bytes) -> Consistency:
    proof = parse_proof(raw)
    assert isinstance(proof, Consistency)
    return proof


def test_a_line_is_proven_by_the_proof_and_the_key_alone() -> None:
    proof = read_inclusion(INCLUSION)
    assert (proof.index, proof.extra) == (ENTRY, LINES[ENTRY])
    assert check_inclusion(proof, LINES[ENTRY], [KEY.public_hex]) == ""


def test_no_other_line_key_or_place_is() -> None:
    proof = read_inclusion(INCLUSION)
    assert "do not lead" in check_inclusion(proof, LINES[ENTRY] + b" ", [KEY.public_hex])
    assert "do not lead" in check_inclusion(proof, LINES[ENTRY + 1], [KEY.public_hex])
    assert "not signed by" in check_inclusion(proof, LINES[ENTRY], [STRANGER.public_hex])
    moved = read_inclusion(INCLUSION.replace(b"index 3", b"index 2"))
    assert "do not lead" in check_inclusion(moved, LINES[ENTRY], [KEY.public_hex])


@pytest.mark.parametrize("raw", [INCLUSION, CONSISTENCY], ids=["inclusion", "consistency"])
def test_no_bit_of_a_proof_can_be_flipped(raw: bytes) -> None:
    for at in range(len(raw)):
        flipped = bytes([*raw[:at], raw[at] ^ 1, *raw[at + 1 :]])
        try:
            match parse_proof(flipped):
                case Inclusion() as proof:
                    assert check_inclusion(proof, proof.extra or b"", [KEY.public_hex])
                case Consistency() as proof:
                    assert check_consistency(proof, parse_checkpoint(sign(OLD)), [KEY.public_hex])
        except ValueError:
            continue


def test_an_older_state_is_proven() -> None:
    proof = read_consistency(CONSISTENCY)
    assert check_consistency(proof, parse_checkpoint(sign(OLD)), [KEY.public_hex]) == ""


@pytest.mark.parametrize(
    ("older", "reason"),
    [
        (sign(OLD, key=STRANGER), "not signed by"),
        (sign(OLD, run_id="run-2"), "different logs"),
        (sign(OLD + 1), "the older checkpoint is of 6"),
        (sign_checkpoint("run-1", OLD, bytes(32), KEY), "does not begin with"),
    ],
    ids=["stranger", "another run", "another size", "another history"],
)
def test_another_older_state_is_not(older: bytes, reason: str) -> None:
    assert reason in check_consistency(
        read_consistency(CONSISTENCY), parse_checkpoint(older), [KEY.public_hex]
    )


def test_a_log_whose_key_was_rotated_is_proven_with_both_keys() -> None:
    path = hash_ranges(LINES, find_consistency(OLD, len(LINES)))
    proof = read_consistency(render_consistency(OLD, path, sign(len(LINES), key=STRANGER)))
    older = parse_checkpoint(sign(OLD))
    assert check_consistency(proof, older, [KEY.public_hex, STRANGER.public_hex]) == ""
    assert "not signed by" in check_consistency(proof, older, [STRANGER.public_hex])
    assert "not signed by" in check_consistency(proof, older, [])


def test_the_newer_state_must_be_signed_too() -> None:
    path = hash_ranges(LINES, find_consistency(OLD, len(LINES)))
    proof = read_consistency(render_consistency(OLD, path, sign(len(LINES), key=STRANGER)))
    assert "not signed by" in check_consistency(proof, parse_checkpoint(sign(OLD)), [KEY.public_hex])


def test_a_proof_of_others_need_not_tell_the_line() -> None:
    bare = b"\n".join(line for line in INCLUSION.split(b"\n") if not line.startswith(b"extra "))
    proof = read_inclusion(bare)
    assert proof.extra is None
    assert check_inclusion(proof, LINES[ENTRY], [KEY.public_hex]) == ""


HASH = base64.b64encode(bytes(32))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "without a blank line"),
        (INCLUSION.replace(b"\n\n", b"\n"), "without a blank line"),
        (INCLUSION.replace(b"@v1", b"@v2"), "begins neither"),
        (INCLUSION.replace(b"index 3", b"index 03"), "leading zeros"),
        (INCLUSION.replace(b"index 3", b"number 3"), "without the line 'index'"),
        (b"c2sp.org/tlog-proof@v1\n\n" + NOW, "without the line 'index'"),
        (INCLUSION.replace(b"extra ", b"extra !"), "not base64"),
        (b"old 5\nAAAA\n\n" + NOW, "3 bytes where 32"),
        (b"old 5\n" + (HASH + b"\n") * 64 + b"\n" + NOW, "more than 63 hashes"),
        (b"old 5\n\xff\n\n" + NOW, "not in ASCII"),
        (b"old 5\n\nnote", "without a blank line and signatures"),
        (b"o" * (PROOF_BYTES + 1), "more than"),
    ],
)
def test_what_is_no_proof_is_refused_with_a_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_proof(raw)


def test_go_is_led_to_the_root_of_the_checkpoint_it_believes(go_tlog: Path) -> None:
    inclusion, consistency = read_inclusion(INCLUSION), read_consistency(CONSISTENCY)
    log, older = inclusion.signed.checkpoint, parse_checkpoint(sign(OLD)).checkpoint
    note = {"Kind": "note", "Note": NOW, "Keys": [render_verifier_key(log.origin, KEY.public_hex)]}
    record = {
        "Kind": "check record",
        "Line": LINES[ENTRY],
        "Number": inclusion.index,
        "Size": log.size,
        "Root": log.root,
        "Path": inclusion.path,
    }
    tree = {
        "Kind": "check tree",
        "Size": log.size,
        "Root": log.root,
        "OldSize": older.size,
        "OldRoot": older.root,
        "Path": consistency.path,
    }
    said = ask(
        go_tlog, note, record, tree, {**record, "Line": LINES[ENTRY] + b" "}, {**tree, "OldRoot": log.root}
    )
    assert not said[0].startswith(REFUSED)
    assert said[1:3] == ["", ""]
    assert all(answer.startswith(REFUSED) for answer in said[3:])
