"""Check a packet, or a bare evidence file, offline: `verify(path, keys=…)` gives a Report.

Loads no runtime, needs no rights and no network. It never raises for what is in a packet: that is findings. It
cannot tell an honest signer from a dishonest one; the report says what is not proven.

Rule 1: without a pinned key nothing is ever valid.
Rule 2: whatever the caller expects (run, head, policy) and the evidence does not show is a finding.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import partial

import attrs

from trio_egress.errors import EvidenceError, UsageError
from trio_egress.evidence.archive import PLAIN_NAME
from trio_egress.evidence.audit_packet import PACKET_NAME, check_packet
from trio_egress.evidence.checkpoint import CHECKPOINT_NAME
from trio_egress.evidence.container import (
    FILE_BYTES,
    FilePath,
    Packet,
    measure_file,
    open_bare,
    read_file,
    read_plain,
    replay_evidence,
)
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.landmarks import Landmark, check_landmarks, read_checkpoint, read_landmarks
from trio_egress.evidence.manifest import (
    MANIFEST_NAME,
    SIGNATURE_NAME,
    Entry,
    Missing,
    check_files,
    check_signature,
    read_manifest,
)
from trio_egress.evidence.members import describe
from trio_egress.evidence.packet import (
    COMPILED_NAME,
    FIRST_CHANGE,
    INCLUDES_NAME,
    POLICY_HASH_NAME,
    POLICY_NAME,
    POSTURE_NAME,
    PUBLIC_KEY_NAME,
    YAML_POLICY_NAME,
    change_names,
    is_policy_hash,
    read_policy_hash,
)
from trio_egress.evidence.receipt_form import HEX_64
from trio_egress.evidence.recovery import add_recovery, check_recovery
from trio_egress.evidence.replay import Judge, Replay
from trio_egress.evidence.report import Report, Verdict, conclude
from trio_egress.evidence.roster import check_roster
from trio_egress.evidence.run_file import COUNTERS_NAME, RUN_NAME, check_counters, check_run
from trio_egress.evidence.session import SessionState
from trio_egress.evidence.sign import parse_public_key
from trio_egress.evidence.statement import BUNDLE_NAME, STATEMENT_NAME, check_bundle, check_statement
from trio_egress.evidence.stream import Checker
from trio_egress.evidence.trust import read_trust


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
        kept = {escape_text(os.fspath(place)): read_plain(place, FILE_BYTES) for place in anchors}
        replay = Replay(findings, EVIDENCE_NAME, pinned or None, judge)
        packet = replay_evidence(path, replay, checker, quick=quick)
    except EvidenceError as error:
        return Report(path=escape_text(str(path)), verdict=Verdict.UNREADABLE, error=escape_text(str(error)))
    if quick:
        whole = packet is not None and MANIFEST_NAME in packet
        if packet is not None:
            _check_manifest(packet, replay, findings, whole=PACKET_NAME in packet)
    else:
        whole = packet is None or _check_files(packet, replay, findings)
    marks = [] if quick else _read_checkpoint(packet, replay, findings)
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


def _check_files(packet: Packet, replay: Replay, findings: Findings) -> bool:
    """Check all that stands beside the evidence; False where there is no packet.json."""
    if PACKET_NAME not in packet:
        listed = _check_manifest(packet, replay, findings, whole=False)
        _check_statement(packet, replay, listed, findings)
        return False
    raw = _read(packet, PACKET_NAME, findings)
    objects = None if raw is None else check_packet(raw, replay, findings)
    if objects is not None:
        _check_artifacts(packet, objects["artifacts"], findings)
        _check_policy(packet, objects["policy"], replay, findings)
        _check_posture(packet, replay, findings)
        _check_key(packet, replay, findings)
        _check_run(packet, objects["run"], replay, findings)
    listed = _check_manifest(packet, replay, findings, whole=True)
    _check_statement(packet, replay, listed, findings)
    return True


def _check_manifest(
    packet: Packet, replay: Replay, findings: Findings, *, whole: bool
) -> Mapping[str, Entry]:
    """The signed list of all files, given back. Where packet.json was never put in place, there may be none yet."""
    for name in (MANIFEST_NAME, SIGNATURE_NAME):
        if name not in packet:
            if whole:
                findings.add("manifest.missing", name, 0, "nothing", "the manifest and its signature")
            return {}
    raw, signature = _read(packet, MANIFEST_NAME, findings), _read(packet, SIGNATURE_NAME, findings)
    if raw is None or signature is None:
        return {}
    listed = read_manifest(raw, findings)
    if listed is None:
        return {}
    key = replay.segments.find_key(replay.lines)
    check_signature(raw, signature, replay, key, findings)
    measure = partial(_measure, packet)
    check_files(listed, _list_names(packet, findings), measure, whole=whole, findings=findings)
    return listed


def _list_names(packet: Packet, findings: Findings) -> Sequence[str]:
    try:
        return packet.list_names()
    except EvidenceError as error:
        findings.add("packet.file", ".", 0, escape_text(str(error)), "a directory that can be read")
        return ()


def _measure(packet: Packet, entry: Entry) -> Entry | Missing:
    try:
        return measure_file(packet, entry.name, entry.size)
    except EvidenceError as error:
        return Missing(entry.name, str(error))


def _check_artifacts(packet: Packet, artifacts: Mapping[str, object], findings: Findings) -> None:
    for name in sorted(set(map(str, artifacts.values())) - {PACKET_NAME, EVIDENCE_NAME}):
        _read(packet, name, findings)


def _check_policy(packet: Packet, policy: Mapping[str, object], replay: Replay, findings: Findings) -> None:
    """The compiled policy and the texts that it was made of are those that the open receipt binds."""
    facts = replay.open_facts
    text = _find_text(packet, (COMPILED_NAME, POLICY_NAME, YAML_POLICY_NAME))
    claims = {
        (COMPILED_NAME, replay.opening.get("policy_hash")),
        (text, policy.get("config_snapshot_sha256")),
        (text, _prefix(facts.get("policy_sha256"))),
        (INCLUDES_NAME, _prefix(facts.get("policy_includes_sha256"))),
    }
    for number, change in enumerate(replay.changes, FIRST_CHANGE):
        names = change_names(number)
        claims |= {
            (names[0], change["policy_to"]),
            (_find_text(packet, names), _prefix(change.get("policy_sha256"))),
            (names[3], _prefix(change.get("policy_includes_sha256"))),
        }
    bound = sorted((name, str(expected)) for name, expected in claims if expected is not None)
    for name, expected in bound:
        raw = _read(packet, name, findings)
        found = expected if raw is None else f"sha256:{hashlib.sha256(raw).hexdigest()}"
        if found != expected:
            findings.add("packet.policy", name, 0, describe(found), describe(expected))
    for name in (POLICY_NAME, YAML_POLICY_NAME, INCLUDES_NAME):
        if name in packet and name not in dict(bound):
            findings.add("packet.policy", name, 0, "a file", "none, as nothing names it")


def _find_text(packet: Packet, names: Sequence[str]) -> str:
    """What the policy's text is called: it is TOML or YAML."""
    return names[2] if names[2] in packet and names[1] not in packet else names[1]


def _prefix(digest: object) -> str | None:
    return None if digest is None else f"sha256:{digest}"


def _check_posture(packet: Packet, replay: Replay, findings: Findings) -> None:
    """The measured posture is the one that the open receipt binds; a session that binds none has none."""
    expected = replay.opening.get("posture_capsule_sha256")
    if not expected:
        return
    raw = _read(packet, POSTURE_NAME, findings)
    found = expected if raw is None else hashlib.sha256(raw).hexdigest()
    if found != expected:
        findings.add("packet.posture", POSTURE_NAME, 0, describe(found), describe(expected))


def _check_run(packet: Packet, run: Mapping[str, object], replay: Replay, findings: Findings) -> None:
    """How it ended, what was counted, and the one line that people compare policies by."""
    details, counters = _read(packet, RUN_NAME, findings), _read(packet, COUNTERS_NAME, findings)
    if details is not None:
        check_run(details, replay, run, findings)
    if counters is not None:
        check_counters(counters, replay, findings)
    policy_hash, expected = _read(packet, POLICY_HASH_NAME, findings), replay.opening.get("policy_hash")
    if policy_hash is not None and expected is not None and policy_hash != f"{expected}\n".encode():
        found = describe(policy_hash.decode("utf-8", "replace"))
        findings.add("packet.policy", POLICY_HASH_NAME, 0, found, f"{describe(expected)} and a line feed")


def _check_key(packet: Packet, replay: Replay, findings: Findings) -> None:
    raw = _read(packet, PUBLIC_KEY_NAME, findings)
    try:
        found = "nothing" if raw is None else parse_public_key(raw)
    except EvidenceError as error:
        found = str(error)
    if raw is not None and found != replay.signer_key:
        findings.add("packet.key", PUBLIC_KEY_NAME, 0, found, replay.signer_key or "a key that signed")


def _read_checkpoint(packet: Packet | None, replay: Replay, findings: Findings) -> list[Landmark]:
    """The packet's own; of older releases there is none."""
    if packet is None or CHECKPOINT_NAME not in packet:
        return []
    raw = _read(packet, CHECKPOINT_NAME, findings)
    found = None if raw is None else read_checkpoint(raw, CHECKPOINT_NAME, replay, findings)
    return [] if found is None else [attrs.evolve(found, own=True)]


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


def _check_statement(packet: Packet, replay: Replay, listed: Mapping[str, Entry], findings: Findings) -> None:
    """Where there is one: it is about the files that the manifest lists, and this log."""
    if STATEMENT_NAME not in packet:
        return
    raw = _read(packet, STATEMENT_NAME, findings)
    if raw is None:
        return

    def measure(name: str) -> str | None:
        if name in listed:
            return listed[name].sha256  # another file than that is found already
        try:
            return measure_file(packet, name, FILE_BYTES).sha256 if PLAIN_NAME.fullmatch(name) else None
        except EvidenceError:
            return None

    key = replay.segments.find_key(replay.lines)
    check_statement(raw, replay, key, measure, findings)
    if BUNDLE_NAME in packet:
        bundle = _read(packet, BUNDLE_NAME, findings)
        if bundle is not None:
            check_bundle(bundle, raw, key, findings)


def _read(packet: Packet, name: str, findings: Findings) -> bytes | None:
    try:
        return read_file(packet, name)
    except EvidenceError as error:
        findings.add(
            "packet.file", escape_text(name), 0, escape_text(str(error)), "a plain file of the packet"
        )
        return None
