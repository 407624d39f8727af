"""`trio-egress run`: find policy, key and evidence directory, run, say how it ended.

Everything is written to standard error; standard output belongs to the agent, unless --json asks for the status.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from trio_egress.cli.anchors import Anchors
from trio_egress.cli.approver import find_approver
from trio_egress.cli.denials import Denials
from trio_egress.cli.exits import INCOMPLETE, REFUSED, SIGNALLED, exit_code
from trio_egress.cli.garbage import start_collecting
from trio_egress.cli.opening import announce, tell_own
from trio_egress.cli.outside import open_outside
from trio_egress.cli.packet.places import AUDIT_DIRECTORY
from trio_egress.cli.paint import choose_paint
from trio_egress.cli.plain_file import open_output
from trio_egress.cli.run_environment import find_environment
from trio_egress.cli.run_keys import find_key, find_next_keys
from trio_egress.cli.run_parser import HANDED_FILES, asks_for_handover
from trio_egress.cli.status import Handed, Status, print_status, tell_verdict, write_status
from trio_egress.cli.tally import follow, make_line
from trio_egress.cli.voice import Say, open_voice
from trio_egress.errors import SandboxError, TrioEgressError, UsageError
from trio_egress.evidence.receipt import uuid7
from trio_egress.evidence.redact import Redactor
from trio_egress.evidence.sign import Signer
from trio_egress.kernel.identity import Identities, find_identities
from trio_egress.kernel.syscalls import set_no_new_privs
from trio_egress.policy.rule import Policy
from trio_egress.runtime.detectors import has_scans, load_detectors
from trio_egress.runtime.environment import find_ci, find_provenance
from trio_egress.runtime.placeholders import (
    check_command,
    find_secret_files,
    open_vault,
    put_placeholders,
)
from trio_egress.runtime.policy_file import POLICY_NAMES, empty_policy, find_policy, read_policy
from trio_egress.runtime.secrets import (
    find_password_file,
    keep_commitment_key,
    make_commitment_key,
    open_redactor,
    sign_in,
)
from trio_egress.runtime.signals import Inbox, Interrupted
from trio_egress.runtime.spec import Caller, End, RunResult, RunSpec
from trio_egress.runtime.step_files import find_step_files
from trio_egress.runtime.stop import hold_stop_file
from trio_egress.signer.remote import RemoteKey

if TYPE_CHECKING:
    from trio_egress.runtime.live_line import LiveLine
    from trio_egress.runtime.serving import Host
    from trio_egress.runtime.sought import Value
    from trio_egress.runtime.stdio import Client

NOT_ENFORCED = (
    "OBSERVING, NOT ENFORCING: everything but private addresses and this machine's own services is let through and "
    "recorded; the evidence of this run never counts as enforced"
)

Finish = Callable[[RunResult], None]
"""Called when the run is over, before its status is written; what it raises of TrioEgressError is the run's failure."""


def main(
    options: argparse.Namespace,
    inbox: Inbox,
    finish: Finish | None = None,
    written: Sequence[str] = (),
    client: Client | Host | None = None,
    caller: Caller | None = None,
) -> int:
    """Exit codes as in `trio_egress.cli.exits`. `finish` is for a command that makes something of the run, `written`
    are the files that it then writes, `client` is that of an MCP server, or a session's host, and `caller` is whose
    run it is, where it is somebody else's."""
    if os.geteuid() == 0:
        # Before there is a second thread: nothing that comes of this process gains rights by sudo or a setuid file.
        set_no_new_privs()
    line = make_line(os.environ, quiet=options.quiet)
    with open_voice(line) as say:
        code = _main(options, inbox, say, finish, written, client, caller, line)
    inbox.close()
    return code


def _main(
    options: argparse.Namespace,
    inbox: Inbox,
    say: Say,
    finish: Finish | None,
    written: Sequence[str],
    client: Client | Host | None,
    caller: Caller | None,
    line: LiveLine | None,
) -> int:
    status_fd = None
    status = Status(run_id="", exit_code=REFUSED, end="refused")
    redact: Callable[[str], str] = str
    try:
        status_fd = _open_status(options.status_file, inbox)
        with inbox.interrupting():
            spec = attrs.evolve(_prepare(options, say, written, caller), line=line, waiting=options.waiting)
            spec = spec if client is None else client.join(spec)
            spec = attrs.evolve(spec, approver=find_approver(options, spec, say))
        status = attrs.evolve(status, run_id=spec.run_id)
        redact, say = spec.redactor.redact, spec.redactor.hush(say)
        with _open_handover(options, spec) as conclude:
            result = _run(spec, inbox, options, say)
            status = Status.of(result, exit_code(result))
            handed = conclude(say)
            status = status.judge(result, options.fail_on or (), handed)
            for text in tell_verdict(status, result, quiet=options.quiet):
                say(text)
        if finish is not None:
            finish(result)
    except TrioEgressError as error:
        say(str(error))
        status = attrs.evolve(status, message=str(error))
    except Interrupted as end:
        say(str(end))
        code = SIGNALLED + end.number
        status = attrs.evolve(status, exit_code=code, end=End.INTERRUPTED.value, message=str(end))
    except Exception as error:
        # The outermost function: whatever was not foreseen is a bug, and the evidence can't be trusted to be whole.
        import traceback

        say(traceback.format_exc())
        say("this is a bug in trio-egress; the agent is dead, and the evidence ends where it happened")
        status = attrs.evolve(status, exit_code=INCOMPLETE, end="error", message=repr(error))
    status = attrs.evolve(status, message=redact(status.message))
    try:
        write_status(status, status_fd)
    except OSError as error:
        say(f"--status-file {options.status_file}: {error.strerror}: it doesn't hold the status")
    if options.json:
        inbox.release()  # whoever should read standard output may never do so
        print_status(status)
    return status.exit_code


@contextmanager
def _open_handover(options: argparse.Namespace, spec: RunSpec) -> Iterator[Callable[[Say], Handed | None]]:
    """What verifies the packet at the end and writes what was asked for; its modules are loaded here and now."""
    if not asks_for_handover(options):
        yield lambda say: None
        return
    from trio_egress.cli.handover import open_handover

    with open_handover(options, spec.evidence, spec.key.public_hex if spec.pinned else None) as handover:

        def conclude(say: Say) -> Handed | None:
            try:
                return handover.conclude(spec.evidence)
            except UsageError as error:
                say(str(error))
                return None

        yield conclude


def _open_status(path: str | None, inbox: Inbox) -> int | None:
    """Opened first, with the caller's rights, so that it is written however the run ends. Raises UsageError."""
    if path is None:
        return None
    try:
        return open_output(path, inbox.interrupting)  # a pipe waits for a reader
    except OSError as error:
        raise UsageError(f"--status-file {path}: {error.strerror}") from None


def _prepare(options: argparse.Namespace, say: Say, written: Sequence[str], caller: Caller | None) -> RunSpec:
    """Everything that can be wrong with a run before anything is created."""
    environ = os.environ if caller is None else caller.environment
    command = _find_command(options)
    observing = options.observing or options.mode == "observe"
    path = options.policy_path or choose_policy(options, observing=observing)
    _, policy = read_policy(path, options.allow)
    identities = _find_identities(options, caller)
    key = find_key(options, identities)
    pinned = bool(options.key or options.signer)
    run_id = uuid7(time.time_ns(), os.urandom(10))
    commitment_key = make_commitment_key()
    directory = _find_directory()
    redactor = open_redactor(policy, environ, directory, commitment_key)
    policy = sign_in(policy, redactor)
    vault = open_vault(policy, redactor)
    check_command(command, vault, redactor)
    environment = put_placeholders(
        find_environment(options, policy, identities, run_id, environ), policy, vault, redactor
    )
    sought, environment = _look_for(policy, environment, directory, redactor, environ)
    evidence = _find_evidence(options, run_id)
    spec = RunSpec(
        command=tuple(command),
        directory=directory,
        environment=environment,
        policy=policy,
        policy_path=path,
        evidence=evidence,
        key=key,
        next_keys=find_next_keys(options, key, identities),
        identities=identities,
        run_id=run_id,
        pinned=pinned,
        provenance=find_provenance(os.environ),  # what a caller says of itself is not ours to sign
        hidden=(*_hidden(options, evidence, key), *_find_hidden(policy, environ, directory)),
        ci=find_ci(os.environ),
        protected=tuple(Path(name).absolute() for name in _list_written(options, written)),
        stop_file=_find_stop_file(options.stop_file, policy, directory, environment.get("HOME", "")),
        timeout_seconds=_find_timeout(options.timeout, policy.limits.wall_seconds),
        proxy_port=options.proxy_port,
        name=options.agent or "",
        allowed=tuple(options.allow),
        observing=observing,
        watch=None if options.quiet else Denials(redactor.hush(say)).show,
        redactor=redactor,
        vault=vault,
        sought=sought,
        tell=Anchors(None if options.quiet else say, options.anchor_file).tell,
        caller=caller,
    )
    if options.commitment_key:  # last: a run that is none leaves no key in the way of the next
        keep_commitment_key(commitment_key, Path(options.commitment_key), evidence)
    if observing:
        say(NOT_ENFORCED)
    if not options.quiet:
        announce(redactor.hush(say), policy, path, key, run_id, pinned=pinned)
        tell_own(say, policy.files, directory, environment.get("HOME", ""))
    return spec


def _find_identities(options: argparse.Namespace, caller: Caller | None) -> Identities:
    identities = find_identities(options.user, os.environ, options.proxy_user)
    if caller is None:
        return identities
    agent, supervisor = caller.agent, identities.supervisor
    if identities.root and (agent.uid == supervisor.uid or agent.gid == supervisor.gid):
        raise SandboxError(f"uid {supervisor.uid} and its group are the supervisor's, and nobody else's")
    return attrs.evolve(identities, agent=agent)


def _find_command(options: argparse.Namespace) -> Sequence[str]:
    command: list[str] = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not command or not command[0]:
        raise UsageError(f"no command to run: trio-egress {options.command} [options] [--] COMMAND [ARG ...]")
    return command


def choose_policy(options: argparse.Namespace, *, observing: bool) -> Path:
    """A run that only observes, or that is told what to allow, needs no policy of its own."""
    try:
        return find_policy(options.policy, os.environ)
    except UsageError:
        if options.policy or not (observing or options.allow):
            raise
        if any(os.path.lexists(name) for name in POLICY_NAMES):
            raise
        return empty_policy()


def _list_written(options: argparse.Namespace, written: Sequence[str]) -> list[str]:
    """What is written when the agent has ended."""
    named = (options.status_file, *(getattr(options, name) for name in HANDED_FILES), *written)
    return [name for name in named if name]


def _look_for(
    policy: Policy,
    environment: dict[str, str],
    directory: Path,
    redactor: Redactor,
    environ: Mapping[str, str],
) -> tuple[tuple[Value, ...], dict[str, str]]:
    """What is looked for besides secrets, and the agent's environment with canaries in it."""
    if not has_scans(policy):
        return (), environment
    from trio_egress.runtime.sought import find_values, plant

    load_detectors(policy)
    sought = find_values(policy, environ, directory, redactor)
    return sought, plant(environment, policy, sought)


def _find_evidence(options: argparse.Namespace, run_id: str) -> Path:
    if options.evidence and options.evidence_in:
        raise UsageError(
            "--evidence and --evidence-in: give one of them; the second is a directory of several runs"
        )
    return Path(options.evidence or Path(options.evidence_in or AUDIT_DIRECTORY, run_id)).absolute()


def _find_directory() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise UsageError(
            f"the working directory is gone ({error.strerror}): go to one that is there"
        ) from None


def _find_timeout(given: float | None, of_policy: int | None) -> float | None:
    """The shorter one: neither the command line nor the policy makes room that the other does not."""
    return min((seconds for seconds in (given, of_policy) if seconds is not None), default=None)


def _find_stop_file(given: str | None, policy: Policy, directory: Path, home: str) -> Path | None:
    """Raises UsageError where it is there already, or where an agent that can write could keep it from being seen."""
    if not given:
        return None
    from trio_egress.runtime.places import refuse_reach

    path = Path(os.path.abspath(given))
    refuse_reach("--stop-file", given, str(path), policy.files, str(directory), home)
    with hold_stop_file(path):
        return path


def _hidden(options: argparse.Namespace, evidence: Path, key: Signer) -> tuple[Path, ...]:
    """What the agent must not see besides this run's evidence: keys, and the evidence of earlier runs."""
    kept = [Path(path).absolute() for path in (options.key, *options.rotate_key_to) if path]
    if isinstance(key, RemoteKey):
        named = (*key.hide, os.path.abspath(options.signer))  # its socket; a command is no path
        kept = [Path(path) for path in dict.fromkeys(named) if os.path.exists(path)]
    kept += [Path(path).absolute() for path in (options.commitment_key, options.anchor_file) if path]
    kept += find_step_files(os.environ)
    return tuple(kept) if options.evidence else (evidence.parent, *kept)


def _find_hidden(policy: Policy, environ: Mapping[str, str], directory: Path) -> tuple[Path, ...]:
    """Files with what the policy calls secret."""
    password = find_password_file(policy, environ, directory)
    return (*(() if password is None else (password,)), *find_secret_files(policy, environ, directory))


def _run(spec: RunSpec, inbox: Inbox, options: argparse.Namespace, say: Say) -> RunResult:
    import trio

    from trio_egress.cli.ending import Ending
    from trio_egress.runtime.supervisor import run

    paint = choose_paint(sys.stderr, os.environ)
    ending = Ending(spec.policy, paint)
    if spec.watch is not None:
        spec = attrs.evolve(spec, watch=ending.follow(spec.watch))
        follow(spec.line, ending.tally, paint)
    try:
        with open_outside(options, spec, say) as told:
            start_collecting()
            result = trio.run(run, told, inbox.waiting)
    except (SandboxError, UsageError):  # nothing was recorded that the key could be for
        if options.commitment_key:
            Path(options.commitment_key).unlink(missing_ok=True)
        raise
    finally:
        if isinstance(spec.key, RemoteKey):
            spec.key.close()
    if result.message:
        say(result.message + _find_meant(spec.command[0]) * result.not_found)
    if not options.quiet:
        for text in ending.render(result, _short(result.evidence), spec.key.public_hex):
            say(text)
    return result


def _find_meant(command: str) -> str:
    """Where a program is looked for, the working directory is not."""
    here = "/" not in command and os.path.isfile(command)
    return f"; the one in this directory is ./{command}" if here else ""


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)
