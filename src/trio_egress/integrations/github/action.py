"""The action: inputs in the environment, one `trio-egress run`, outputs and annotations.

Rule 1: whatever goes wrong before the run is an error at the step, and the exit code is 125.
Rule 2: the run's files (status, annotations, a key that came as text) are in a directory of their own below
RUNNER_TEMP, which the agent can't write, and are gone at the end.
Rule 3: what the agent or a peer chose is printed only where the runner takes nothing for a command, or as part of one
that it can't end.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from trio_egress.cli.exits import REFUSED
from trio_egress.cli.platforms import explain_absence
from trio_egress.errors import PolicyError, SandboxError, TrioEgressError, UsageError
from trio_egress.integrations.github.check import check_policy
from trio_egress.integrations.github.inputs import Inputs, read_inputs, strip_inputs
from trio_egress.integrations.github.outputs import TITLE, quiet, say, say_command, write_outputs
from trio_egress.integrations.github.way import Way, find_way

INTERRUPTED = 130

OUTPUTS = {
    "audit-packet-path": "evidence",
    "packet-sha256": "manifest_sha256",
    "receipt-count": "receipts",
    "denied-count": "denied",
    "verifier-verdict": "verdict",
}
"""Each output, and what it is in the run's status."""

Status = Mapping[str, object]


def main() -> int:
    """The step's exit code."""
    environment = dict(os.environ)
    status: Status = {}
    try:
        if reason := explain_absence(sys.platform):
            raise SandboxError(reason)
        inputs = read_inputs(environment)
        for line in inputs.key_text.splitlines()[1:]:  # the first says only that it is a key
            if not line.startswith("-----"):
                say_command("add-mask", line)
        os.chdir(inputs.directory)
        check_policy(inputs, environment)
        way = find_way(environment)
        say(f"the sandbox is built {way.words}")
        code, status = _run(inputs, way, environment)
    except PolicyError:  # each problem was printed, and is an annotation at its line
        code = REFUSED
    except KeyboardInterrupt:
        code = INTERRUPTED
    except TrioEgressError as error:
        say_command("error", str(error), title=TITLE)
        code = REFUSED
    outputs = {name: status.get(fact) for name, fact in OUTPUTS.items()}
    write_outputs(environment, {**outputs, "exit-code": code})
    return code


def _run(inputs: Inputs, way: Way, environment: Mapping[str, str]) -> tuple[int, Status]:
    with _open_folder(environment) as folder:
        command = [
            *way.prefix,
            *(sys.executable, "-I", "-m", "trio_egress", "run"),
            *_list_options(inputs, way, folder, environment),
            *("--", *inputs.command),
        ]
        if inputs.debug:
            say(f"Python {sys.version.split()[0]}, uid {os.getuid()}, in {inputs.directory}")
            say(f"options: {_list_options(inputs, way, folder, environment)}")
        with quiet():
            code = _wait(command, strip_inputs(environment))
        status = _read_status(folder / "status.json")
        with suppress(OSError):
            sys.stdout.write((folder / "annotations").read_text("ascii", "replace"))
        _say_end(code, status)
        return code, status


def _list_options(inputs: Inputs, way: Way, folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Each with its value in one argument: no value is taken for an option."""
    summary = environment.get("GITHUB_STEP_SUMMARY") if inputs.summary else None
    named: dict[str, object] = {
        "policy": inputs.policy and os.path.relpath(inputs.policy, inputs.directory),
        "mode": "observe" if inputs.observing else "enforce",
        "agent": inputs.agent,
        "key": _place_key(inputs, way, folder),
        "evidence": inputs.packet,
        "fail-on": ",".join(inputs.fail_on),
        "sarif": inputs.sarif,
        "summary": summary,
        "annotations": folder / "annotations",
        "status-file": folder / "status.json",
    }
    options = [f"--{name}={value}" for name, value in named.items() if value]
    options += [f"--allow={destination}" for destination in inputs.allow]
    return [*options, *(f"--public-key={key}" for key in inputs.public_keys), "--verify"]


def _place_key(inputs: Inputs, way: Way, folder: Path) -> Path | None:
    """Where the run finds the key. By sudo the agent is this user, whose key it must not be."""
    place = folder / "key"
    if not inputs.key_text or place.exists():
        return place if inputs.key_text else inputs.key_file
    text = inputs.key_text.encode()
    if way.by_sudo:
        store = ["sudo", "-n", "--", "sh", "-c", 'umask 077 && cat >"$1"', "sh", str(place)]
        done = subprocess.run(store, input=text, capture_output=True, check=False)
        if done.returncode:
            raise UsageError("private-key: sudo could not store it")
    else:
        place.touch(mode=0o600)
        place.write_bytes(text)
    return place


@contextmanager
def _open_folder(environment: Mapping[str, str]) -> Iterator[Path]:
    above = environment.get("RUNNER_TEMP") or None
    folder = Path(tempfile.mkdtemp(prefix="trio-egress-run-", dir=above))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(command: list[str], environment: Mapping[str, str]) -> int:
    """The exit code of the run. Signals are the run's: GitHub sends SIGINT, and SIGTERM 7.5 s later, to end a step."""
    before = {}
    waiting: list[int] = []
    started: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _: object) -> None:
        for process in started:
            process.send_signal(number)
        if not started:
            waiting.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        before[number] = signal.signal(number, pass_on)
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, env=dict(environment)
        )
        started.append(process)
        for early in waiting:
            process.send_signal(early)
        code = process.wait()
    except OSError as error:
        raise SandboxError(f"cannot start {command[0]}: {error.strerror}") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _read_status(path: Path) -> Status:
    try:
        status = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def _say_end(code: int, status: Status) -> None:
    if message := status.get("message"):
        say_command("error", str(message), title=TITLE)
    failed_on = status.get("failed_on")
    if isinstance(failed_on, list) and failed_on and code:
        say_command("error", f"fail-on: {', '.join(map(str, failed_on))}", title=TITLE)
    if code == REFUSED and not status:
        say_command("error", "trio-egress refused to run: the log says why", title=TITLE)
    packet = status.get("evidence")
    if packet:
        words = f"{status.get('denied')} denied, {status.get('receipts')} receipts, {status.get('verdict')}"
        say(f"{words}; the Audit Packet is {packet}")
