"""What security costs, beside what a user could pick instead: `python -m bench [WORKLOAD …]`, or `nox -s bench`.

Each workload against ourselves with durable, signed receipts, against each peer that can be had, and direct; all take
turns, for several rounds. Writes results.json, table.md and report.html, and prints the table. Everything is on
loopback, and what it starts it ends. `python -m bench PART [ARGUMENT …]` runs one of the older parts instead.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.figures import Figure, Measured, render_json, render_page, render_table  # noqa: E402
from bench.installs import NotHad  # noqa: E402
from bench.peers import PEERS, START_UPS, find_path, own_user  # noqa: E402
from bench.subjects import DIRECT, OURS, Inside, Outside, Subject, open_peer  # noqa: E402
from bench.upstream import Upstream, open_upstream  # noqa: E402
from bench.workloads import SHORT, WORKLOADS, Figures, Scale, Workload, measure_start  # noqa: E402
from tests.runs.launch import SEEN, Place  # noqa: E402

PARTS = {
    "alarms": "how often scanning is wrong",
    "decide": "one decision, by number of rules",
    "evidence": "receipts written and verified, beside PyNaCl and pipelock-verify",
    "gibibyte": "a gibibyte each way, looked through",
    "interception": "HTTP/1.1 and HTTP/2 inside of TLS",
    "load": "loading a policy, by number of rules",
    "pages": "the pages of a packet",
    "parse": "first bytes of a connection, and DNS",
    "receipts": "the two receipts of an attempt, by the recorder as it is",
    "scan": "looking through messages",
    "soak": "an hour of everything at once",
    "websocket": "a WebSocket through the relay",
}
"""Modules beside this one, each with arguments of its own."""

SHORT_WORKLOADS = ("keepalive", "setups", "latency")


def build_parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:14} {each.title}" for name, each in WORKLOADS.items())
    parts = "\n".join(f"  {name:14} {told}" for name, told in PARTS.items())
    parser = argparse.ArgumentParser(
        "python -m bench",
        description=__doc__,
        epilog=f"workloads:\n{listed}\n\nparts:\n{parts}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="those to run; all without any")
    parser.add_argument(
        "--peers", default=",".join(PEERS), help="which, with commas between; `none` for nobody"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often everyone has its turn (default: 3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of one load (default: 3)")
    parser.add_argument("--requests", type=int, default=100_000, help="of the longest load (default: 100000)")
    parser.add_argument(
        "--short", action="store_true", help="ourselves and direct alone, some seconds in all"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("build/bench"), help="directory (default: build/bench)"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in PARTS:
        sys.argv = [f"bench/{arguments[0]}.py", *arguments[1:]]
        runpy.run_module(f"bench.{arguments[0]}", run_name="__main__")
        return 0
    parser = build_parser()
    told = parser.parse_args(arguments)
    chosen = told.workloads or list(SHORT_WORKLOADS if told.short else WORKLOADS)
    peers = [] if told.short or told.peers == "none" else told.peers.split(",")
    if unknown := [*(set(chosen) - WORKLOADS.keys()), *(set(peers) - PEERS.keys())]:
        parser.error(f"no such workload or peer: {', '.join(sorted(unknown))}")
    scale = SHORT if told.short else Scale(seconds=told.seconds, requests=told.requests)
    rounds = 1 if told.short else told.rounds
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))  # a thousand connections, twice
    os.umask(0o022)
    measured = []
    with tempfile.TemporaryDirectory(dir=SEEN, prefix="trio-egress-bench-") as folder, ExitStack() as stack:
        base = Path(folder)
        base.chmod(0o755)
        (base / "upstream").mkdir()
        upstream = stack.enter_context(open_upstream(base / "upstream"))
        for name in chosen:
            (base / name).mkdir()
            measured.append(run_workload(name, upstream, base / name, peers, rounds, scale))
            write(told.output, measured, describe(rounds, scale))  # what there is, should it be ended
    print(render_table(measured), end="")
    return 0


def describe(rounds: int, scale: Scale) -> dict[str, Any]:
    git = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit or "unknown",
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "rounds": rounds,
        "seconds": scale.seconds,
        "load": [round(part, 2) for part in os.getloadavg()],
    }


def write(output: Path, measured: Sequence[Measured], about: dict[str, Any]) -> None:
    output.mkdir(parents=True, exist_ok=True)
    (output / "table.md").write_text(render_table(measured), "utf-8")
    (output / "results.json").write_text(render_json(measured, about), "utf-8")
    (output / "report.html").write_text(render_page(measured, about), "utf-8")


def run_workload(
    name: str, upstream: Upstream, place: Path, peers: Sequence[str], rounds: int, scale: Scale
) -> Measured:
    """Everyone in turn, round after round. Who fails is not run any more, and the reason is told."""
    workload = WORKLOADS[name]
    values: dict[str, dict[str, list[float]]] = {}
    not_run: dict[str, str] = {}
    with ExitStack() as stack:
        turns = open_turns(name, workload, upstream, place, peers, not_run, stack, scale)
        for _ in range(min(rounds, workload.rounds)):
            for subject, measure in list(turns.items()):
                try:
                    figures = measure()
                except NotHad as reason:
                    not_run[subject] = str(reason)
                    del turns[subject]
                    continue
                print(f"{name}: {subject}: {figures}", file=sys.stderr, flush=True)
                for row, figure in figures.items():
                    values.setdefault(row, {}).setdefault(subject, []).append(figure)
    found = {row: [Figure(subject, each) for subject, each in by.items()] for row, by in values.items()}
    return Measured(name, workload, found, not_run)


def open_turns(
    name: str,
    workload: Workload,
    upstream: Upstream,
    place: Path,
    peers: Sequence[str],
    not_run: dict[str, str],
    stack: ExitStack,
    scale: Scale,
) -> dict[str, Callable[[], Figures]]:
    """By subject, what measures it once."""
    run = Place()
    stack.callback(run.close)
    if name == "start":
        return list_starts(run, not_run)
    if name == "rules":
        return {OURS: lambda: measure_rules(workload, upstream, run, scale)}
    (place / "direct").mkdir()
    (place / "direct").chmod(0o777)
    subjects: list[Subject] = [
        Outside(DIRECT, upstream, place / "direct"),
        Inside(upstream, run, workload.rules),
    ]
    for peer in peers:
        try:
            opened = open_peer(peer, upstream, place / peer, intercept=workload.rules == "inside")
            subjects.append(stack.enter_context(opened))
        except NotHad as reason:
            not_run[peer] = str(reason)
    wanted = [subject for subject in subjects if subject.name not in workload.without]
    return {each.name: lambda each=each: workload.measure(each, scale) for each in wanted}  # type: ignore[misc]


def measure_rules(workload: Workload, upstream: Upstream, run: Place, scale: Scale) -> Figures:
    figures = {}
    for row in workload.rows:
        others = "".join(f'[[egress]]\ndestination = "h{n}.example.net"\n' for n in range(int(row) - 1))
        figures[row] = workload.measure(Inside(upstream, run, workload.rules, others), scale)["rate"]
    return figures


def list_starts(run: Place, not_run: dict[str, str]) -> dict[str, Callable[[], Figures]]:
    """Ours with a policy, evidence and all; and others with what they start by."""
    (run.path / "policy.toml").write_text('version = "1.0"\ndefault_deny = true\n')

    program = [sys.executable, "-m", "trio_egress", "run", "--policy", str(run.path / "policy.toml")]

    def measure_ours() -> Figures:
        with tempfile.TemporaryDirectory(dir=run.path) as folder:
            return {
                "rate": measure_start(
                    lambda each: [*program, "--evidence", f"{folder}/{each}", "--", "true"], cwd=run.work
                )
            }

    home = run.path / "home"
    home.mkdir()
    shutil.chown(home, own_user() or os.geteuid())
    own = {"user": own_user(), "cwd": home, "env": {**os.environ, "HOME": str(home), "PATH": find_path()}}
    turns: dict[str, Callable[[], Figures]] = {OURS: measure_ours}
    for name, find in START_UPS.items():
        try:
            command = find()
        except NotHad as reason:
            not_run[name] = str(reason)
            continue
        turns[name] = lambda command=command: {"rate": measure_start(lambda _: command, **own)}  # type: ignore[misc]
    return turns


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
