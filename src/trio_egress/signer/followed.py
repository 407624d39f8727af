"""What a signer lets itself be asked: the receipts of one run, in order, and the few other messages of our formats.

Holds the key and opens nothing. A proxy that was taken over still decides what its receipts say; but each must be the
next one of the only chain that this object has ever signed.

Rule 1: a receipt is signed only if our own verifier, which has followed the chain so far, finds nothing wrong with it.
Rule 2: no receipt is dated ahead of this process's own clock by more than AHEAD_SECONDS.
Rule 3: another message is the checkpoint of just these receipts, the in-toto statement about them, or a manifest (of
which only the hash is seen), the last two once each: never a bare hash, which could be a receipt's.
Rule 4: after one refusal everything is refused.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from trio_egress.errors import EvidenceError
from trio_egress.evidence.canonical import LINE_BYTES, parse_json, render_stored
from trio_egress.evidence.checkpoint import render_origin
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.line import Line, read_line
from trio_egress.evidence.members import describe
from trio_egress.evidence.merkle import Tree
from trio_egress.evidence.receipt import assemble, parse_timestamp
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.session import SessionState
from trio_egress.evidence.sign import SigningKey
from trio_egress.evidence.statement import PREDICATE_TYPE

AHEAD_SECONDS = 300
MESSAGES = 1_000_000
"""Checkpoints of a long run, and what is signed at its end."""

_TOLD = ("balance.", "sum.", "pair.no_outcome")
"""What a run must be able to say of itself in its close receipt, be it wrong: a verifier will find it there."""

_CHECKPOINT = "checkpoint"
_STATEMENT = b"DSSEv1 28 application/vnd.in-toto+json "
_FILE = b"SSHSIG" + len(b"trio-egress-manifest").to_bytes(4, "big") + b"trio-egress-manifest"


class Refused(EvidenceError):
    """Something that this signer does not sign."""


class Followed:
    """One run, as its signer sees it."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._findings = Findings()
        self._replay = Replay(self._findings, EVIDENCE_NAME, {key.public_hex})
        self._tree = Tree()
        self._file = hashlib.sha256()
        self._ended: set[str] = set()
        self._last_ns = 0
        self._refused = ""
        self.receipts = 0
        self.messages = 0

    @property
    def run_id(self) -> str:
        return str(self._replay.opening.get("recorder_session", ""))

    @property
    def head(self) -> str:
        return self._replay.head

    @property
    def is_closed(self) -> bool:
        return self._replay.state is SessionState.CLOSED

    def sign_receipt(self, record: bytes, ext: bytes, now_ns: int) -> bytes:
        """The signature of the next receipt, by its canonical record. Raises Refused."""
        self._refuse_after_refusal()
        signature = self._key.sign_receipt(record, ext)
        raw = assemble(self._store(record), signature, self._key.public_hex, ext)
        if len(raw) + 1 >= LINE_BYTES:
            raise self._refuse(f"a receipt of {len(raw)} bytes")
        before = len(self._findings.kept)
        line = read_line(raw)
        if isinstance(line, Line):
            self._check_time(line, now_ns)
            # What was signed is this very record: the signature needs no second look.
            self._replay.take(line, line.digest == hashlib.sha256(record).digest())
        else:
            self._replay.take_misfits(line)
        for finding in self._findings.kept[before:]:
            if not finding.code.startswith(_TOLD):
                raise self._refuse(f"a receipt that our verifier refuses: [{finding.code}] {finding.message}")
        self._tree.append(raw)
        self._file.update(raw + b"\n")
        self.receipts += 1
        return signature

    def _store(self, record: bytes) -> bytes:
        if record.isascii():  # canonical and stored bytes differ in characters beyond
            return record
        try:
            return render_stored(parse_json(record, "utf-8"))
        except (ValueError, RecursionError):
            raise self._refuse("a record that is not JSON") from None

    def _check_time(self, line: Line, now_ns: int) -> None:
        """A clock that goes back during a run is no reason to end it: the run goes on at its last time."""
        stamp = line.record.get("timestamp")
        at = parse_timestamp(stamp) if isinstance(stamp, str) else None
        if at is None or at > max(now_ns, self._last_ns) + AHEAD_SECONDS * 1_000_000_000:
            raise self._refuse(f"a receipt whose time is not that of this machine, but {describe(stamp)}")
        self._last_ns = at

    def sign(self, message: bytes) -> bytes:
        """The signature of a message of another of our formats. Raises Refused."""
        self._refuse_after_refusal()
        kind = self._find_kind(message) if self.receipts and self.messages < MESSAGES else ""
        if not kind or kind in self._ended:
            raise self._refuse("a message that is none of this run's, or one more of what is signed once")
        if kind != _CHECKPOINT:
            self._ended.add(kind)
        self.messages += 1
        return self._key.sign(message)

    def _find_kind(self, message: bytes) -> str:
        if message == self._render_checkpoint():
            return _CHECKPOINT
        if message.startswith(_FILE):
            return "manifest"
        return "statement" if message.startswith(_STATEMENT) and self._is_told(message) else ""

    def _is_told(self, message: bytes) -> bool:
        """Whether this statement is about the receipts that were signed, as they are now."""
        size, _, payload = message[len(_STATEMENT) :].partition(b" ")
        try:
            statement: Any = parse_json(payload, "utf-8")
            predicate = statement["predicate"]
            own = predicate["trioEgress"]
            told = (own["head"], own["receipts"], predicate["monitoredProcess"]["trioEgressRun"])
            logs = [entry["digest"] for entry in statement["subject"] if entry["name"] == EVIDENCE_NAME]
        except (ValueError, TypeError, LookupError):
            return False
        return (
            size == b"%d" % len(payload)
            and statement.get("predicateType") == PREDICATE_TYPE
            and told == (self.head, self.receipts, self.run_id)
            and logs == [{"sha256": self._file.hexdigest()}]
        )

    def _render_checkpoint(self) -> bytes:
        root = base64.b64encode(self._tree.root).decode()
        return f"{render_origin(self.run_id)}\n{self._tree.size}\n{root}\n".encode()

    def _refuse(self, what: str) -> Refused:
        self._refused = f"the signer refuses {what}"
        return Refused(self._refused)

    def _refuse_after_refusal(self) -> None:
        if self._refused:
            raise Refused(self._refused)
