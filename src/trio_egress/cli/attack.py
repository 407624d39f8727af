"""`trio-egress doctor --attack`: every attack of kernel/attacks.py inside a real run, and a table of what came of it.

The run is one that anybody could start, in a process of its own; the attacking program comes by standard input, so no
user needs a right to read it. It is then started once more without a sandbox, for the attacks that harm nobody.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import attrs

from trio_egress.attack.judgement import Row, judge_longer, judge_start, render_rows
from trio_egress.attack.network import FLOOD, FLOOD_PORT, OUTSIDE_V4
from trio_egress.attack.outside import SYSTEM_PATH, Stage, open_stage
from trio_egress.cli.demo import find_python
from trio_egress.cli.exits import REFUSED
from trio_egress.cli.paint import is_coloured
from trio_egress.errors import SandboxError, TrioEgressError
from trio_egress.evidence.sign import SigningKey, generate, render_private_key
from trio_egress.evidence.verify import verify
from trio_egress.kernel.attacks import ATTACKS
from trio_egress.kernel.calls import MACHINES
from trio_egress.kernel.calls import REFUSED as REFUSED_CALLS
from trio_egress.kernel.identity import Identities, find_identities
from trio_egress.kernel.posture import find_wrong
from trio_egress.values import frozen

HOLE = 1
EVIDENCE = "evidence"
RUN_SECONDS = 300
SHORT_BYTES = 50
FLOODED = (f"udp://{OUTSIDE_V4}:{FLOOD_PORT}", "udp:many")
PROGRAM = (
    *("kernel/syscalls.py", "attack/tries.py", "attack/network.py", "attack/places.py", "attack/boundary.py"),
    "attack/program.py",
)
"""In the order in which they import each other."""

POLICY = """version = "1.0"
default_deny = true
[[egress]]
destination = "allowed.example"
[limits]
processes = 100
open_files = 256
[resolve]
"allowed.example:80" = "127.0.0.1:{port}"
"""


@frozen
class Pass:
    """What one pass of the attacking program said, by row, and what the canaries saw of it."""

    answers: Mapping[str, str]
    found: Mapping[str, str]


@frozen
class Outcome:
    """`trouble`: why the refusals prove nothing; empty where they do."""

    rows: Sequence[Row]
    verdict: str
    trouble: str = ""

    @property
    def holds(self) -> bool:
        return not self.trouble and all(row.refused for row in self.rows)


def main(options: argparse.Namespace) -> int:
    """0: all refused. 1: a hole, or refusals that prove nothing. 125: no sandbox."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends it, what it started is ended
    try:
        with ExitStack() as stack:
            made = tempfile.TemporaryDirectory(prefix="trio-egress-attack-", dir=_find_short_directory())
            scratch = Path(stack.enter_context(made))
            scratch.chmod(0o755)
            identities = find_identities(options.user, os.environ, options.proxy_user)
            outcome = _attack(scratch, identities, _name_users(options))
    except TrioEgressError as error:
        print(f"trio-egress doctor: {error}", file=sys.stderr)
        return REFUSED
    _tell(outcome, as_json=options.json)
    return 0 if outcome.holds else HOLE


def _name_users(options: argparse.Namespace) -> list[str]:
    """The same users for the run."""
    named = {"--user": options.user, "--proxy-user": options.proxy_user}
    return [f"{option}={user}" for option, user in named.items() if user is not None]


def _attack(scratch: Path, identities: Identities, users: Sequence[str]) -> Outcome:
    evidence, key = scratch / EVIDENCE, generate(os.urandom(32))
    with open_stage(scratch / "inside", identities, whole=True) as stage:
        ran = _run_inside(scratch, stage, key, identities, users)
        inside = Pass(_read_answers(ran.stdout), stage.find())
    posture = _read_posture(evidence)
    started = judge_start(posture, find_wrong(posture)) if posture else []
    if ran.returncode == REFUSED and not any(not row.refused for row in started):
        raise SandboxError(
            ran.stderr.strip().removeprefix("trio-egress: ") or "the run was refused, and said nothing"
        )
    if ran.returncode == REFUSED:
        return Outcome(started, "nothing else was tried: no agent runs in such a sandbox")
    with open_stage(scratch / "outside", identities, whole=False) as stage:
        outside = Pass(_read_answers(_run_outside(stage, identities)), stage.find())
    report = verify(evidence, [key.public_hex])
    answers = {**inside.answers, "receipts": _judge_receipts(evidence, trusted=report.trusted)}
    longer = judge_longer(answers, inside.found, outside.answers, outside.found)
    verdict = f"packet {report.verdict.value.upper()}, {report.receipt_count} receipts"
    return Outcome(_in_order([*started, *longer]), verdict, _find_trouble(ran, inside))


def _find_short_directory() -> str:
    """A Unix socket's path has at most 107 bytes (`man 7 unix`)."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) < SHORT_BYTES else "/tmp"  # noqa: S108  a new one is made in it


def _run_inside(
    scratch: Path, stage: Stage, key: SigningKey, identities: Identities, users: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    policy, secret, evidence = scratch / "attack.toml", scratch / "attack.key", scratch / EVIDENCE
    policy.write_text(POLICY.format(port=stage.allowed_port), "utf-8")
    secret.touch(mode=0o600)
    secret.write_bytes(render_private_key(key))
    options = [
        "--quiet",
        f"--timeout={RUN_SECONDS}",
        f"--policy={policy}",
        f"--evidence={evidence}",
        f"--key={secret}",
        *users,
    ]
    hidden = [str(secret), str(evidence / "evidence.jsonl"), str(evidence)]
    rows = [row.name for row in ATTACKS if not row.at_start and row.name != "receipts"]
    targets = {**stage.describe(hidden), "rows": rows, "allowed": True, "calls": _list_calls()}
    found = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return subprocess.run(
        [sys.executable, "-m", "trio_egress", "run", *options, "--", find_python(identities), "-I", "-"],
        input=_render_program(),
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        cwd=stage.work,
        env={**os.environ, **stage.environment, "PYTHONPATH": found, "TARGETS": json.dumps(targets)},
        check=False,
    )


def _run_outside(stage: Stage, identities: Identities) -> str:
    """The controls, as the agent's user, with neither namespaces nor filter nor proxy."""
    as_agent: dict[str, Any] = {}
    if identities.root:
        as_agent = {"user": identities.agent.uid, "group": identities.agent.gid, "extra_groups": []}
    rows = [row.name for row in ATTACKS if row.control]
    targets = {**stage.describe([]), "rows": rows, "allowed": False, "calls": {}}
    ran = subprocess.run(
        [find_python(identities), "-I", "-"],
        input=_render_program(),
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        cwd=stage.work,
        env={"PATH": SYSTEM_PATH, **stage.environment, "TARGETS": json.dumps(targets)},
        check=False,
        timeout=RUN_SECONDS,
        **as_agent,
    )
    text: str = ran.stdout
    return text


def _render_program() -> str:
    """The modules of the attacking program as one text for an interpreter that may read nothing of ours."""
    package = files("trio_egress")
    names = {path: f"trio_egress.{path.removesuffix('.py').replace('/', '.')}" for path in PROGRAM}
    sources = {names[path]: package.joinpath(path).read_text("utf-8") for path in PROGRAM}
    return f"""import sys, types
for package in ("trio_egress", "trio_egress.kernel", "trio_egress.attack"):
    sys.modules[package] = types.ModuleType(package)
    sys.modules[package].__path__ = []
for name, source in {sources!r}.items():
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
    package, _, short = name.rpartition(".")
    setattr(sys.modules[package], short, module)
module.main()
"""


def _list_calls() -> dict[str, int]:
    """The system calls that are refused, by their numbers on this machine."""
    column = MACHINES[platform.machine()].column
    return {
        name: number for name, numbers in REFUSED_CALLS.items() if (number := numbers[column]) is not None
    }


def _read_answers(text: str) -> dict[str, str]:
    """What the program said: its lines alone. A line that is none of them is the agent's, and says nothing."""
    answers = {}
    for line in text.splitlines():
        with suppress(ValueError, KeyError, TypeError):
            told = json.loads(line)
            answers[str(told["row"])] = str(told["answer"])
    return answers


def _read_posture(evidence: Path) -> dict[str, str]:
    try:
        probes: dict[str, str] = json.loads((evidence / "posture.json").read_bytes())["probes"]
    except (OSError, ValueError, KeyError):
        return {}
    return probes


def _judge_receipts(evidence: Path, *, trusted: bool) -> str:
    """Whether every datagram of the flood is counted, in a packet whose books balance.

    What the kernel's log had no room for is told as a sum, from the kernel's counter.
    """
    if not trusted:
        return "the packet is not valid"
    counted = 0
    for line in (evidence / "evidence.jsonl").read_text("ascii").splitlines():
        receipt = json.loads(line)
        if receipt["action_record"]["target"] in FLOODED:
            counted += int(receipt["ext"]["trio_egress"]["count"])
    return "recorded" if counted >= FLOOD else f"{counted} of {FLOOD} datagrams are in receipts"


def _find_trouble(ran: subprocess.CompletedProcess[str], inside: Pass) -> str:
    """Why the refusals prove nothing: the attacks did not come to their end, or the network was dead anyway."""
    if ran.returncode != 0:
        return f"the run ended with {ran.returncode}, not with 0: {ran.stderr.strip()}"
    if inside.answers.get("allowed") != "reached":
        return f"what the policy allows was not reached either: {inside.answers.get('allowed', 'nothing was said')}"
    return ""


def _in_order(rows: Sequence[Row]) -> list[Row]:
    places = {attack.name: number for number, attack in enumerate(ATTACKS)}
    return sorted(rows, key=lambda row: places[row.name])


def _tell(outcome: Outcome, *, as_json: bool) -> None:
    holes = [row for row in outcome.rows if not row.refused]
    if as_json:
        document = {
            "version": 1,
            "holds": outcome.holds,
            "trouble": outcome.trouble,
            "packet": outcome.verdict,
            "attacks": [attrs.asdict(row) for row in outcome.rows],
        }
        print(json.dumps(document, indent=2))
        return
    colour = is_coloured(sys.stdout, os.environ)
    print(render_rows(outcome.rows, colour=colour), end="")
    print(f"{len(outcome.rows)} attacks, {len(outcome.rows) - len(holes)} refused; {outcome.verdict}")
    if holes:
        print(f"HOLE: {', '.join(row.name for row in holes)}; please report it as SECURITY.md says")
    if outcome.trouble:
        print(f"NOT PROVEN: {outcome.trouble}")
