"""What stands beside the evidence in a packet, each file held against what the evidence says of it.

Rule 1: a file that something names must be there, and be a plain file; what nothing names must not be there.
Rule 2: no file is believed for its own sake: it is bound by the receipts, follows from them, or is signed with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import attrs

from trio_egress.errors import EvidenceError
from trio_egress.evidence.archive import PLAIN_NAME
from trio_egress.evidence.audit_packet import PACKET_NAME, check_packet
from trio_egress.evidence.checkpoint import CHECKPOINT_NAME
from trio_egress.evidence.container import (
    Packet,
    hash_file,
    measure_file,
    read_file,
)
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.landmarks import Landmark, read_checkpoint
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
)
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.run_file import COUNTERS_NAME, RUN_NAME, check_counters, check_run
from trio_egress.evidence.sign import parse_public_key
from trio_egress.evidence.statement import BUNDLE_NAME, STATEMENT_NAME, check_bundle, check_statement

_Read = TypeVar("_Read")


def check_beside(packet: Packet, replay: Replay, findings: Findings) -> int | None:
    """Check all beside the evidence. How many files the manifest lists; None where there is no packet.json."""
    if PACKET_NAME not in packet:
        listed = check_manifest(packet, replay, findings, whole=False)
        _check_statement(packet, replay, listed, findings)
        return None
    raw = _read(packet, PACKET_NAME, findings)
    objects = None if raw is None else check_packet(raw, replay, findings)
    if objects is not None:
        _check_artifacts(packet, objects["artifacts"], findings)
        _check_policy(packet, objects["policy"], replay, findings)
        _check_posture(packet, replay, findings)
        _check_key(packet, replay, findings)
        _check_run(packet, objects["run"], replay, findings)
    listed = check_manifest(packet, replay, findings, whole=True)
    _check_statement(packet, replay, listed, findings)
    return len(listed)


def check_manifest(packet: Packet, replay: Replay, findings: Findings, *, whole: bool) -> Mapping[str, Entry]:
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
        _hash(packet, name, findings)


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
        digest = _hash(packet, name, findings)
        found = expected if digest is None else f"sha256:{digest}"
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
    found = _hash(packet, POSTURE_NAME, findings) or expected
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


def read_own_checkpoint(packet: Packet | None, replay: Replay, findings: Findings) -> list[Landmark]:
    """The packet's own; of older releases there is none."""
    if packet is None or CHECKPOINT_NAME not in packet:
        return []
    raw = _read(packet, CHECKPOINT_NAME, findings)
    found = None if raw is None else read_checkpoint(raw, CHECKPOINT_NAME, replay, findings)
    return [] if found is None else [attrs.evolve(found, own=True)]


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
            return hash_file(packet, name) if PLAIN_NAME.fullmatch(name) else None
        except EvidenceError:
            return None

    key = replay.segments.find_key(replay.lines)
    check_statement(raw, replay, key, measure, findings)
    if BUNDLE_NAME in packet:
        bundle = _read(packet, BUNDLE_NAME, findings)
        if bundle is not None:
            check_bundle(bundle, raw, key, findings)


def _read(packet: Packet, name: str, findings: Findings) -> bytes | None:
    return _take(partial(read_file, packet, name), name, findings)


def _hash(packet: Packet, name: str, findings: Findings) -> str | None:
    return _take(partial(hash_file, packet, name), name, findings)


def _take(read: Callable[[], _Read], name: str, findings: Findings) -> _Read | None:
    try:
        return read()
    except EvidenceError as error:
        findings.add(
            "packet.file", escape_text(name), 0, escape_text(str(error)), "a plain file of the packet"
        )
        return None
