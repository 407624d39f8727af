"""The evidence directory of a run: made before anything else, turned into an Audit Packet at the end.

Works through descriptors that were opened with the caller's rights, because the supervisor has given root up by the
time the packet is written.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import attrs

from trio_egress import __version__
from trio_egress.errors import RecorderError, SandboxError
from trio_egress.evidence.journal import Journal, open_journal
from trio_egress.evidence.packet import (
    POLICY_NAME,
    YAML_POLICY_NAME,
    PacketFacts,
    Pages,
    PolicyFiles,
    write_packet,
)
from trio_egress.evidence.packet_form import Posture, RunFacts
from trio_egress.evidence.report import Verdict
from trio_egress.evidence.run_file import RunDetails
from trio_egress.evidence.sign import Signer
from trio_egress.kernel.attacks import DENIED
from trio_egress.kernel.posture import REFUSED_CALLS, UNSUPPORTED, UNSUPPORTED_PATHS
from trio_egress.pages.write import render_pages
from trio_egress.policy.compiled import render_compiled
from trio_egress.policy.packaged import render_includes
from trio_egress.policy.part import YAML_ENDINGS
from trio_egress.policy.rule import Policy
from trio_egress.policy.websockets import scans_every_websocket
from trio_egress.runtime.agent import AgentEnd
from trio_egress.runtime.spec import End, RunResult, RunSpec
from trio_egress.runtime.syncing import sync_together
from trio_egress.values import define, frozen

_WHY_UNTOLD = {
    "EBUSY": "what started trio-egress has a seccomp listener of its own, and there can be only one",
    "EINVAL": "its kernel is older than 5.0",
}


@frozen
class Evidence:
    """The open directory, its journal, and when it was opened."""

    directory: int
    journal: Journal
    started_ns: int


@define
class Record:
    """What a run leaves for its packet, filled in as it goes."""

    evidence: Evidence
    ended: AgentEnd = attrs.field(factory=lambda: AgentEnd(End.REFUSED))
    answers: Mapping[str, str] = attrs.field(factory=dict)
    posture: bytes = b""
    policies: list[Policy] = attrs.field(factory=list)
    """Those that came into force during the run, in order."""

    signer: Signer | None = None
    """Whoever signed last."""

    refused: int = 0
    head: str = ""


@contextmanager
def open_evidence(spec: RunSpec) -> Iterator[Evidence]:
    """Make the evidence directory (or take an empty one) and its journal; raises SandboxError."""
    try:
        spec.evidence.mkdir(parents=True, exist_ok=True)
        directory = os.open(spec.evidence, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileExistsError, NotADirectoryError):
        raise SandboxError(f"cannot use {spec.evidence} for evidence: it is no directory") from None
    except OSError as error:
        raise SandboxError(f"cannot use {spec.evidence} for evidence: {error.strerror}") from None
    try:
        if os.listdir(directory):
            raise SandboxError(f"the evidence directory {spec.evidence} is not empty: name a new one")
        journal = _open_journal(directory, spec)
        try:
            yield Evidence(directory, journal, time.time_ns())
        finally:
            journal.close()
    finally:
        os.close(directory)


def _open_journal(directory: int, spec: RunSpec) -> Journal:
    try:
        journal = open_journal(directory)
        owner = spec.identities.supervisor
        if spec.identities.root:
            os.fchown(directory, owner.uid, owner.gid)
        if spec.identities.apart:
            # Whoever may read it stays able to; that others may write in it, by an ACL too, ends here.
            os.fchmod(directory, stat.S_IMODE(os.fstat(directory).st_mode) & ~0o022)
        if spec.identities.root:
            os.chown("evidence.jsonl", owner.uid, owner.gid, dir_fd=directory, follow_symlinks=False)
    except RecorderError as error:
        raise SandboxError(f"cannot write evidence in {spec.evidence}: {error}") from None
    except OSError as error:
        journal.close()
        raise SandboxError(
            f"cannot give {spec.evidence} to uid {owner.uid}, which the supervisor becomes: {error.strerror}"
            " (a container maps too few ids? start trio-egress as an ordinary user there)"
        ) from None
    return journal


def seal(spec: RunSpec, evidence: Evidence, record: Record) -> RunResult:
    """Write the packet, and say what came of the run. Never raises: a packet that can't be written is an end too."""
    ended = record.ended
    if not ended.message and (untold := _untold(record.answers)):
        ended = attrs.evolve(ended, message=f"not recorded: {untold[0]}")
    try:
        facts = spec.redactor.redact_fields(_packet_facts(spec, evidence, record))
        verdict = write_packet(evidence.directory, facts, record.signer or spec.key, sync_together)
        trouble = _find_trouble(spec, evidence, verdict)
    except RecorderError as error:
        trouble = str(error)
    if trouble and ended.end is not End.INCOMPLETE:
        ended = attrs.evolve(ended, end=End.INCOMPLETE, message=trouble)
    return RunResult(
        end=ended.end,
        evidence=spec.evidence,
        run_id=spec.run_id,
        agent_code=ended.code,
        message=spec.redactor.redact(ended.message),
        refused=record.refused,
        head=record.head,
        not_found=ended.not_found,
        ended_by=ended.ended_by,
        touched=ended.touched,
    )


def _find_trouble(spec: RunSpec, evidence: Evidence, verdict: Verdict) -> str:
    if verdict not in (Verdict.VALID, Verdict.SELF_CONSISTENT, Verdict.OBSERVED):
        return f"the evidence of this run is {verdict.value}; see {spec.evidence}/verifier.txt"
    own = os.fstat(evidence.directory)
    try:
        shown = os.stat(spec.evidence)
    except PermissionError:
        return ""  # as root: a directory below one that the supervisor, by now, can't enter
    except OSError as error:
        return f"the evidence directory {spec.evidence} is gone: {error.strerror}"
    if (own.st_dev, own.st_ino) != (shown.st_dev, shown.st_ino):
        return f"the evidence directory {spec.evidence} was replaced during the run: what is there now is not from it"
    return ""


def _packet_facts(spec: RunSpec, evidence: Evidence, record: Record) -> PacketFacts:
    now = time.time_ns()
    first, changes = _policy_files(spec.policy), tuple(map(_policy_files, record.policies))
    return PacketFacts(
        run=RunFacts(
            **{"provider": "local", **spec.provenance},
            agent_identity=spec.agent_name,
            started_ns=evidence.started_ns,
            completed_ns=now,
            agent_exit_code=record.ended.code if spec.host is None else None,  # else each command has its own
        ),
        posture=_posture(spec, record.answers),
        posture_measured=record.posture,
        policy_text=first.text,
        policy_name=first.name,
        policy_includes=first.includes,
        policy_compiled=first.compiled,
        policy_changes=changes,
        policy_path=str(spec.policy_path),
        public_key=spec.key.public_hex,
        pinned=spec.pinned,
        generated_ns=now,
        pages=_bind_pages((spec.policy, *record.policies), (first, *changes)),
        details=_details(spec),
    )


def _details(spec: RunSpec) -> RunDetails:
    # A hash of few unknown characters could be tried out.
    command = b"".join(os.fsencode(spec.redactor.redact(argument)) + b"\0" for argument in spec.command)
    return RunDetails(
        program=os.path.basename(spec.command[0]),
        arguments=len(spec.command) - 1,
        command_sha256=hashlib.sha256(command).hexdigest(),
        environment=tuple(spec.environment),
        versions={
            "kernel": platform.release(),
            "python": platform.python_version(),
            "trio_egress": __version__,
        },
        ci=spec.ci,
    )


def _bind_pages(policies: Sequence[Policy], files: Sequence[PolicyFiles]) -> Pages:
    """What renders the pages of this run, with the policies that were in force, by their hashes."""
    hashes = (f"sha256:{hashlib.sha256(one.compiled).hexdigest()}" for one in files)
    return partial(render_pages, dict(zip(hashes, policies, strict=True)), claimed=True)


def _is_yaml(policy: Policy) -> bool:
    return policy.source_file.lower().endswith(YAML_ENDINGS)


def _policy_files(policy: Policy) -> PolicyFiles:
    return PolicyFiles(
        name=YAML_POLICY_NAME if _is_yaml(policy) else POLICY_NAME,
        text=policy.sources[0].text if policy.sources else "",
        includes=render_includes(policy),
        compiled=render_compiled(policy),
    )


def _posture(spec: RunSpec, answers: Mapping[str, str]) -> Posture:
    """What was measured inside, in the words of the packet; `unknown` where no probe ran."""
    agent, host = spec.identities.agent, spec.identities.supervisor
    return Posture(
        enforcement_mode="observe" if spec.observing else "enforce",
        runner_os=platform.system().lower(),
        runner_arch=platform.machine(),
        raw_socket_status=_status(answers, "raw_socket", "packet_socket"),
        docker_socket_status={"hidden": "masked"}.get(answers.get("docker_socket", ""), "unknown"),
        dns_udp_status="proxied",
        browser_proxy_status="forced",
        websocket_frame_scanning="always_on" if _scans_websockets(spec) else "off",
        unsupported_paths=(*UNSUPPORTED_PATHS, *_untold(answers)),
        agent_user=agent.name,
        agent_uid=agent.uid,
        host_user=host.name,
        host_uid=host.uid,
        proxy_url=f"http://127.0.0.1:{spec.proxy_port}",
        script_basename=os.path.basename(spec.command[0]),
        script_arg_count=len(spec.command) - 1,
    )


def _scans_websockets(spec: RunSpec) -> bool:
    return scans_every_websocket(spec.policy) and not spec.observing


def _untold(answers: Mapping[str, str]) -> tuple[str, ...]:
    """What this machine's kernel refuses without being able to tell of it."""
    refused = answers.get(REFUSED_CALLS, "")
    if not refused.startswith(UNSUPPORTED):
        return ()
    why = _WHY_UNTOLD.get(refused.removeprefix(UNSUPPORTED), refused)
    return (f"system calls that are refused, which leave no receipt on this machine: {why}",)


def _status(answers: Mapping[str, str], *probes: str) -> str:
    found = [answers.get(probe, "") for probe in probes]
    if not all(found):
        return "unknown"
    return "denied" if all(answer.startswith(DENIED) for answer in found) else "allowed"
