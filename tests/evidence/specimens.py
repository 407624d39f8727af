"""Evidence to test with: honest chains, and chains that a dishonest holder of the key would make.

Keys, nonces and times are fixed: the same specimen has the same bytes on every machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path

import attrs

from trio_egress.evidence.balance import COUNTERS
from trio_egress.evidence.canonical import render_canonical, render_stored
from trio_egress.evidence.chain import Chain
from trio_egress.evidence.container import Folder, measure_file, replay_evidence
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.manifest import MANIFEST_NAME, SIGNATURE_NAME, UNLISTED, render_manifest
from trio_egress.evidence.receipt import Draft, assemble, digest_record, hash_receipt, render_ext_ref, uuid7
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.session import Session
from trio_egress.evidence.sign import Signer, SigningKey, generate
from trio_egress.evidence.sshsig import MANIFEST_NAMESPACE, sign_file

KEY = generate(b"\x01" * 32)
STRANGER = generate(b"\x02" * 32)
START_NS = 1_800_000_000_000_000_000
COMPILED_POLICY = b'{"egress":[]}'
POLICY_HASH = f"sha256:{sha256(COMPILED_POLICY).hexdigest()}"
OTHER_POLICY = b'{"egress":[1]}'
OTHER_HASH = f"sha256:{sha256(OTHER_POLICY).hexdigest()}"
SESSION = Session(
    run_id="run-1",
    run_nonce="aa" * 16,
    open_nonce="bb" * 16,
    policy_hash=POLICY_HASH,
    heartbeat_seconds=30,
    principal="uid:1000",
    actor="agent.sh",
    contained_uid="1000",
)

Receipt = dict[str, object]
Change = Callable[[Receipt], None]


def render_counters(**counts: int) -> dict[str, object]:
    """The fact of a close receipt: every counter, at 0 where it is not given."""
    return {"counters": {name: [counts.get(name, 0), 60 * counts.get(name, 0)] for name in COUNTERS}}


class Scribe:
    """Writes a chain line by line with a clock of its own; `lines` are what it has written."""

    def __init__(self, session: Session = SESSION, key: Signer = KEY) -> None:
        self.session = session
        self.chain = Chain(key, session)
        self.now_ns = START_NS
        self.lines: list[bytes] = []
        self.redirected = 0
        self.reached: dict[str, object] = {}
        """Facts of outcomes, where attempts don't bring their own: where they were let to."""

        self._ids = 0

    def tick(self) -> int:
        self.now_ns += 1_234_567
        return self.now_ns

    def draft(self, host: str = "api.example.com", **members: object) -> Draft:
        self._ids += 1
        facts = {
            "flow": self._ids,
            "connection": self._ids,
            "host": host,
            "port": 443,
            "proto": "tls",
            "reason": "a reason",
        }
        known: dict[str, object] = {
            "action_id": uuid7(self.now_ns, self._ids.to_bytes(10, "big")),
            "target": f"tls://{host}:443",
            "verdict": "allow",
            "transport": "transparent",
            "facts": facts,
        }
        return Draft(**{**known, **members})  # type: ignore[arg-type]

    def open(self) -> Scribe:
        self.lines.append(self.chain.open(self.now_ns))
        return self

    def append(self, draft: Draft) -> Scribe:
        """One receipt. What is first heard of a connection here, the kernel has counted."""
        if draft.transport == "transparent" and draft.phase != "outcome" and "connection" in draft.facts:
            self.redirected += 1
        self.lines.append(self.chain.append(draft, self.tick()))
        return self

    def allow(self, host: str = "api.example.com", up: int = 10, down: int = 20, **members: object) -> Scribe:
        intent = self.draft(host, **{"phase": "intent", "layer": "rule", **members})
        self.append(intent)
        facts = {**self.reached, **intent.facts, "bytes_up": up, "bytes_down": down, "duration_us": 5}
        return self.append(attrs.evolve(intent, phase="outcome", facts=facts))

    def block(self, host: str = "evil.example", **members: object) -> Scribe:
        return self.append(self.draft(host, verdict="block", layer="default_deny", **members))

    def change_policy(self, to: str = OTHER_HASH, **facts: object) -> Scribe:
        """Another policy comes into force; `policy_from` is the one of the session."""
        own = {"policy_from": self.session.policy_hash, "policy_to": to, **facts}
        draft = self.draft(target="policy:reload", transport="policy", facts=own)
        self.lines.append(self.chain.change_policy(draft, to, self.tick()))
        return self

    def rotate(self, key: Signer) -> Scribe:
        """Another key signs from here on."""
        draft = self.draft(target="key:rotation", transport="key", facts={"reason": "the key was changed"})
        self.lines.append(self.chain.rotate(key, draft, self.tick()))
        return self

    def heartbeat(self) -> Scribe:
        self.lines.append(self.chain.heartbeat(self.tick()))
        return self

    def close(
        self, reason: str = "exited", facts: Mapping[str, object] | None = None, *, books: bool = True
    ) -> Scribe:
        """The end, with books that balance."""
        counters = render_counters(redirected=self.redirected)
        self.lines.append(
            self.chain.close(reason, self.tick(), {**(counters if books else {}), **(facts or {})})
        )
        return self

    @property
    def raw(self) -> bytes:
        return b"".join(self.lines)


def write_chain(session: Session = SESSION, key: Signer = KEY) -> list[bytes]:
    """open, intent, outcome, block, heartbeat, intent, outcome, close: lines 1 to 8."""
    return Scribe(session, key).open().allow().block().heartbeat().allow("b.example.com").close().lines


def rewrite(
    lines: list[bytes], changes: Mapping[int, Change], *, key: SigningKey = KEY, bind_ext: bool = True
) -> list[bytes]:
    """The lines after `changes` (by index), linked and signed anew with the key: what its holder could write.

    A change sees its receipt with the links already right, so it can break them; its ext is bound after it.
    """
    head = ""
    written = []
    for index, line in enumerate(lines):
        receipt: Receipt = json.loads(line)
        _link(receipt, head)
        changes.get(index, _keep)(receipt)
        line, head = sign(receipt, key, bind_ext=bind_ext)
        written.append(line)
    return written


def sign(receipt: Receipt, key: SigningKey = KEY, *, bind_ext: bool = True) -> tuple[bytes, str]:
    """A signed line and its hash."""
    record, ext = record_of(receipt), receipt.get("ext")
    stored_ext = None if ext is None else render_stored(ext)
    if bind_ext and stored_ext is not None:
        record["precedent_refs"] = [render_ext_ref(stored_ext)]
    canonical = render_canonical(record)
    signature = key.sign(digest_record(canonical))
    line = assemble(render_stored(record), signature, key.public_hex, stored_ext) + b"\n"
    return line, hash_receipt(assemble(canonical, signature, key.public_hex, stored_ext))


def _keep(receipt: Receipt) -> None:
    pass


def _link(receipt: Receipt, head: str) -> None:
    if not head:
        return
    record_of(receipt)["chain_prev_hash"] = head
    control = record_of(receipt).get("session_control")
    if isinstance(control, dict):
        control.get("heartbeat", {}).update(chain_head=head)
        control.get("close", {}).update(root_hash=head)


def record_of(receipt: Receipt) -> Receipt:
    record = receipt["action_record"]
    assert isinstance(record, dict)
    return record


def setting(name: str, value: object) -> Change:
    """A change that gives a member of the record another value."""

    def change(receipt: Receipt) -> None:
        record_of(receipt)[name] = value

    return change


def setting_fact(name: str, value: object) -> Change:
    def change(receipt: Receipt) -> None:
        ext = receipt["ext"]
        assert isinstance(ext, dict)
        ext["trio_egress"][name] = value

    return change


def setting_control(kind: str, name: str, value: object) -> Change:
    """A change in the payload (open, heartbeat, close) of a session receipt."""

    def change(receipt: Receipt) -> None:
        control = record_of(receipt)["session_control"]
        assert isinstance(control, dict)
        control[kind][name] = value

    return change


def replay(lines: list[bytes], torn: bytes = b"") -> Replay:
    """The lines replayed with the key pinned; its findings are at `.findings`."""
    played = Replay(Findings(), "evidence.jsonl", {KEY.public_hex})
    for line in lines:
        assert line.endswith(b"\n")
        played.feed(line[:-1])
    if torn:
        played.feed_torn(torn)
    return played


def codes(played: Replay) -> list[str]:
    return sorted({finding.code for finding in played.findings.kept})


def write_evidence(directory: Path, lines: list[bytes]) -> Path:
    path = directory / "evidence.jsonl"
    path.write_bytes(b"".join(lines))
    return path


def seal_again(directory: Path, key: SigningKey = KEY) -> None:
    """A manifest of what stands there now: what the key's holder could write. What is no plain file is left out."""
    played = Replay(Findings(), "evidence.jsonl")
    replay_evidence(directory, played)
    names = {path.name for path in directory.iterdir() if path.is_file() and not path.is_symlink()}
    entries = [measure_file(Folder(directory), name, 1 << 40) for name in names - UNLISTED]
    manifest = render_manifest(played, entries)
    (directory / MANIFEST_NAME).write_bytes(manifest)
    (directory / SIGNATURE_NAME).write_bytes(sign_file(key, MANIFEST_NAMESPACE, manifest))
