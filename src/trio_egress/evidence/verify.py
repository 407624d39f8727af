"""Check a packet, or a bare evidence file, offline: `verify(path, keys=…)` gives a Report.

Loads no runtime, needs no rights and no network. It never raises for what is in a packet: that is findings. It
cannot tell an honest signer from a dishonest one; the report says what is not proven.

Rule 1: without a pinned key nothing is ever valid.
Rule 2: whatever the caller expects (run, head, policy) and the evidence does not show is a finding.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

import attrs

from trio_egress.errors import EvidenceError, UsageError
from trio_egress.evidence.audit_packet import PACKET_NAME
from trio_egress.evidence.beside import check_beside, check_manifest, read_own_checkpoint
from trio_egress.evidence.container import (
    FilePath,
    Packet,
    open_bare,
    read_plain,
    replay_evidence,
)
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.landmarks import Landmark, check_landmarks, read_landmarks
from trio_egress.evidence.manifest import (
    MANIFEST_NAME,
)
from trio_egress.evidence.members import describe
from trio_egress.evidence.packet import (
    is_policy_hash,
    read_policy_hash,
)
from trio_egress.evidence.receipt_form import HEX_64
from trio_egress.evidence.recovery import add_recovery, check_recovery
from trio_egress.evidence.replay import Judge, Replay
from trio_egress.evidence.report import Report, Verdict, conclude
from trio_egress.evidence.roster import NOT_DATED, check_roster
from trio_egress.evidence.session import SessionState
from trio_egress.evidence.stream import Checker
from trio_egress.evidence.trust import read_trust

ANCHORS_BYTES = 16 << 20
"""Longest file of anchors: a line each half minute for a month."""


def verify(
    path: FilePath,
    keys: Sequence[str] = (),
    *,
    policy_hash: str | None = None,
    expect_run: str | None = None,
    expect_head: str | None = None,
    anchors: Sequence[FilePath] = (),
    judge: Judge | None = None,
    checker: Checker | None = None,
    quick: bool = False,
) -> Report:
    """Check the packet directory, or evidence file, at `path`.

    `keys` are pinned public keys, as 64 hex digits or paths of key files or rosters. `policy_hash` is `sha256:…` or the
    path of a file with that, `expect_run` a run id, `expect_head` the 64 hex digits of the last receipt's hash,
    `anchors` files that a run wrote outside (or checkpoints kept of it). Raises UsageError for arguments that cannot be
    meant, and nothing else. `judge` decides each receipt again (review.py), `checker` checks signatures by other means
    than here (checkers.py). `quick` follows manifest, hashes and links alone, and is never `valid`.
    """
    _refuse_nonsense(keys, policy_hash, expect_run, expect_head)
    findings = Findings()
    try:
        trusted = read_trust(keys)
        pinned = set(trusted)
        policy_hash = None if policy_hash is None else read_policy_hash(policy_hash)
        kept = {escape_text(os.fspath(place)): read_plain(place, ANCHORS_BYTES) for place in anchors}
        replay = Replay(findings, EVIDENCE_NAME, pinned or None, judge)
        packet = replay_evidence(path, replay, checker, quick=quick)
    except EvidenceError as error:
        return Report(path=escape_text(str(path)), verdict=Verdict.UNREADABLE, error=escape_text(str(error)))
    files: int | None = 0
    if quick:
        whole = packet is not None and MANIFEST_NAME in packet
        if packet is not None:
            check_manifest(packet, replay, findings, whole=PACKET_NAME in packet)
    else:
        files = 0 if packet is None else check_beside(packet, replay, findings)
        whole = files is not None
    marks = [] if quick else read_own_checkpoint(packet, replay, findings)
    for name, raw in kept.items():
        marks += read_landmarks(raw, name, replay, findings)
    # The last checkpoint of a log that was cut off is one that it once had.
    ended = whole and replay.state is SessionState.CLOSED
    _check_landmarks(path, packet, marks, replay, findings, whole=ended)
    recovery = None if packet is None else check_recovery(packet, replay, findings)
    check_roster(replay, trusted, EVIDENCE_NAME, findings)
    _check_expected(replay, findings, policy_hash, expect_run, expect_head)
    expected = expect_run is not None or expect_head is not None
    report = conclude(str(path), replay, findings, pinned=bool(pinned), whole=whole, expected=expected)
    if (outside := sum(not mark.own for mark in marks)) and not findings.count:
        told = f"the log agrees with what was kept outside: states of it in {outside} places"
        report = attrs.evolve(report, notes=(*report.notes, told))
    if any(trusted.values()):
        report = attrs.evolve(report, not_proven=(NOT_DATED, *report.not_proven))
    report = attrs.evolve(report, files=files or 0)
    return report if recovery is None else add_recovery(report, recovery, pinned)


def _refuse_nonsense(
    keys: Sequence[str], policy_hash: str | None, expect_run: str | None, expect_head: str | None
) -> None:
    if isinstance(keys, str):
        raise UsageError("keys must be a list of public keys, not one text")
    if not all(key.strip() for key in keys):
        raise UsageError("the public key is empty: leave it out to check without one")
    if policy_hash is not None and not is_policy_hash(policy_hash):
        raise UsageError(
            "the policy hash must be 'sha256:' and 64 lower-case hex digits, or a file with that"
        )
    if expect_run is not None and not expect_run:
        raise UsageError("the expected run is empty")
    if expect_head is not None and HEX_64.fullmatch(expect_head) is None:
        raise UsageError("the expected head must be 64 lower-case hex digits")


def _check_expected(
    replay: Replay,
    findings: Findings,
    policy_hash: str | None,
    expect_run: str | None,
    expect_head: str | None,
) -> None:
    opening = replay.opening
    if policy_hash is not None and replay.changes:
        changes = f"{len(replay.changes)} changes of the policy during the run"
        findings.add("expect.policy", EVIDENCE_NAME, 0, changes, f"{policy_hash} throughout", "policy_to")
    for code, place, found, expected in (
        ("expect.run", "open.recorder_session", opening.get("recorder_session"), expect_run),
        ("expect.head", "", replay.head or None, expect_head),
        ("expect.policy", "open.policy_hash", opening.get("policy_hash"), policy_hash),
    ):
        if expected is not None and found != expected:
            findings.add(code, EVIDENCE_NAME, 0, describe(found), describe(expected), place)


def _check_landmarks(
    path: FilePath,
    packet: Packet | None,
    marks: Sequence[Landmark],
    replay: Replay,
    findings: Findings,
    *,
    whole: bool,
) -> None:
    """The log is in the state that each says, or was."""
    evidence = partial(open_bare, path) if packet is None else partial(packet.open, EVIDENCE_NAME)
    try:
        check_landmarks(marks, evidence, replay.lines - replay.torn, findings, whole=whole)
    except (OSError, EvidenceError) as error:  # it could be read a moment ago
        findings.add(
            "packet.file", EVIDENCE_NAME, 0, escape_text(str(error)), "a file that can be read twice"
        )
