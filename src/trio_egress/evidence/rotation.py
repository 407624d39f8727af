"""A change of the signing key in the middle of a log, and the old key's endorsement of the new one.

Pure. The endorsement has the published form; it stands in the `ext` of the new segment's first receipt, so that a log
carries its own, and in a file of the packet, where other verifiers want it.

Rule 1: it is bound to one run, one tail and one pair of keys: nothing of it can be used elsewhere.
Rule 2: one spelling: another is refused.
Rule 3: no key comes back: what a run has left behind signs nothing of it any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping

from trio_egress.errors import EvidenceError
from trio_egress.evidence.canonical import render_canonical
from trio_egress.evidence.members import TEXT, UINT64, Table, describe, filled, present
from trio_egress.evidence.receipt import parse_timestamp
from trio_egress.evidence.receipt_form import ONE
from trio_egress.evidence.sign import (
    SIGNATURE_FORM,
    SIGNATURE_PREFIX,
    PublicKey,
    Signer,
    is_signed,
    parse_public_key,
)
from trio_egress.values import frozen

ROTATION_FACT = "rotation"
"""Of the receipt that begins a new segment: the endorsement."""

ROTATIONS_MAX = 1_000
"""In one log; each is kept."""

ENDORSEMENT_CHARS = 2_048
"""Longest endorsement, which has the run's id in it."""

_NOTHING: Mapping[str, object] = {}
_LABEL = b"pipelock-rotation-endorsement-v1\0"
_SIGNATURE = "endorsement"

ENDORSEMENT = Table(
    (
        *present(ONE, "version"),
        *filled(TEXT, "session_id", "prior_signer_key"),
        *present(UINT64, "prior_final_seq"),
        *filled(TEXT, "prior_tail_hash", "new_signer_key", "rotated_at", _SIGNATURE),
    )
)


@frozen
class Tail:
    """Where a segment ends: the run, the key that signed it, the number and the hash of its last receipt."""

    session_id: str
    key: str
    final_seq: int
    hash: str

    def render_transition(self) -> dict[str, object]:
        """The member `key_transition` of the receipt that comes next."""
        return {
            "prior_signer_key": self.key,
            "prior_chain_seq": self.final_seq,
            "prior_chain_hash": self.hash,
        }

    def render(self, new_key: str, rotated_at: str) -> dict[str, object]:
        """An endorsement without its signature."""
        return {
            "version": 1,
            "session_id": self.session_id,
            "prior_signer_key": self.key,
            "prior_final_seq": self.final_seq,
            "prior_tail_hash": self.hash,
            "new_signer_key": new_key,
            "rotated_at": rotated_at,
        }


@frozen
class Segment:
    """What one key signed: from which line on. `endorsement`: by the key before, empty for the first."""

    key: str
    line: int
    endorsement: Mapping[str, object]


class Segments:
    """The keys of one log, one after the other."""

    def __init__(self) -> None:
        self.kept: list[Segment] = []
        self.current_key = ""
        """The key in force at the end, which signs what is signed beside the log; '' where there is no receipt."""

    def find_key(self, size: int) -> PublicKey | None:
        """The key in force when the log had so many lines; none where there is no receipt."""
        keys = [segment.key for segment in self.kept if segment.line <= max(size, 1)]
        return PublicKey(keys[-1]) if keys else None

    @property
    def rotations(self) -> list[Mapping[str, object]]:
        """The endorsements, in order."""
        return [segment.endorsement for segment in self.kept[1:]]

    def begin(self, key: str, line: int, endorsement: Mapping[str, object] = _NOTHING) -> None:
        self.kept.append(Segment(key, line, endorsement))
        self.current_key = key

    def rotate(
        self, tail: Tail, record: Mapping[str, object], facts: Mapping[str, object], key: str, line: int
    ) -> str:
        """Begin the segment of `key`, if it is endorsed for just this place; else why not."""
        if len(self.kept) == ROTATIONS_MAX:
            return f"more than {ROTATIONS_MAX} rotations"
        endorsement = facts.get(ROTATION_FACT)
        earlier = {segment.key for segment in self.kept}
        if fault := find_fault(tail, record, endorsement, key, earlier):
            return fault
        assert isinstance(endorsement, Mapping)
        self.begin(key, line, endorsement)
        return ""


def endorse(tail: Tail, old: Signer, new_key: PublicKey, rotated_at: str) -> dict[str, object]:
    """The endorsement of a new key. A signer outside refuses it: what it signs is a bare hash."""
    values = tail.render(new_key, rotated_at)
    return {**values, _SIGNATURE: SIGNATURE_PREFIX + old.sign(_digest(values)).hex()}


def render_rotations(rotations: Iterable[Mapping[str, object]]) -> dict[str, bytes]:
    """The files of a packet in which other verifiers look for endorsements, by name."""
    return {
        f"rotation-{number}.json": render_canonical(endorsement) + b"\n"
        for number, endorsement in enumerate(rotations, 1)
    }


def find_fault(
    tail: Tail, record: Mapping[str, object], raw: object, new_key: str, earlier: Container[str]
) -> str:
    """Why the receipt `record`, signed by `new_key`, does not go on after this tail; '' where it does.

    `raw` is the endorsement that comes with it, `earlier` the keys that signed before in this log.
    """
    if sum(len(str(value)) for value in tail.render("", "").values()) > ENDORSEMENT_CHARS:
        return f"an endorsement of more than {ENDORSEMENT_CHARS} characters"
    if misfits := ENDORSEMENT.find_misfits(raw, "rotation."):
        return f"an endorsement with {misfits[0].place}: {misfits[0].found}, not {misfits[0].expected}"
    assert isinstance(raw, Mapping)
    if record.get("key_transition") != tail.render_transition():
        return "a key_transition that does not name the last receipt and its key"
    if new_key in earlier:
        return "a key that this log has left behind"
    try:
        parse_public_key(new_key.encode())
    except EvidenceError:
        return "a new key that is none"
    rotated_at = str(raw["rotated_at"])
    if parse_timestamp(rotated_at) is None or rotated_at != record.get("timestamp"):
        return f"an endorsement of {describe(rotated_at)}, which is not the time of its receipt"
    expected = tail.render(new_key, rotated_at)
    for name, value in expected.items():
        if raw[name] != value:
            return f"an endorsement with another {name}: {describe(raw[name])}"
    signature = str(raw[_SIGNATURE])
    if SIGNATURE_FORM.fullmatch(signature) is None:
        return "an endorsement whose signature is none"
    signed = bytes.fromhex(signature.removeprefix(SIGNATURE_PREFIX))
    if not is_signed(bytes.fromhex(tail.key), _digest(expected), signed):
        return "an endorsement that the key before did not sign"
    return ""


def _digest(values: Mapping[str, object]) -> bytes:
    return hashlib.sha256(_LABEL + render_canonical(values)).digest()
