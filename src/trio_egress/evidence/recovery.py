"""The signed note that a log was abandoned: a session of its own, in a file beside the evidence.

Nothing is added to the log itself: a close receipt there would make every reader of the format believe that its end is
known, and a line by another key would break it.

Rule 1: the note says which run, after which receipt, and that the end is not proven; it never makes anything valid.
Rule 2: its genesis is anchored at the head of the abandoned log: it belongs to that log as it stands, and to no other.
Rule 3: whoever signs it says so with a key of theirs: the run's, or another one, which vouches for nothing of the run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping

import attrs

from trio_egress.errors import EvidenceError
from trio_egress.evidence.chain import Chain
from trio_egress.evidence.container import Packet, hash_file
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.members import describe
from trio_egress.evidence.replay import RECOVERED, Replay
from trio_egress.evidence.report import Report
from trio_egress.evidence.session import Session, SessionState
from trio_egress.evidence.sign import Signer
from trio_egress.evidence.stream import replay_stream
from trio_egress.values import frozen

RECOVERY_NAME = "recovery.jsonl"
TORN_NAME = "evidence.torn"
ACTOR = "trio-egress recover"
NOT_PROVEN = "not proven"
UNKNOWN_POLICY = "unknown"


@frozen
class Abandoned:
    """A log without an end, as it stands when the torn line is set aside. `final_seq` -1: it has no receipt."""

    run_id: str
    policy_hash: str
    final_seq: int
    head: str
    torn: bytes = b""


@frozen
class Recovery:
    """When a log was found abandoned, and by whose key that is signed; `own`: one of those that signed the log."""

    at: str
    by: str
    own: bool


def write_recovery(
    key: Signer, abandoned: Abandoned, session_id: str, nonce: str, who: str, now_ns: int
) -> bytes:
    """The lines of the note. `nonce` is 64 hex digits of randomness, `who` the person that recovers."""
    session = Session(
        run_id=session_id,
        run_nonce=nonce[:32],
        open_nonce=nonce[32:],
        policy_hash=abandoned.policy_hash or UNKNOWN_POLICY,
        heartbeat_seconds=0,
        principal=who,
        actor=ACTOR,
        anchor_head=abandoned.head,
        anchor_log=EVIDENCE_NAME,
    )
    chain = Chain(key, session)
    return chain.open(now_ns, _state(abandoned)) + chain.close(RECOVERED, now_ns)


def _state(abandoned: Abandoned) -> dict[str, object]:
    facts: dict[str, object] = {
        "recovers": abandoned.run_id,
        "abandoned_head": abandoned.head,
        "end": NOT_PROVEN,
    }
    if abandoned.final_seq >= 0:
        facts["abandoned_seq"] = abandoned.final_seq
    if abandoned.torn:
        facts |= {
            "torn_bytes": len(abandoned.torn),
            "torn_sha256": hashlib.sha256(abandoned.torn).hexdigest(),
        }
    return facts


def check_recovery(packet: Packet, replay: Replay, findings: Findings) -> Recovery | None:
    """The note of a packet, held against its log; None where there is none, or none that holds together."""
    if RECOVERY_NAME not in packet:
        return None
    note = Replay(findings, RECOVERY_NAME)
    before = findings.count
    try:
        with packet.open(RECOVERY_NAME) as stream:
            replay_stream(stream, note)
    except (EvidenceError, OSError) as error:
        findings.add("packet.file", RECOVERY_NAME, 0, escape_text(str(error)), "a plain file of the packet")
        return None
    if note.state is not SessionState.CLOSED:
        _differ(findings, f"a session that is {note.state.value}", "a closed one")
    elif replay.state is SessionState.CLOSED:
        _differ(findings, "a note that the log was abandoned", "none: the log is closed")
    else:
        _compare(note, replay, findings)
        _check_torn(packet, note.open_facts, findings)
    own = note.signer_key in {segment.key for segment in replay.segments.kept}
    return Recovery(note.ended_at, note.signer_key, own) if findings.count == before else None


def add_recovery(report: Report, recovery: Recovery, pinned: Container[str]) -> Report:
    """The report of a log that has a note. The verdict stays what it is."""
    if recovery.own:
        whose = "a key that signed the run"
    elif recovery.by in pinned:
        whose = "another key that was pinned"
    else:
        whose = "a key that nobody vouches for"
    told = (
        f"the log was found abandoned, and that was signed by {whose}: what came after its head is not proven"
    )
    return attrs.evolve(
        report, recovered_at=recovery.at, recovered_by=recovery.by, notes=(*report.notes, told)
    )


def _compare(note: Replay, replay: Replay, findings: Findings) -> None:
    facts = note.open_facts
    for place, found, expected in (
        ("recovers", facts.get("recovers"), replay.opening.get("recorder_session", "")),
        ("abandoned_head", facts.get("abandoned_head"), replay.head),
        ("genesis_anchor_head", note.opening.get("genesis_anchor_head", ""), replay.head),
        ("abandoned_seq", facts.get("abandoned_seq", -1), replay.final_seq),
        ("close_reason", note.closing.get("close_reason"), RECOVERED),
    ):
        if found != expected:
            _differ(findings, describe(found), describe(expected), place)


def _check_torn(packet: Packet, facts: Mapping[str, object], findings: Findings) -> None:
    expected = facts.get("torn_sha256")
    if expected is None and TORN_NAME not in packet:
        return
    try:
        found: object = hash_file(packet, TORN_NAME)
    except EvidenceError as error:
        found = escape_text(str(error))
    if found != expected:
        _differ(findings, describe(found), describe(expected), "torn_sha256")


def _differ(findings: Findings, found: str, expected: str, place: str = "") -> None:
    findings.add("recovery.differs", RECOVERY_NAME, 0, found, expected, place)
