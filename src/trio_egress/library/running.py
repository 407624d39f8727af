"""`trio_egress.run(command, policy=…)`: one run, from any thread of any program, as a value.

The supervisor is a process of its own, as on the command line: it takes signals, raises limits, gives up root for
good and forbids itself to gain rights, and none of that may happen to the program that asks for a run. So the key is
never in that program either, any number of runs live side by side, and nothing of Trio is loaded.

Rule 1: a denied connection is data; so are a time-out and a command that isn't there. What is raised means that nothing
was run, or that what was run is not to be believed.
Rule 2: whose supervisor it is, is said before anything starts, as of any sandbox (runtime/backends.py).
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

from trio_egress.cli.platforms import explain_absence
from trio_egress.errors import SandboxError, TrioEgressError, UsageError
from trio_egress.evidence.report import Verdict
from trio_egress.library.deciding import Decide, Deciding
from trio_egress.library.judging import Policy
from trio_egress.library.process import Output, supervise
from trio_egress.library.result import DeniedError, Packet, Run, read_denied
from trio_egress.runtime.backends import HELPER, choose
from trio_egress.values import frozen

FilePath = str | PathLike[str]
TIMEOUT_SECONDS = 1e9
"""Longer than anything lasts; the command line has the same bound."""

INCOMPLETE = "evidence_incomplete"

Status = Mapping[str, object]
"""How a run has ended, as the supervisor says it (cli/status.py)."""


@frozen(kw_only=True)
class Terms:
    """What a sandbox is to be, in the words of a program."""

    policy: FilePath | None
    directory: FilePath | None
    environment: Mapping[str, str] | None
    allow: Sequence[str]
    timeout: float | None
    evidence: FilePath | None
    evidence_in: FilePath | None
    key: FilePath | None
    signer: str | None
    user: str | None

    def choose(self, backend: str, max_output: int | None = None) -> str:
        """Which it is to be, and whether that can be meant: nothing is created yet.

        Raises PolicyError, with every problem, UsageError and SandboxError.
        """
        check_bounds(self.timeout, max_output)
        chosen = choose(backend, os.environ, os.geteuid())
        if self.policy is not None:
            Policy.load(self.policy, allow=self.allow)
        return chosen

    def list_options(self) -> list[str]:
        """As the command line has them; paths are from this program's directory. Raises UsageError."""
        if self.policy is None:
            raise UsageError("policy: there is none; with the back-end `helper` None is the operator's own")
        named = {
            "policy": os.path.abspath(self.policy),
            "evidence": self.evidence and os.path.abspath(self.evidence),
            "evidence-in": self.evidence_in and os.path.abspath(self.evidence_in),
            "key": self.key and os.path.abspath(self.key),
            "signer": self.signer,
            "user": self.user,
            "timeout": self.timeout,
        }
        options = [f"--{name}={value}" for name, value in named.items() if value is not None]
        return options + [f"--allow={destination}" for destination in self.allow]


def run(
    command: Sequence[str | PathLike[str]],
    *,
    policy: FilePath | None,
    allow: Sequence[str] = (),
    directory: FilePath | None = None,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
    max_output: int | None = None,
    evidence: FilePath | None = None,
    evidence_in: FilePath | None = None,
    key: FilePath | None = None,
    signer: str | None = None,
    user: str | None = None,
    check_denied: bool = False,
    decide: Decide | None = None,
    backend: str = "auto",
) -> Run:
    """Run a command in a sandbox whose only way out is what the policy allows, and wait for its end.

    `directory` and `environment` are this program's unless they are given; paths are from this program's directory.
    `timeout`: seconds that the agent may take. `max_output`: that many bytes of standard output and of standard error
    are kept, and standard input is empty; None: all three are this program's own. `evidence`: the packet's directory,
    `evidence_in` one of several packets (default: `trio-egress-audit` in `directory`). `key`, `signer`, `user`,
    `allow`: as on the command line.

    `decide`: a function that sees each attempt which the policy would allow (`Question`), in this thread, and can only
    narrow: what it doesn't say True to is denied. `backend`: as of a `Sandbox`.

    Raises PolicyError and UsageError before anything is created, SandboxError where no sandbox could be built as it
    must be, and with `check_denied` DeniedError where anything was denied. KeyboardInterrupt ends the run, with a
    closed chain, before it goes on.
    """
    if reason := explain_absence(sys.platform):
        raise SandboxError(reason)
    words = read_command(command)
    terms = Terms(
        policy=policy,
        directory=directory,
        environment=environment,
        allow=allow,
        timeout=timeout,
        evidence=evidence,
        evidence_in=evidence_in,
        key=key,
        signer=signer,
        user=user,
    )
    result = _run(terms, words, max_output, decide, backend)
    if check_denied and result.denied_count:
        raise DeniedError(result)
    return result


def _run(
    terms: Terms, words: Sequence[str], max_output: int | None, decide: Decide | None, backend: str
) -> Run:
    chosen = terms.choose(backend, max_output)
    deciding = None if decide is None else Deciding.of_plain(decide)
    if chosen != HELPER:
        return _conclude(*_run_own(terms, words, max_output, deciding), chosen)
    from trio_egress.library.remote_run import run_remote

    return _conclude(*run_remote(terms, words, max_output, deciding), chosen)


def _run_own(
    terms: Terms, words: Sequence[str], max_output: int | None, deciding: Deciding | None
) -> tuple[Status, Output]:
    with tempfile.TemporaryDirectory(prefix="trio-egress-") as folder:
        status_file = Path(folder, "status.json")
        options = [*terms.list_options(), f"--status-file={status_file}", "--quiet", "--verify"]
        where = None if terms.directory is None else Path(terms.directory)
        output = supervise(["run", *options, "--", *words], where, terms.environment, max_output, deciding)
        return _read_status(status_file), output


def read_command(command: Sequence[str | PathLike[str]]) -> list[str]:
    if isinstance(command, (str, bytes)):
        raise UsageError(
            f'a command is a list of words, ["sh", "-c", …] where a shell is meant, not {command!r}'
        )
    words = [os.fspath(word) for word in command]
    if not words or not words[0]:
        raise UsageError("no command to run: it is empty")
    return words


def check_bounds(timeout: float | None, max_output: int | None) -> None:
    if timeout is not None and not (_is_number(timeout) and 0 < timeout < TIMEOUT_SECONDS):
        raise UsageError(f"timeout must be a positive number of seconds, not {timeout!r}")
    if max_output is not None and not (_is_number(max_output) and max_output >= 0):
        raise UsageError(f"max_output must be a number of bytes, not {max_output!r}")


def _is_number(given: object) -> bool:
    """Callers need not check types."""
    return isinstance(given, (int, float)) and not isinstance(given, bool)


def _read_status(path: Path) -> Status:
    try:
        status = json.loads(path.read_bytes())
    except (OSError, ValueError):
        status = None
    if not isinstance(status, dict):
        raise SandboxError(
            "the supervisor ended without a word of how: it was killed, or could not be started"
        )
    return status


def _conclude(status: Status, output: Output, backend: str) -> Run:
    end, message = str(status["end"]), str(status["message"])
    if end == "refused":
        raise SandboxError(message)
    if end == "error" or status["evidence"] is None:
        raise TrioEgressError(message or f"the run ended as {end}")
    path = Path(str(status["evidence"]))
    return Run(
        returncode=None if end == INCOMPLETE else _read_code(status),
        end=end,
        verdict=Verdict(status["verdict"] or Verdict.UNREADABLE),
        packet=Packet(
            path=path,
            run_id=str(status["run_id"]),
            head=str(status["head"] or ""),
            manifest_sha256=str(status["manifest_sha256"] or ""),
        ),
        denied=read_denied(path),
        denied_count=_number(status["denied"]),
        found=_number(status["found"]),
        touched=bool(status["protected_touched"]),
        message=message,
        stdout=bytes(output.stdout.raw),
        stderr=bytes(output.stderr.raw),
        truncated=output.truncated,
        backend=backend,
    )


def _read_code(status: Status) -> int | None:
    """As subprocess tells it."""
    if status["agent_signal"] is not None:
        return -_number(status["agent_signal"])
    return None if status["agent_exit_code"] is None else _number(status["agent_exit_code"])


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
