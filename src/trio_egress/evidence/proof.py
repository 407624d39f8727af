"""Proofs about a run's log that need nothing of the log: a line stands in it, and one state of it extends another.

An inclusion proof is a C2SP tlog-proof whose `extra` is the line itself, a consistency proof is what C2SP tlog-witness
sends as add-checkpoint. Both end in the checkpoint that they lead to, so one public key is all that it takes.

Rule 1: `parse_…` raises ValueError with a reason, and nothing else; what it gives is believed by nobody yet.
Rule 2: `check_…` says what is wrong, or nothing; it hashes the line itself and believes no `extra`.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence

from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.checkpoint import SignedCheckpoint, parse_checkpoint, parse_number
from trio_egress.evidence.merkle import HASH_BYTES, PROOF_HASHES, hash_leaf, is_consistent, is_included
from trio_egress.evidence.note import NOTE_BYTES, parse_base64
from trio_egress.evidence.sign import PublicKey
from trio_egress.values import frozen

INCLUSION_HEADER = "c2sp.org/tlog-proof@v1"
_EXTRA, _INDEX, _OLD = "extra ", "index ", "old "

PROOF_BYTES = 2 * LINE_BYTES + NOTE_BYTES
"""Longest proof: the longest line in base64, and the longest checkpoint."""


@frozen
class Inclusion:
    """That the leaf at `index` stands in the log of the checkpoint. `extra`: the line, or None where it is not told."""

    index: int
    path: tuple[bytes, ...]
    signed: SignedCheckpoint
    extra: bytes | None = None


@frozen
class Consistency:
    """That the log of the checkpoint begins with the `old` lines that it had before."""

    old: int
    path: tuple[bytes, ...]
    signed: SignedCheckpoint


def render_inclusion(index: int, path: Sequence[bytes], checkpoint: bytes, line: bytes) -> bytes:
    """A `.tlog-proof` file. `line` is without its LF, `checkpoint` as it is stored."""
    head = [INCLUSION_HEADER, _EXTRA + _encode(line), f"{_INDEX}{index}", *map(_encode, path)]
    return "\n".join(head).encode() + b"\n\n" + checkpoint


def render_consistency(old: int, path: Sequence[bytes], checkpoint: bytes) -> bytes:
    """What a witness is sent with a new checkpoint."""
    return "\n".join([f"{_OLD}{old}", *map(_encode, path)]).encode() + b"\n\n" + checkpoint


def parse_proof(raw: bytes) -> Inclusion | Consistency:
    """Either kind, told by its first line. Raises ValueError."""
    if len(raw) > PROOF_BYTES:
        raise ValueError(f"a proof of more than {PROOF_BYTES} bytes")
    head, blank, checkpoint = raw.partition(b"\n\n")
    if not blank or not head.isascii():
        raise ValueError(
            "a proof without a blank line and a checkpoint after it, or not in ASCII before that"
        )
    first, *lines = head.decode().split("\n")
    if first.startswith(_OLD):
        return Consistency(parse_number(first[len(_OLD) :]), _parse_path(lines), parse_checkpoint(checkpoint))
    if first != INCLUSION_HEADER:
        raise ValueError(f"a file that begins neither with {INCLUSION_HEADER} nor with 'old'")
    extra = None
    if lines and lines[0].startswith(_EXTRA):
        extra = parse_base64(lines.pop(0)[len(_EXTRA) :])
    if not lines or not lines[0].startswith(_INDEX):
        raise ValueError("a proof without the line 'index'")
    index = parse_number(lines[0][len(_INDEX) :])
    return Inclusion(index, _parse_path(lines[1:]), parse_checkpoint(checkpoint), extra)


def check_inclusion(proof: Inclusion, line: bytes, keys: Collection[PublicKey]) -> str:
    """Why the proof does not prove that this line (without LF) is in the log, which one of these keys signed."""
    if reason := _check_signature(proof.signed, keys):
        return reason
    log = proof.signed.checkpoint
    if not is_included(hash_leaf(line), proof.index, log.size, log.root, proof.path):
        return f"the hashes do not lead from the line to the root of the log at index {proof.index}"
    return ""


def check_consistency(proof: Consistency, older: SignedCheckpoint, keys: Collection[PublicKey]) -> str:
    """Why the proof does not prove that the log begins with the older one, both signed by these keys; else nothing."""
    for signed in (older, proof.signed):
        if reason := _check_signature(signed, keys):
            return reason
    old, new = older.checkpoint, proof.signed.checkpoint
    if old.origin != new.origin:
        return f"the checkpoints are of different logs: {old.origin!a} and {new.origin!a}"
    if old.size != proof.old:
        return f"the proof is about a log of {proof.old} lines, and the older checkpoint is of {old.size}"
    if not is_consistent(old.size, old.root, new.size, new.root, proof.path):
        return f"the log of {new.size} lines does not begin with the log of {old.size} lines"
    return ""


def _check_signature(signed: SignedCheckpoint, keys: Collection[PublicKey]) -> str:
    if any(map(signed.is_signed, keys)):
        return ""
    return f"the checkpoint of {signed.checkpoint.origin!a} is not signed by the key {' or '.join(keys)}"


def _parse_path(lines: Sequence[str]) -> tuple[bytes, ...]:
    if len(lines) > PROOF_HASHES:
        raise ValueError(f"a proof of more than {PROOF_HASHES} hashes")
    return tuple(parse_base64(line, HASH_BYTES) for line in lines)


def _encode(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
