"""The writing side of a chain: drafts in, signed lines out, each bound to the one before.

Owns the head, the sequence and the clock's last reading; writes no file (that is the journal's).

Rule 1: open first, close last, nothing after it; anything else raises RecorderError.
Rule 2: time never runs backwards: an earlier reading is recorded as the last one.
Rule 3: a receipt that our own verifier would refuse is never signed.
Rule 4: every text passes the redactor before it is signed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import attrs

from trio_egress.errors import RecorderError
from trio_egress.evidence.anchor import Anchor
from trio_egress.evidence.canonical import LINE_BYTES, clean_text, is_plain, render_canonical, render_stored
from trio_egress.evidence.checkpoint import Checkpoint, render_origin, sign_checkpoint
from trio_egress.evidence.facts import render_ext
from trio_egress.evidence.merkle import Tree
from trio_egress.evidence.receipt import (
    WORD_CHARS,
    Draft,
    add_counts,
    assemble,
    hash_receipt,
    render_ext_ref,
    render_record,
    render_redaction,
    render_timestamp,
    uuid7,
)
from trio_egress.evidence.receipt_form import (
    HEARTBEAT,
    SESSION_CLOSE,
    SESSION_CONTROL,
    SESSION_OPEN,
    SESSION_TRANSPORT,
)
from trio_egress.evidence.redact import Redactor
from trio_egress.evidence.rotation import ROTATION_FACT, Tail, endorse
from trio_egress.evidence.scan_facts import tell_findings
from trio_egress.evidence.session import (
    NEXT_STATE,
    OBSERVING,
    Session,
    SessionState,
    Step,
    render_genesis_hash,
)
from trio_egress.evidence.sign import Signer, fingerprint
from trio_egress.evidence.stencil import Stencils


class Chain:
    """One run's receipts. Each method gives one whole line with its LF; `now_ns` is Unix time."""

    def __init__(self, key: Signer, session: Session, redactor: Redactor | None = None) -> None:
        self._key = key
        self._redactor = redactor or Redactor(b"")
        self._commitments = None if redactor is None else redactor.key_sha256
        self._session = session
        self._state = SessionState.NEW
        self._seq = 0
        self._head = ""
        self._tree = Tree()
        self._last_ns = 0
        self._beats = 0
        self._bytes_up = 0
        self._bytes_down = 0
        self._opening = self._render_opening()
        self._genesis = str(self._opening["genesis_hash"])
        self._stencils = Stencils()
        self._every_receipt = {
            "principal": clean_text(self._redactor.redact(session.principal), WORD_CHARS),
            "actor": clean_text(self._redactor.redact(session.actor), WORD_CHARS),
            "policy_hash": session.policy_hash,
            "session_id": session.run_id,
            "run_nonce": session.run_nonce,
        }

    @property
    def head(self) -> str:
        """The hash of the newest receipt; empty before the first."""
        return self._head

    @property
    def signer(self) -> Signer:
        """Whoever signs now."""
        return self._key

    @property
    def next_seq(self) -> int:
        return self._seq

    @property
    def root(self) -> bytes:
        """Of the tree over all lines so far."""
        return self._tree.root

    def sign_checkpoint(self) -> bytes:
        """checkpoint.txt of the log as it is now."""
        return sign_checkpoint(self._session.run_id, self._tree.size, self._tree.root, self._key)

    @property
    def anchor(self) -> Anchor:
        """The log as it is now."""
        state = Checkpoint(render_origin(self._session.run_id), self._tree.size, self._tree.root)
        return Anchor(state, self._head, self._last_ns)

    @property
    def heartbeat_seconds(self) -> int:
        return self._session.heartbeat_seconds

    def open(self, now_ns: int, facts: Mapping[str, object] | None = None) -> bytes:
        """The first line. To `facts` it adds which texts the policy is made of, and whether it is only observed."""
        session = self._session
        own = {
            "mode": OBSERVING if session.observing else None,
            "able": None if session.able is None else list(session.able),
            "policy_sha256": session.policy_sha256 or None,
            "policy_includes_sha256": session.policy_includes_sha256 or None,
            "commitment_key_sha256": self._commitments,
        }
        return self._control(Step.OPEN, "open", self._opening, now_ns, {**(facts or {}), **own})

    def tell(self, draft: Draft) -> Draft:
        """A draft whose findings are told by commitments; it is the same however often it is asked for."""
        return tell_findings(draft, self._redactor.commit_value)

    def append(self, draft: Draft, now_ns: int) -> bytes:
        """The line of one receipt of the run."""
        self._take(Step.ACTION)
        if draft.phase == "outcome":
            self._bytes_up += _count(draft.facts, "bytes_up")
            self._bytes_down += _count(draft.facts, "bytes_down")
        return self._seal(draft, {}, now_ns)

    def change_policy(self, draft: Draft, policy_hash: str, now_ns: int) -> bytes:
        """The line of a receipt that says that another policy comes into force: the last under the old one."""
        line = self.append(draft, now_ns)
        self._every_receipt["policy_hash"] = policy_hash
        self._stencils.forget_records()
        return line

    def rotate(self, key: Signer, draft: Draft, now_ns: int) -> bytes:
        """The first line under another key, which the key so far endorses; `draft` is of the transport `key`."""
        now_ns = max(now_ns, self._last_ns)
        self._take(Step.ACTION)
        tail = Tail(self._session.run_id, self._key.public_hex, self._seq - 1, self._head)
        endorsement = endorse(tail, self._key, key.public_hex, render_timestamp(now_ns))
        self._key, self._seq = key, 0
        draft = attrs.evolve(draft, facts={**draft.facts, ROTATION_FACT: endorsement})
        return self._seal(draft, {"key_transition": tail.render_transition()}, now_ns)

    def heartbeat(self, now_ns: int) -> bytes:
        """A line that says only that the recorder lived, and what it had recorded."""
        beat = {
            "run_nonce": self._session.run_nonce,
            "open_nonce": self._session.open_nonce,
            "beat": self._beats + 1,
            "chain_head": self._head,
            "chain_seq_head": self._seq - 1,
            "heartbeat_time": render_timestamp(max(now_ns, self._last_ns)),
            "fsync_errors_gated": 0,
            "durability_blocks": 0,
        }
        line = self._control(Step.HEARTBEAT, "heartbeat", beat, now_ns, {})
        self._beats += 1
        return line

    def close(self, reason: str, now_ns: int, facts: Mapping[str, object] | None = None) -> bytes:
        """The last line. To `facts` it adds the bytes of all outcomes, up and down."""
        closing = {
            "run_nonce": self._session.run_nonce,
            "open_nonce": self._session.open_nonce,
            "final_seq": self._seq,
            "root_hash": self._head,
            "receipt_count": self._seq + 1,
            "close_reason": clean_text(reason, WORD_CHARS),
            "fsync_errors_gated": 0,
            "durability_blocks": 0,
        }
        sums = {"bytes_up": self._bytes_up, "bytes_down": self._bytes_down}
        return self._control(Step.CLOSE, "close", closing, now_ns, {**(facts or {}), **sums})

    def _render_opening(self) -> dict[str, object]:
        session = self._session
        opening: dict[str, object] = {
            "run_nonce": session.run_nonce,
            "open_nonce": session.open_nonce,
            "recorder_session": session.run_id,
            "policy_hash": session.policy_hash,
            "signer_key_epoch": fingerprint(self._key.public_hex),
            "heartbeat_seconds": session.heartbeat_seconds,
            "chain_open_seq": 0,
            "genesis_anchor_head": session.anchor_head,
            "genesis_anchor_log": session.anchor_log,
            "posture_capsule_sha256": session.posture_capsule_sha256,
            "containment_nonce": session.containment_nonce,
            "contained_uid": session.contained_uid,
        }
        opening["genesis_hash"] = render_genesis_hash(opening)
        return opening

    def _take(self, step: Step) -> None:
        try:
            self._state = NEXT_STATE[self._state, step]
        except KeyError:
            raise RecorderError(
                f"a {step.value} receipt cannot follow: the chain is {self._state.value}"
            ) from None

    def _control(
        self, step: Step, name: str, payload: Mapping[str, object], now_ns: int, facts: Mapping[str, object]
    ) -> bytes:
        self._take(step)
        now_ns = max(now_ns, self._last_ns)
        noise = hashlib.sha256(
            f"{self._session.run_nonce}/{self._seq}".encode("utf-8", "surrogatepass")
        ).digest()
        table = {"open": SESSION_OPEN, "heartbeat": HEARTBEAT, "close": SESSION_CLOSE}[name]
        draft = Draft(
            action_id=uuid7(now_ns, noise),
            target=f"session:{self._session.run_id}",
            verdict="allow",
            transport=SESSION_TRANSPORT,
            facts=facts,
        )
        control = SESSION_CONTROL.order({"kind": step.value, name: table.order(payload)})
        return self._seal(draft, {"session_control": control}, now_ns)

    def _seal(self, draft: Draft, extra: Mapping[str, object], now_ns: int) -> bytes:
        now_ns = max(now_ns, self._last_ns)
        draft, by_class = self._redactor.redact_draft(self.tell(draft))
        extra = {**extra, **render_redaction(add_counts(by_class, draft.replaced))}
        stored_ext = self._render_ext(draft.facts)
        canonical, stored = self._render_record(draft, extra, stored_ext, render_timestamp(now_ns))
        key = self._key.public_hex
        signature = self._key.sign_receipt(canonical, stored_ext)
        line = assemble(stored, signature, key, stored_ext)
        if len(line) + 1 >= LINE_BYTES:
            raise RecorderError(f"a receipt of {len(line) + 1} bytes is over the bound of {LINE_BYTES}")
        whole = line if stored is canonical else assemble(canonical, signature, key, stored_ext)
        self._head = hash_receipt(whole)
        self._tree.append(line)
        self._seq += 1
        self._last_ns = now_ns
        return line + b"\n"

    def _render_ext(self, facts: Mapping[str, object]) -> bytes:
        stored = self._stencils.fill_ext(facts)
        if stored is None:
            stored = render_stored(render_ext(facts))
            self._stencils.cut_ext(facts, stored)
        return stored

    def _render_record(
        self, draft: Draft, extra: Mapping[str, object], stored_ext: bytes, moment: str
    ) -> tuple[bytes, bytes]:
        """In both byte forms; where they are equal they are one."""
        before = self._head or self._genesis
        shown = moment, before, self._seq, render_ext_ref(stored_ext)
        if not extra and (plain := self._stencils.fill_record(draft, *shown)) is not None:
            return plain, plain
        fixed = {"timestamp": moment, "chain_prev_hash": before, "chain_seq": self._seq}
        record = render_record(draft, {**self._every_receipt, **extra, **fixed}, stored_ext)
        stored = render_stored(record)
        if not extra:
            self._stencils.cut_record(draft, *shown, stored)
        return (stored if is_plain(stored) else render_canonical(record)), stored


def _count(facts: Mapping[str, object], name: str) -> int:
    value = facts.get(name, 0)
    return value if isinstance(value, int) else 0
