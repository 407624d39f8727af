"""`trio-egress demo`: the main job on an embedded default, in front of your eyes.

It makes upstreams, a key and a policy, starts `trio-egress run` with a sample agent as anybody would, verifies the
packet with that key, and lays what the agent saw beside what the receipts say. It needs no internet.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path

from trio_egress.cli.exits import NOT_EXECUTABLE, NOT_FOUND, REFUSED
from trio_egress.cli.fold import find_columns
from trio_egress.cli.paint import is_coloured
from trio_egress.demo.claims import Row, compare, find_strays, parse_lines
from trio_egress.demo.table import WIDEST, render_table, render_verdict
from trio_egress.demo.upstreams import Upstreams, open_upstreams
from trio_egress.errors import TrioEgressError
from trio_egress.evidence.report import Report
from trio_egress.evidence.sign import SigningKey, generate, render_private_key
from trio_egress.evidence.verify import verify
from trio_egress.kernel.identity import Identities, find_identities
from trio_egress.pages.write import REPORT_NAME
from trio_egress.values import frozen

NOT_AS_EXPECTED = 1
INTERRUPTED = 130
RUN_SECONDS = 30
PYTHONS = (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3")


@frozen
class Outcome:
    """What the run left: the agent's words and the evidence beside them, and what is wrong apart from the rows."""

    rows: Sequence[Row]
    faults: Sequence[str]
    reached: int
    report: Report

    @property
    def as_expected(self) -> bool:
        return self.report.trusted and not self.faults and not any(r.faults for r in self.rows)


def main(options: argparse.Namespace) -> int:
    """0: all as expected, and the packet is valid. 1: something was not. 125: this machine allows no sandbox."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends it, what it started is ended
    try:
        return _demonstrate(options.evidence, _tell_json if options.json else _tell)
    except TrioEgressError as error:
        print(f"trio-egress demo: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("trio-egress demo: interrupted", file=sys.stderr)
        return INTERRUPTED


def _demonstrate(directory: str | None, tell: Callable[[Outcome, Path, SigningKey], None]) -> int:
    with ExitStack() as undo:
        if directory is None:
            directory = tempfile.mkdtemp(prefix="trio-egress-audit-")
            undo.callback(shutil.rmtree, directory)
        evidence = Path(directory).absolute()
        key = generate(os.urandom(32))
        ran, upstreams = _serve_and_run(evidence, key)
        if ran.returncode != REFUSED:
            undo.pop_all()  # there is something to see in it
    if ran.returncode != 0:
        return _tell_failure(ran, evidence)
    outcome = _examine(ran.stdout, evidence, key, upstreams)
    tell(outcome, evidence, key)
    return 0 if outcome.as_expected else NOT_AS_EXPECTED


def _serve_and_run(evidence: Path, key: SigningKey) -> tuple[subprocess.CompletedProcess[str], Upstreams]:
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trio-egress-demo-")))
        upstreams = stack.enter_context(open_upstreams(scratch))
        return _run_agent(scratch, evidence, key, upstreams), upstreams


def _run_agent(
    scratch: Path, evidence: Path, key: SigningKey, upstreams: Upstreams
) -> subprocess.CompletedProcess[str]:
    """`trio-egress run`, in a process of its own: as root it gives its privileges up, and the packet is read here."""
    policy, secret = scratch / "demo.toml", scratch / "demo.key"
    policy.write_text(_render_policy(upstreams), "utf-8")
    secret.touch(mode=0o600)
    secret.write_bytes(render_private_key(key))
    options = ["--quiet", f"--timeout={RUN_SECONDS}"]
    options += [f"--policy={policy}", f"--evidence={evidence}", f"--key={secret}"]
    python = find_python(find_identities(None, os.environ))
    agent = files("trio_egress.demo").joinpath("agent.py")
    # The agent's program comes by standard input and its working directory is /: no user needs a right for that.
    return subprocess.run(
        [sys.executable, "-m", "trio_egress", "run", *options, "--", python, "-I", "-"],
        input=agent.read_text("utf-8"),
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        cwd="/",
        env=_make_environment(os.environ, upstreams),
        check=False,
    )


def _make_environment(environment: Mapping[str, str], upstreams: Upstreams) -> dict[str, str]:
    # Where this program was found must hold from / as well: a PYTHONPATH may be relative.
    found = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)
    return {**environment, "PYTHONPATH": found, "DEMO_CA": upstreams.certificate}


def _render_policy(upstreams: Upstreams) -> str:
    text = files("trio_egress.demo").joinpath("policy.toml").read_text("utf-8")
    return text.replace("$https_port", str(upstreams.https_port)).replace(
        "$http_port", str(upstreams.http_port)
    )


def find_python(identities: Identities, candidates: Sequence[str] = PYTHONS) -> str:
    """An interpreter that the agent's user can start; as root that is tried, since ours may be in a private home.

    Where none is found, `run` says better why.
    """
    if not identities.root:
        return candidates[0]
    agent = identities.agent
    for python in candidates:
        try:
            tried = subprocess.run(
                [python, "-I", "-c", "import ssl"],
                user=agent.uid,
                group=agent.gid,
                extra_groups=[],
                cwd="/",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            continue
        if tried.returncode == 0:
            return python
    return candidates[0]


def _tell_failure(ran: subprocess.CompletedProcess[str], evidence: Path) -> int:
    """What `trio-egress run` said, as it said it."""
    sys.stderr.write(ran.stderr)
    if ran.returncode in (NOT_EXECUTABLE, NOT_FOUND):
        hint = f"its agent is a Python program, and the agent's user can start none of {', '.join(PYTHONS)}"
    elif ran.returncode != REFUSED:
        hint = f"the run ended with {ran.returncode}, not with 0; what it recorded is in {evidence}"
    elif "trio-egress doctor" not in ran.stderr:
        hint = "nothing has run; `trio-egress doctor` says what this machine lacks, and its cure"
    else:
        hint = "nothing has run"
    print(f"trio-egress demo: {hint}", file=sys.stderr)
    return ran.returncode


def _examine(said: str, evidence: Path, key: SigningKey, upstreams: Upstreams) -> Outcome:
    report = verify(evidence, [key.public_hex])
    receipts = []
    if report.trusted:  # a packet that does not hold together says nothing
        receipts = parse_lines((evidence / "evidence.jsonl").read_text("ascii"))
    rows = compare(parse_lines(said), receipts)
    faults = [*find_strays(upstreams.reached), *(finding.message for finding in report.findings)]
    return Outcome(rows, faults, len(upstreams.reached), report)


def _tell_json(outcome: Outcome, evidence: Path, key: SigningKey) -> None:
    rows = [
        {
            "tried": row.claim.words,
            "saw": row.saw,
            "verdict": row.verdict,
            "reason": row.reason,
            "faults": row.faults,
        }
        for row in outcome.rows
    ]
    told = {
        "as_expected": outcome.as_expected,
        "attempts": rows,
        "faults": outcome.faults,
        "reached": outcome.reached,
        "verdict": outcome.report.verdict.value,
        "receipts": outcome.report.receipt_count,
        "packet": str(evidence),
        "public_key": key.public_hex,
    }
    print(json.dumps(told, indent=2))


def _tell(outcome: Outcome, evidence: Path, key: SigningKey) -> None:
    colour = is_coloured(sys.stdout, os.environ)
    report = outcome.report
    held = sum(not row.faults for row in outcome.rows)
    print(render_table(outcome.rows, colour=colour, columns=find_columns() or WIDEST))
    for fault in outcome.faults:
        print(render_verdict(f"NOT AS EXPECTED: {fault}", good=False, colour=colour))
    summary = (
        f"{held} of {len(outcome.rows)} as expected; {outcome.reached} requests reached the upstreams; "
        f"packet {report.verdict.value.upper()}, {report.receipt_count} receipts"
    )
    print(render_verdict(summary, good=outcome.as_expected, colour=colour))
    print(f"""
The Audit Packet: {evidence}
Look at it:       {(evidence / REPORT_NAME).as_uri()}
Verify it again:  trio-egress verify {shlex.quote(str(evidence))} \\
                      --public-key {key.public_hex}
Next:             trio-egress init
                  trio-egress run -- ./your-agent.sh""")
