"""Real runs of the command line: a place to run in, a run that goes on, and what is left of one that is over.

A run is a process here and its evidence is a file; of the package only keys and verifier are used.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from trio_egress.evidence.sign import SigningKey, generate, render_private_key
from trio_egress.review import review

PATIENCE_SECONDS = 120.0
"""The longest that a test waits for anything, on a machine with much else to do; none comes near it when it passes."""

DENIAL_SECONDS = 20.0
"""A denial is told at once, never by the time-out of a connection (127 s); bench measures how fast."""

POLICY_HEAD = 'version = "1.0"\ndefault_deny = true\n'
PROXY = "http://127.0.0.1:8888"
AS_ROOT = os.geteuid() == 0
AGENT = pwd.getpwnam("nobody") if AS_ROOT else pwd.getpwuid(os.geteuid())
"""Whom the agent runs as."""

SEEN = "/srv" if AS_ROOT else AGENT.pw_dir
"""Where an agent can see what a test puts there: its /tmp is one of its own."""

PATHS = {name: os.path.abspath(os.environ[name]) for name in ("PYTHONPATH",) if os.environ.get(name)}
"""What is relative to the tree, made to hold in another directory."""

TRUST = re.compile(
    r"PIP_.*|.*(_cafile|_CAFILE|_CA_BUNDLE|_CA_CERTS|_CA_CERTS_FILE|_ROOTS_FILE_PATH|_CAINFO|SSL_CERT_FILE|SSL_CERT_DIR)"
)
"""Settings of this machine that would decide which certificates and indexes a program of a test believes."""

ENVIRONMENT = {k: v for k, v in {**os.environ, **PATHS}.items() if not TRUST.fullmatch(k)}
"""What runs are started with."""

TIMED = 'start=$EPOCHREALTIME; "$@"; code=$?; end=$EPOCHREALTIME; echo $((${end/./} - ${start/./})) >took; exit $code'
"""A shell that leaves the microseconds that its command took in the file `took`."""


def write_policy(*destinations: str, pins: Mapping[str, str] | None = None, more: str = "") -> str:
    """A policy that allows `destinations`, with `more` tables, and with `pins` as its `[resolve]`."""
    rules = "".join(f'[[egress]]\ndestination = "{destination}"\n' for destination in destinations)
    resolve = "".join(f'"{name}" = "{endpoint}"\n' for name, endpoint in (pins or {}).items())
    return f"{POLICY_HEAD}{rules}{more}\n[resolve]\n{resolve}"


def wait_until(condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Look again until it holds; TimeoutError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still not after {seconds:g} s: {what}")
        time.sleep(0.005)


@attrs.frozen
class Receipt:
    """One line of the evidence that is not about the session itself."""

    verdict: str
    phase: str
    transport: str
    target: str
    method: str
    layer: str
    action_id: str
    facts: Mapping[str, Any]

    @property
    def reason(self) -> str:
        return str(self.facts.get("reason", ""))

    @property
    def up(self) -> int:
        count: int = self.facts["bytes_up"]
        return count

    @property
    def down(self) -> int:
        count: int = self.facts["bytes_down"]
        return count


def read_lines(evidence: Path) -> list[dict[str, Any]]:
    """Every whole line of the evidence."""
    lines = (evidence / "evidence.jsonl").read_bytes().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith(b"\n")]


def read_receipts(evidence: Path) -> list[Receipt]:
    """The receipts of attempts, without those of the session."""
    receipts = []
    for line in read_lines(evidence):
        record = line["action_record"]
        if record["transport"] not in ("receipt_session", "policy"):
            phase, method, layer = (record.get(name, "") for name in ("decision_phase", "method", "layer"))
            facts = line.get("ext", {}).get("trio_egress", {})
            verdict, transport, target = record["verdict"], record["transport"], record["target"]
            receipts.append(
                Receipt(verdict, phase, transport, target, method, layer, record["action_id"], facts)
            )
    return receipts


def verify(evidence: Path, key: str) -> int:
    """Our verifier's exit code, with the key pinned, and with every attempt decided again."""
    report = review(evidence, [key])
    print(*report.findings, sep="\n")  # for whoever reads of a failure
    return report.exit_code


@attrs.frozen
class Ended:
    """A run that is over. `peak_kib` is the most memory that the supervisor ever had."""

    code: int
    out: bytes
    err: str
    evidence: Path
    key: str
    peak_kib: int
    status_file: Path
    work: Path

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def took(self) -> float:
        """Seconds of the command that ran as TIMED."""
        return int((self.work / "took").read_text()) / 1e6

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.status_file.read_text())
        return status

    @property
    def receipts(self) -> list[Receipt]:
        return read_receipts(self.evidence)

    @property
    def blocks(self) -> list[Receipt]:
        """What was denied, without the names that the DNS stub refused."""
        return [r for r in self.receipts if r.verdict == "block" and r.transport != "dns"]

    @property
    def queries(self) -> list[Receipt]:
        return [r for r in self.receipts if r.transport == "dns"]

    @property
    def outcomes(self) -> list[Receipt]:
        """The outcome of each allowed attempt, having checked that exactly one intent goes before it and agrees."""
        intents: dict[str, Receipt] = {}
        outcomes = []
        for receipt in self.receipts:
            if receipt.phase == "intent":
                assert receipt.action_id not in intents
                intents[receipt.action_id] = receipt
            elif receipt.phase == "outcome":
                intent = intents.pop(receipt.action_id)
                assert (intent.target, intent.transport, intent.verdict) == (
                    receipt.target,
                    receipt.transport,
                    "allow",
                )
                outcomes.append(receipt)
        assert not intents, "an intent without its outcome"
        return outcomes

    @property
    def outcome(self) -> Receipt:
        """The only one."""
        (only,) = self.outcomes
        return only

    @property
    def block(self) -> Receipt:
        """The only one."""
        (only,) = self.blocks
        return only

    @property
    def counters(self) -> dict[str, int]:
        """Packets by kind, as the close receipt tells them."""
        counters = read_lines(self.evidence)[-1]["ext"]["trio_egress"]["counters"]
        return {name: pair[0] for name, pair in counters.items()}

    def verify(self) -> int:
        return verify(self.evidence, self.key)

    def verify_by_command(self, *more: str) -> int:
        """The same by the command line."""
        return _run("trio_egress", "verify", str(self.evidence), "--public-key", self.key, *more)

    def verify_foreign(self, *more: str) -> int:
        """The exit code of a verifier that no one here wrote, with the key pinned."""
        evidence = str(self.evidence / "evidence.jsonl")
        return _run("pipelock_verify", "--key", self.key, "--mode", "chain", *more, evidence)


def _run(module: str, *arguments: str) -> int:
    command = [sys.executable, "-m", module, *arguments]
    ran = subprocess.run(command, capture_output=True, env=ENVIRONMENT, check=False, timeout=PATIENCE_SECONDS)
    return ran.returncode


def ours(word: str) -> str:
    """An argument that nobody else's processes have: the same tests may run beside these, as another user."""
    return f"{word}.{os.getpid()}"


def find_processes(word: str) -> list[int]:
    """The processes of this machine, in whatever namespace, that have `word` among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().split(b"\0")
        except OSError:  # ended meanwhile
            continue
        if word.encode() in arguments:
            found.append(int(path.parent.name))
    return found


def read_peak(pid: int) -> int:
    """The most memory that a process ever had, in KiB; 0 when it is gone."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) if found else 0


class Started:
    """A run that goes on. `wait`, or the place's end, leaves no process of it."""

    def __init__(self, process: subprocess.Popen[bytes], place: Place, number: int) -> None:
        self.process = process
        self.pid = process.pid
        self.place = place
        self.evidence = place.path / f"evidence-{number}"
        self.out = place.path / f"out-{number}"
        self.err = place.path / f"err-{number}"
        self.status_file = place.path / f"status-{number}"
        self._peak_kib = 0

    def send(self, number: signal.Signals) -> None:
        """A signal to the supervisor."""
        os.kill(self.pid, number)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> Ended:
        """Until it has ended by itself; killed, and TimeoutError, when that takes longer than `seconds`."""
        try:
            self._await_end(seconds)
        finally:
            self.kill()
        err = self.err.read_text(errors="replace")
        print(err)  # for whoever reads of a failure
        return Ended(
            code=self.process.returncode,
            out=self.out.read_bytes(),
            err=err,
            evidence=self.evidence,
            key=self.place.key.public_hex,
            peak_kib=self._peak_kib,
            status_file=self.status_file,
            work=self.place.work,
        )

    def _await_end(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        descriptor = os.pidfd_open(self.pid)
        try:
            # Not ru_maxrss: that one is never less than the memory of whoever started it.
            while not select.select([descriptor], [], [], 0.05)[0]:
                self._peak_kib = read_peak(self.pid) or self._peak_kib
                if time.monotonic() > deadline:
                    err = self.err.read_text(errors="replace")
                    raise TimeoutError(f"the run has not ended after {seconds:g} s: {err}")
        finally:
            os.close(descriptor)
        self.process.wait()

    def kill(self) -> None:
        if self.process.returncode is None:
            print(
                self.err.read_text(errors="replace")
            )  # for whoever reads of a failure: nobody has waited for it
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


class Place:
    """A directory of one test: `work` is the agent's own, everything else it can enter but not change."""

    def __init__(self, above: str = SEEN) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="trio-egress-test-", dir=above))
        self.path.chmod(0o755)
        self.work = self.path / "work"
        self.work.mkdir()
        os.chown(self.work, AGENT.pw_uid, AGENT.pw_gid)
        self.key: SigningKey = generate(os.urandom(32))
        self.key_file = self.path / "key"
        self.key_file.touch(0o600)
        self.key_file.write_bytes(render_private_key(self.key))
        self.keyed = True
        """Whether a run is given the key; else it is told of a signer by its `options`."""

        self._started: list[Started] = []

    def start(
        self,
        policy: str,
        *command: str | Path,
        options: Sequence[str] = (),
        stdin: int = subprocess.DEVNULL,
        environment: Mapping[str, str] | None = None,
        how: str = "run",
        **popen: Any,
    ) -> Started:
        """Start a run of `command` in `work`, by our command `how`. `environment` is added to ours; `popen` replaces
        what Popen is told."""
        number = len(self._started)
        (self.path / f"policy-{number}.toml").write_text(policy)
        # Streams are files, so that no one has to read while it runs.
        with (self.path / f"out-{number}").open("xb") as out, (self.path / f"err-{number}").open("xb") as err:
            process = subprocess.Popen(
                [*self.program(how, number), *options, "--", *map(str, command)],
                **{
                    "cwd": self.work,
                    "stdin": stdin,
                    "stdout": out,
                    "stderr": err,
                    "env": {**ENVIRONMENT, **(environment or {})},
                    **popen,
                },
            )
        started = Started(process, self, number)
        self._started.append(started)
        return started

    def program(self, command: str, number: int) -> list[str]:
        """`trio-egress run` with this place's files, up to its own options."""
        files = {
            "--policy": f"policy-{number}.toml",
            "--evidence": f"evidence-{number}",
            "--status-file": f"status-{number}",
            **({"--key": "key"} if self.keyed else {}),
        }
        arguments = [word for name, file in files.items() for word in (name, str(self.path / file))]
        return [sys.executable, "-m", "trio_egress", command, *arguments]

    def run(self, policy: str, *command: str | Path, **more: Any) -> Ended:
        """A whole run."""
        return self.start(policy, *command, **more).wait()

    def run_timed(self, policy: str, *command: str | Path, **more: Any) -> Ended:
        """A whole run whose `took` is the command's own time."""
        return self.run(policy, "bash", "-c", TIMED, "timed", *command, **more)

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        """A file that the agent can read."""
        path = self.path / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def close(self) -> None:
        for started in self._started:
            started.kill()
        wait_until(lambda: remove_tree(self.path), "an end of what a run writes whose program is gone")


def remove_tree(path: Path) -> bool:
    """False where somebody made or moved something in it meanwhile."""
    try:
        shutil.rmtree(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise
    return not path.exists()
