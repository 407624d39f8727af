"""The files of an Audit Packet and of keys: written so that a crash leaves no half file.

With journal.py and container.py the only code of this floor that opens files. What is in them is judged elsewhere.

Rule 1: writing works through a directory descriptor; all files are made aside, made durable, then renamed.
Rule 2: the manifest lists all that stands there, and packet.json, which gets its name last, when the others' names are
durable: where packet.json stands, everything stands.
Rule 3: a private key that group or others may read is refused.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO

import attrs

from trio_egress.errors import EvidenceError, RecorderError
from trio_egress.evidence.archive import PLAIN_NAME
from trio_egress.evidence.audit_packet import PACKET_NAME, VERIFIER_NAME, render_packet, render_run_claims
from trio_egress.evidence.container import FilePath, open_plain
from trio_egress.evidence.dsse import render_bundle, render_envelope, sign_envelope
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.journal import EVIDENCE_NAME, Sync, put_files, sync_each
from trio_egress.evidence.key_forms import KEY_FORMS
from trio_egress.evidence.manifest import MANIFEST_NAME, SIGNATURE_NAME, UNLISTED, Entry, render_manifest
from trio_egress.evidence.packet_form import Posture, RunFacts
from trio_egress.evidence.receipt_form import HEX_64
from trio_egress.evidence.replay import POLICY_HASH, Replay
from trio_egress.evidence.report import Report, Verdict, conclude, render_text
from trio_egress.evidence.rotation import render_rotations
from trio_egress.evidence.run_file import COUNTERS_NAME, RUN_NAME, RunDetails, render_counters, render_run
from trio_egress.evidence.sign import (
    PUBLIC_HEADER,
    PublicKey,
    Signer,
    SigningKey,
    generate,
    parse_private_key,
    parse_public_key,
)
from trio_egress.evidence.sshsig import MANIFEST_NAMESPACE, sign_file
from trio_egress.evidence.statement import BUNDLE_NAME, PAYLOAD_TYPE, STATEMENT_NAME, render_statement
from trio_egress.evidence.stream import replay_stream
from trio_egress.values import frozen

Pages = Callable[[BinaryIO, Report, Mapping[str, bytes]], Mapping[str, bytes]]
"""What renders the files for people, of the evidence, what it is worth, and the packet's other files by name."""

POLICY_NAME = "policy.toml"
YAML_POLICY_NAME = "policy.yaml"
INCLUDES_NAME = "policy-includes.json"
COMPILED_NAME = "policy-compiled.json"
PUBLIC_KEY_NAME = "public-key.txt"
POSTURE_NAME = "posture.json"
POLICY_HASH_NAME = "policy-hash.txt"

KEY_BYTES = 16_384
"""A PEM key is some hundred bytes; a longer file is something else."""

_CHUNK_BYTES = 1 << 20
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0)


FIRST_CHANGE = 2
"""The policy that a run began with is the first."""


def change_names(number: int) -> tuple[str, str, str, str]:
    """What the files of a policy are called that came into force during a run: compiled, TOML, YAML, includes."""
    return tuple(
        name.replace("policy", f"policy-{number}", 1)
        for name in (COMPILED_NAME, POLICY_NAME, YAML_POLICY_NAME, INCLUDES_NAME)
    )  # type: ignore[return-value]


@frozen
class PolicyFiles:
    """A policy as it stands in a packet: as given, what it includes (or nothing), and compiled."""

    name: str
    text: str
    includes: bytes
    compiled: bytes


@frozen
class PacketFacts:
    """What a run knows of itself when its chain is closed; all else comes from the evidence file.

    `posture_measured` is posture.json as the open receipt binds it, empty where nothing was measured. `policy_path` is
    where the operator's policy was, `policy_name` what it is called here, `policy_includes` what it includes.
    `pinned`: the public key was the operator's before the run, not made for it; only then is the packet's own verdict
    `valid`.
    """

    run: RunFacts
    posture: Posture
    policy_text: str
    policy_compiled: bytes
    policy_path: str
    public_key: PublicKey
    pinned: bool
    generated_ns: int
    posture_measured: bytes = b""
    policy_name: str = POLICY_NAME
    policy_includes: bytes = b""
    policy_changes: tuple[PolicyFiles, ...] = ()
    """The policies that came into force during the run, in order."""

    pages: Pages | None = None
    details: RunDetails = attrs.field(kw_only=True)


def write_packet(dir_fd: int, facts: PacketFacts, key: Signer, sync: Sync = sync_each) -> Verdict:
    """Write every file of the packet beside the evidence, and say what the evidence is worth.

    `key` signs manifest and statement. Raises RecorderError when a file could not be made durable; packet.json is
    missing then.
    """
    findings = Findings()
    replay = Replay(findings, EVIDENCE_NAME, {facts.public_key})
    try:
        with _open_at(dir_fd, EVIDENCE_NAME) as evidence:
            replay_stream(evidence, replay)
        report = conclude(EVIDENCE_NAME, replay, findings, pinned=facts.pinned)
        files = dict(_render_files(facts, report, replay))
        files |= render_rotations(replay.segments.rotations)
        packet = _render_packet(facts, report, replay)
        evidence_entry = _measure(dir_fd, EVIDENCE_NAME)
        if report.verdict is not Verdict.INVALID:
            files |= _sign_statement(facts, replay, files, evidence_entry, key)
        if facts.pages is not None:
            with _open_at(dir_fd, EVIDENCE_NAME) as evidence:
                files |= facts.pages(evidence, report, {**files, PACKET_NAME: packet})
        signed = _sign_all(dir_fd, replay, {**files, PACKET_NAME: packet}, evidence_entry, key)
        put_files(dir_fd, {**files, **signed, PACKET_NAME: packet}, sync)
    except OSError as error:
        raise RecorderError(f"cannot write the packet: {error.strerror}") from error
    return report.verdict


def _render_files(facts: PacketFacts, report: Report, replay: Replay) -> Iterator[tuple[str, bytes]]:
    """Every file beside the evidence but packet.json, pages, manifest and signature, in the order of writing."""
    yield facts.policy_name, facts.policy_text.encode("utf-8", "surrogateescape")
    if facts.policy_includes:
        yield INCLUDES_NAME, facts.policy_includes
    yield COMPILED_NAME, facts.policy_compiled
    yield POLICY_HASH_NAME, f"sha256:{hashlib.sha256(facts.policy_compiled).hexdigest()}\n".encode()
    yield from _name_changes(facts.policy_changes)
    if facts.posture_measured:
        yield POSTURE_NAME, facts.posture_measured
    yield PUBLIC_KEY_NAME, facts.public_key.encode() + b"\n"
    claims = {
        name: value for name, value in render_run_claims(replay, facts.run).items() if value is not None
    }
    yield RUN_NAME, render_run(replay, facts.details, claims)
    yield COUNTERS_NAME, render_counters(replay)
    yield VERIFIER_NAME, render_text(report).encode()


def _sign_statement(
    facts: PacketFacts, replay: Replay, files: Mapping[str, bytes], evidence: Entry, key: Signer
) -> dict[str, bytes]:
    """The in-toto Statement about evidence and policy, in its envelope and as a bundle."""
    digests = {
        name: hashlib.sha256(files[name]).hexdigest() for name in (facts.policy_name, COMPILED_NAME)
    } | {evidence.name: evidence.sha256}
    server = facts.details.ci.get("GITHUB_SERVER_URL", "")
    payload = render_statement(replay, facts.run, server, digests, COMPILED_NAME)
    envelope = sign_envelope(PAYLOAD_TYPE, payload, key)
    return {
        STATEMENT_NAME: render_envelope(envelope),
        BUNDLE_NAME: render_bundle(envelope, key.public_hex),
    }


def _render_packet(facts: PacketFacts, report: Report, replay: Replay) -> bytes:
    policy_text = facts.policy_text.encode("utf-8", "surrogateescape")
    policy = {
        "config_path": facts.policy_path,
        "config_snapshot_sha256": f"sha256:{hashlib.sha256(policy_text).hexdigest()}",
    }
    claim = _CLAIMS[report.verdict]
    summary = facts.pages is not None
    return render_packet(replay, claim, facts.run, facts.posture, policy, facts.generated_ns, summary=summary)


def _name_changes(changes: Sequence[PolicyFiles]) -> Iterator[tuple[str, bytes]]:
    for number, files in enumerate(changes, FIRST_CHANGE):
        compiled, toml, yaml, includes = change_names(number)
        yield compiled, files.compiled
        yield yaml if files.name == YAML_POLICY_NAME else toml, files.text.encode("utf-8", "surrogateescape")
        if files.includes:
            yield includes, files.includes


_CLAIMS = {
    Verdict.VALID: "valid",
    Verdict.SELF_CONSISTENT: "self_consistent_only",
    Verdict.OBSERVED: "self_consistent_only",
    Verdict.PREFIX: "self_consistent_only",
    Verdict.INVALID: "invalid",
}


def _sign_all(
    dir_fd: int, replay: Replay, files: Mapping[str, bytes], evidence: Entry, key: Signer
) -> dict[str, bytes]:
    """The manifest of the evidence, of these files and of all others that stand there, and its signature."""
    listed = [Entry(name, hashlib.sha256(raw).hexdigest(), len(raw)) for name, raw in files.items()]
    listed.append(evidence)
    known = {*files, *UNLISTED, evidence.name}
    others = (name for name in os.listdir(dir_fd) if name not in known)
    listed += [_measure(dir_fd, name) for name in others if PLAIN_NAME.fullmatch(name)]
    manifest = render_manifest(replay, listed)
    return {MANIFEST_NAME: manifest, SIGNATURE_NAME: sign_file(key, MANIFEST_NAMESPACE, manifest)}


def _measure(dir_fd: int, name: str) -> Entry:
    digest, size = hashlib.sha256(), 0
    with _open_at(dir_fd, name) as file:
        while raw := file.read(_CHUNK_BYTES):
            digest.update(raw)
            size += len(raw)
    return Entry(name, digest.hexdigest(), size)


def _open_at(dir_fd: int, name: str) -> BinaryIO:
    return os.fdopen(os.open(name, os.O_RDONLY | os.O_CLOEXEC | _NO_FOLLOW, dir_fd=dir_fd), "rb")


# keys


def read_private_key(path: FilePath) -> SigningKey:
    """The private key in a file that nobody else may read, and that has no other name. Raises EvidenceError."""
    with open_plain(path, follow=True) as file:
        status = os.fstat(file.fileno())
        raw = file.read(KEY_BYTES + 1)
        if raw.startswith(PUBLIC_HEADER):
            raise EvidenceError(
                f"{path} is a public key, which signs nothing: name the private one beside it"
            )
        mode = status.st_mode & 0o777
        if mode & 0o077:
            raise EvidenceError(
                f"{path} has mode {mode:04o}: group or others may use the private key; run: chmod 600 {path}"
            )
        if status.st_nlink != 1:
            raise EvidenceError(
                f"{path} has {status.st_nlink} names (hard links), and hiding one hides no other: remove the others; "
                f"find MOUNTPOINT -xdev -samefile {path} lists them"
            )
    try:
        return parse_private_key(_check_length(raw))
    except EvidenceError as error:
        raise EvidenceError(f"{path}: {error}") from None


def _check_length(raw: bytes) -> bytes:
    if len(raw) > KEY_BYTES:
        raise EvidenceError(f"longer than {KEY_BYTES} bytes, which no key is")
    return raw


def read_public_key(text: str) -> PublicKey:
    """A public key given as 64 hex digits, or as the path of a file with one. Raises EvidenceError."""
    if not text.strip():
        raise EvidenceError("the public key is empty")
    if HEX_64.fullmatch(text.strip().lower()):
        return parse_public_key(text.encode())
    with open_plain(text, follow=True) as file:
        raw = file.read(KEY_BYTES + 1)
    try:
        return parse_public_key(_check_length(raw))
    except EvidenceError as error:
        raise EvidenceError(f"{text}: {error}") from None


def is_policy_hash(text: str) -> bool:
    """Whether this is a policy's hash, or at least the path of something that may hold one."""
    return POLICY_HASH.fullmatch(text) is not None or os.path.lexists(text)


def read_policy_hash(text: str) -> str:
    """A policy's hash given as such, or as the path of a file with it alone. Raises EvidenceError."""
    if POLICY_HASH.fullmatch(text):
        return text
    with open_plain(text, follow=True) as file:
        found = file.read(KEY_BYTES).decode("ascii", "replace").strip()
    if POLICY_HASH.fullmatch(found) is None:
        raise EvidenceError(
            f"{text} is no policy hash: expected one line, sha256: and 64 lower-case hex digits"
        )
    return found


def write_key_pair(path: FilePath, seed: bytes, form: str = "pipelock") -> SigningKey:
    """Make PATH (mode 0600) and PATH.pub from 32 random bytes, in a form of KEY_FORMS. Never overwrites.

    Raises EvidenceError.
    """
    key = generate(seed)
    private, public = KEY_FORMS[form](key)
    public_path = f"{os.fspath(path)}.pub"
    if os.path.lexists(public_path):
        raise EvidenceError(f"{public_path} is already there; keygen never overwrites a key")
    _create(path, private, 0o600)
    try:
        _create(public_path, public, 0o644)
    except EvidenceError:
        os.unlink(path)
        raise
    return key


def _create(path: FilePath, raw: bytes, mode: int) -> None:
    if not os.fspath(path):
        raise EvidenceError("the path of the key is empty")
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY | _NO_FOLLOW, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise EvidenceError(f"{os.fspath(path)} is already there; keygen never overwrites a key") from None
    except OSError as error:
        raise EvidenceError(f"cannot write {os.fspath(path)}: {error.strerror}") from error
