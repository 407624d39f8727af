"""What a run takes to begin and to end: `python bench/start.py [ROUNDS]`, as root or not; bytecode as installed.

Starts each program in turn, round after round, and prints medians of wall and processor time (with children), the first
also as a ratio of a bare `import trio` in the same interpreter. Goal: `run -- true` under 2; `--help`, `policy check`,
`verify` under 120 ms; from the agent's last exit to ours under 100 ms.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import attrs

ROUNDS = 15
POLICY = 'version = "1.0"\ndefault_deny = true\n[[egress]]\ndestination = "api.example.com:443"\n'
SEEN = POLICY + '[[egress]]\ndestination = "seen.example.com"\nmethods = ["GET"]\n'
PYTHON = (sys.executable,)
PROGRAM = Path(sys.executable).with_name("trio-egress")
OURS = (str(PROGRAM),) if PROGRAM.exists() else (*PYTHON, "-m", "trio_egress")
BARE = "import trio"
NOTED = 'exec 3>"$0"; date +%s.%N >&3'
"""The agent's last act is to say when it is."""


@attrs.frozen
class Cost:
    """Milliseconds."""

    wall: float
    processor: float


@attrs.define
class Bench:
    """`room`: where policies, a packet and what runs leave behind are."""

    room: Path
    number: int = 0
    packet: str = ""

    def name_evidence(self) -> str:
        self.number += 1
        return str(self.room / f"evidence-{self.number}")

    def start(self, policy: str, *agent: str) -> tuple[str, ...]:
        given = ("--quiet", "--policy", str(self.room / policy), "--evidence", self.name_evidence())
        return (*OURS, "run", *given, "--", *agent)

    def list_programs(self) -> Mapping[str, tuple[str, ...]]:
        """Those of one round, by what they are called."""
        policy = str(self.room / "plain.toml")
        programs = {
            BARE: (*PYTHON, "-c", BARE),
            "unshare -Urn true": ("unshare", "-Urn", "true"),
            "bwrap, all unshared": ("bwrap", "--unshare-all", "--dev-bind", "/", "/", "true"),
            "run -- true": self.start("plain.toml", "true"),
            "run -- true, TLS ended": self.start("seen.toml", "true"),
            "--help": (*OURS, "--help"),
            "policy check": (*OURS, "policy", "check", policy),
            "verify": (*OURS, "verify", "--public-key", f"{self.packet}/public-key.txt", self.packet),
        }
        return {name: command for name, command in programs.items() if shutil.which(command[0])}


def measure(command: tuple[str, ...]) -> Cost:
    """One start. Whatever ends with another code than 0 measures nothing."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}: {said.decode()}")
    return Cost(wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000)


def measure_end(bench: Bench) -> Cost:
    """From the agent's last act to our exit; no processor time."""
    noted = bench.room / "noted"
    noted.touch()
    noted.chmod(0o666)
    measure(bench.start("plain.toml", "sh", "-c", NOTED, str(noted)))
    return Cost((time.time() - float(noted.read_text())) * 1000, 0.0)


def render(costs: Mapping[str, list[Cost]]) -> str:
    bare = statistics.median(cost.wall for cost in costs[BARE])
    lines = [f"{'':30}{'wall ms':>9}{'least':>8}{'ratio':>7}{'processor ms':>14}"]
    for name, each in costs.items():
        walls = [cost.wall for cost in each]
        wall, processor = statistics.median(walls), statistics.median(cost.processor for cost in each)
        lines.append(
            f"{name:30}{wall:9.0f}{min(walls):8.0f}{wall / bare:7.2f}{processor or float('nan'):14.0f}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/start.py", description=__doc__.splitlines()[0])
    parser.add_argument("rounds", nargs="?", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        room.chmod(0o755)
        os.chdir(room)
        (room / "plain.toml").write_text(POLICY)
        (room / "seen.toml").write_text(SEEN)
        bench = Bench(room)
        keep = bench.start("plain.toml", "true")
        measure(keep)
        bench.packet = keep[keep.index("--evidence") + 1]
        costs: dict[str, list[Cost]] = {}
        for _ in range(rounds):
            for program, command in bench.list_programs().items():
                costs.setdefault(program, []).append(measure(command))
            costs.setdefault("last exit to ours", []).append(measure_end(bench))
    print(render(costs))


if __name__ == "__main__":
    main()
