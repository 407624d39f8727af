"""Checkpoints of a run's log (C2SP tlog-checkpoint): its size and root at one time, as a note that its key signed.

Each run is a log of its own: its origin, which is also the name of its key, holds the run's id.

Rule 1: a number or hash has one spelling; another is refused.
Rule 2: `parse_checkpoint` raises ValueError with a reason, and nothing else; what it gives is believed by nobody yet.
"""

from __future__ import annotations

import base64
import re

from trio_egress.evidence.merkle import HASH_BYTES
from trio_egress.evidence.note import Note, is_note_signed, parse_base64, parse_note, sign_note
from trio_egress.evidence.sign import PublicKey, Signer
from trio_egress.values import frozen

CHECKPOINT_NAME = "checkpoint.txt"
ORIGIN_PREFIX = "trio-egress/run/"

NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
"""A size or an index; the tree of a longer one is nobody's."""


@frozen
class Checkpoint:
    """A log's state: `size` lines, and the root over them. `extensions` are further lines, which we write none of."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


@frozen
class SignedCheckpoint:
    """A checkpoint with the note that says it, which nobody has believed yet."""

    checkpoint: Checkpoint
    note: Note

    def is_signed(self, key: PublicKey) -> bool:
        """Whether this key vouches for it under the name of the log itself."""
        return is_note_signed(self.note, self.checkpoint.origin, key)


def render_origin(run_id: str) -> str:
    """The name of a run's log and key. Run ids are visible ASCII, of which a name may not have the plus sign."""
    return ORIGIN_PREFIX + run_id.replace("%", "%25").replace("+", "%2B")


def sign_checkpoint(run_id: str, size: int, root: bytes, key: Signer) -> bytes:
    """checkpoint.txt."""
    origin = render_origin(run_id)
    return sign_note(f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n", origin, key)


def parse_checkpoint(raw: bytes) -> SignedCheckpoint:
    """What a checkpoint says, and who signed it. Raises ValueError."""
    note = parse_note(raw)
    lines = note.text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        raise ValueError("a checkpoint of less than three lines, or with an empty one")
    return SignedCheckpoint(
        Checkpoint(lines[0], parse_number(lines[1]), parse_base64(lines[2], HASH_BYTES), tuple(lines[3:])),
        note,
    )


def parse_number(text: str) -> int:
    """A size or an index. Raises ValueError."""
    if NUMBER.fullmatch(text) is None:
        raise ValueError("a number that is not decimal, without leading zeros, of at most 19 digits")
    return int(text)
