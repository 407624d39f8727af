"""What a signer lets itself be asked: the receipts of one run, in order, and the few other messages of our formats.

Holds the key and opens nothing. A proxy that was taken over still decides what its receipts say; but each must be the
next one of the only chain that this object has ever signed.

Rule 1: a receipt is signed only if our own verifier, which has followed the chain so far, finds nothing wrong with it.
Rule 2: no receipt is dated ahead of this process's own clock by more than AHEAD_SECONDS.
Rule 3: another message is the checkpoint of just these receipts, or begins as a manifest or a statement does: never a
bare hash, which could be a receipt's.
Rule 4: after one refusal everything is refused.
"""

from __future__ import annotations

import base64
import json

from trio_egress.errors import EvidenceError
from trio_egress.evidence.canonical import LINE_BYTES, parse_json, render_stored
from trio_egress.evidence.checkpoint import render_origin
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.merkle import Tree
from trio_egress.evidence.receipt import assemble, parse_timestamp
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.session import SessionState
from trio_egress.evidence.sign import SigningKey

AHEAD_SECONDS = 300
MESSAGES = 1_000_000
"""Checkpoints of a long run, and what is signed at its end."""

_TOLD = ("balance.", "sum.", "pair.no_outcome")
"""What a run must be able to say of itself in its close receipt, be it wrong: a verifier will find it there."""

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
        try:
            values = parse_json(record, "utf-8")
            stamp = values.get("timestamp") if isinstance(values, dict) else None
            stored = render_stored(values)
        except ValueError:
            raise self._refuse("a record that is not canonical JSON") from None
        asked_ns = parse_timestamp(stamp) if isinstance(stamp, str) else None
        if asked_ns is None or asked_ns > max(now_ns, self._last_ns) + AHEAD_SECONDS * 1_000_000_000:
            raise self._refuse(f"a receipt whose time is not that of this machine, but {json.dumps(stamp)}")
        signature = self._key.sign_receipt(record, ext)
        line = assemble(stored, signature, self._key.public_hex, ext)
        if len(line) + 1 >= LINE_BYTES:
            raise self._refuse(f"a receipt of {len(line)} bytes")
        before = len(self._findings.kept)
        self._replay.feed(line)
        for finding in self._findings.kept[before:]:
            if not finding.code.startswith(_TOLD):
                raise self._refuse(f"a receipt that our verifier refuses: [{finding.code}] {finding.message}")
        self._tree.append(line)
        self._last_ns = asked_ns
        self.receipts += 1
        return signature

    def sign(self, message: bytes) -> bytes:
        """The signature of a message of another of our formats. Raises Refused."""
        self._refuse_after_refusal()
        ours = message.startswith((_STATEMENT, _FILE)) or message == self._render_checkpoint()
        if not self.receipts or not ours or self.messages == MESSAGES:
            raise self._refuse("a message that is none of this run's")
        self.messages += 1
        return self._key.sign(message)

    def _render_checkpoint(self) -> bytes:
        root = base64.b64encode(self._tree.root).decode()
        return f"{render_origin(self.run_id)}\n{self._tree.size}\n{root}\n".encode()

    def _refuse(self, what: str) -> Refused:
        self._refused = f"the signer refuses {what}"
        return Refused(self._refused)

    def _refuse_after_refusal(self) -> None:
        if self._refused:
            raise Refused(self._refused)
