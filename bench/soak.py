"""An hour of everything at once: `python -m bench.soak [--requests N] [--idle N] [--minutes N]`, as root or not.

One real run against nginx and a TCP server that echoes, both on loopback: keep-alive and new connections, TLS through
tunnels and ended by the proxy, plain TCP, resets, slow peers, floods of what is denied, open connections that wait, and
a policy that is read again every few seconds. It ends by itself. What it must show, or the exit code says that it
didn't: every request made and no open connection lost, memory, descriptors, threads, tasks and namespaces the same at
two moments of rest (after a tenth, and at the end), every receipt verified, books balanced, and nothing left of them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
from bench.soak_supervisor import COUNT
from bench.subjects import measure_processes
from tests.programs.servers import Web, open_web
from tests.runs.launch import (
    PATIENCE_SECONDS,
    SEEN,
    Ended,
    Place,
    Started,
    wait_until,
    write_policy,
)
from tests.runs.remains import find_recorder

AGENT = Path(__file__).with_name("soak_agent.py")
SUPERVISOR = Path(__file__).with_name("soak_supervisor.py")
ALLOWED, INSPECTED, ECHO = "api.example.com", "git.example.com", "echo.example.com"
RULES = f"""
[[egress]]
destination = "{INSPECTED}"
methods = ["GET"]
[[egress]]
destination = "{ECHO}:7"
protocol = "tcp"
"""
RELOAD_SECONDS = 20.0
SETTLE_SECONDS = 15.0
"""In which what was closed is let go of; Trio keeps a thread for 10 s after its last work."""

MORE_KIB = 16 * 1024
MORE_DESCRIPTORS = 4
MORE_THREADS = 1
MORE_TASKS = 2
"""What the second moment of rest may have more than the first: a heap in other pieces, a log that is rotated, a thread
that writes a heartbeat just then, a task that waits for it."""

REQUEST_BYTES = 6_000
"""On disk, for each: receipts of an intent and an outcome, and the server's own log."""

KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
"""Of namespaces."""


@attrs.frozen
class Rest:
    """The supervisor, and the process that writes its receipts, while nothing happens."""

    kib: int
    descriptors: int
    threads: int
    tasks: int
    namespaces: frozenset[str]
    """Those of the processes that it has started."""

    def __str__(self) -> str:
        return (
            f"{self.kib / 1024:.1f} MiB, {self.descriptors} descriptors, {self.threads} threads, "
            f"{self.tasks} tasks, {len(self.namespaces)} namespaces"
        )


class CountedPlace(Place):
    """A place whose run tells how many tasks live in it."""

    def program(self, command: str, number: int) -> list[str]:
        given = super().program(command, number)
        return [sys.executable, str(SUPERVISOR), str(self.path / "tasks"), *given[given.index(command) :]]


def observe(started: Started) -> Rest:
    pid = started.pid
    pair = pid, find_recorder(pid)
    descriptors = sum(len(os.listdir(f"/proc/{each}/fd")) for each in pair)
    threads = sum(len(os.listdir(f"/proc/{each}/task")) for each in pair)
    tasks, _ = COUNT.unpack((started.place.path / "tasks").read_bytes())
    namespaces = read_namespaces()
    own = namespaces.get(os.getpid(), frozenset())
    made = frozenset().union(*(namespaces.get(child, frozenset()) for child in find_below(pid))) - own
    return Rest(measure_processes([*pair]).kib, descriptors, threads, tasks, made)


def find_below(pid: int) -> Iterator[int]:
    """Every process that this one has started, and those that they have."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # ended meanwhile
            for child in map(int, task.read_text().split()):
                yield child
                yield from find_below(child)


def read_namespaces() -> dict[int, frozenset[str]]:
    """By process of this machine: the namespaces that it is in."""
    found: dict[int, set[str]] = {}
    for path in Path("/proc").glob("[0-9]*/ns/*"):
        if path.name in KINDS:
            with contextlib.suppress(OSError):  # ended meanwhile, or somebody else's
                found.setdefault(int(path.parts[2]), set()).add(os.readlink(path))
    return {pid: frozenset(names) for pid, names in found.items()}


@contextlib.contextmanager
def open_echo() -> Iterator[int]:
    """A TCP server on loopback that says what it hears, in a thread of its own."""
    ready: list[int] = []
    loop = asyncio.new_event_loop()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while raw := await reader.read(65536):
                writer.write(raw)
                await writer.drain()
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(carry, "127.0.0.1", 0)
        ready.append(server.sockets[0].getsockname()[1])

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_until(lambda: ready, "a server that echoes")
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def write_policies(web: Web, echo: int) -> tuple[str, str]:
    """Two that allow the same to this agent; the second has a rule more."""
    pins = {**web.pins(ALLOWED, INSPECTED), f"{ECHO}:7": f"127.0.0.1:{echo}"}
    trust = f'\n[tls]\nextra_ca = ["{web.authority}"]\n'
    rules = RULES + trust, RULES + trust + '[[egress]]\ndestination = "unused.example.com"\n'
    return write_policy(ALLOWED, pins=pins, more=rules[0]), write_policy(ALLOWED, pins=pins, more=rules[1])


def await_rest(started: Started, number: int, policies: tuple[str, str], deadline: float) -> Rest:
    """Until the agent stands still, with a reload now and then; what the supervisor is then."""
    quiet = started.place.work / f"quiet-{number}"
    file, reloads = started.place.path / "policy-0.toml", 0
    next_reload = time.monotonic() + RELOAD_SECONDS
    while not quiet.exists():
        if started.process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(
                f"the agent did not get so far: {started.err.read_text(errors='replace')[-2000:]}"
            )
        time.sleep(0.2)
        if time.monotonic() > next_reload:
            reloads += 1
            file.write_text(policies[reloads % 2])
            started.send(signal.SIGHUP)
            next_reload += RELOAD_SECONDS
            print(f"  {observe(started)}; {reloads} reloads", flush=True)
    time.sleep(SETTLE_SECONDS)
    rest = observe(started)
    print(f"at rest: {rest}", flush=True)
    (started.place.work / f"go-{number}").touch()
    return rest


def soak(web: Web, echo: int, requests: int, idle: int, seconds: float) -> list[str]:
    """What did not hold, in sentences."""
    place = CountedPlace()
    try:
        agent = place.write("soak_agent.py", AGENT.read_text())
        policies = write_policies(web, echo)
        begun = time.monotonic()
        command = [sys.executable, "-I", "-S", agent, requests, idle, int(seconds)]
        started = place.start(policies[0], *map(str, command))
        deadline = begun + seconds + 2 * PATIENCE_SECONDS
        first = await_rest(started, 1, policies, deadline)
        last = await_rest(started, 2, policies, deadline)
        rested = time.monotonic()
        ended = started.wait(seconds)
        now, end = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
        print(
            f"the run took {now - begun:.0f} s, {now - rested:.1f} of them to its end; {ended.text}",
            flush=True,
        )
        _, most = COUNT.unpack((place.path / "tasks").read_bytes())
        print(f"the most memory it had, sealing included: {most / 1024:.1f} MiB", flush=True)
        return [*judge_rests(first, last), *judge_end(ended, requests), *judge_remains(first.namespaces, end)]
    finally:
        place.close()


def judge_rests(first: Rest, last: Rest) -> Iterator[str]:
    if last.kib > first.kib + MORE_KIB:
        yield f"memory grew from {first.kib} to {last.kib} KiB"
    if last.descriptors > first.descriptors + MORE_DESCRIPTORS:
        yield f"descriptors grew from {first.descriptors} to {last.descriptors}"
    if last.threads > first.threads + MORE_THREADS:
        yield f"threads grew from {first.threads} to {last.threads}"
    if last.tasks > first.tasks + MORE_TASKS:
        yield f"tasks grew from {first.tasks} to {last.tasks}"
    if last.namespaces != first.namespaces:
        yield f"there were other namespaces at the end: {set(last.namespaces ^ first.namespaces)}"
    if not any(name.startswith("net:") for name in first.namespaces):
        yield f"the agent was in no network of its own: {set(first.namespaces)}"


def judge_end(ended: Ended, requests: int) -> Iterator[str]:
    if ended.code != 0:
        yield f"the run ended with {ended.code}: {ended.err[-2000:]}"
        return
    said = json.loads(ended.text)
    made = sum(said["done"].values())
    if made < requests:
        yield f"only {made} of {requests} requests were made in time"
    if said["lost"]:
        yield f"{said['lost']} of {said['held']} open connections were lost"
    for wrong, count in said["wrong"].items():
        yield f"{count} times {wrong}"
    begun = time.monotonic()
    command = [sys.executable, "-m", "trio_egress", "verify", str(ended.evidence), "--public-key", ended.key]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    size = sum(path.stat().st_size for path in ended.evidence.glob("evidence*.jsonl"))
    print(
        f"{size / 1e6:.0f} MB of receipts; verified in {time.monotonic() - begun:.0f} s:\n{verified.stdout}"
    )
    if verified.returncode != 0:
        yield f"the packet is not valid: {verified.stdout}{verified.stderr}"


def judge_remains(inside: frozenset[str], end: float) -> Iterator[str]:
    """`end`: of the run, in seconds since the machine began. Whoever began later has a namespace of the same number."""
    for pid, namespaces in read_namespaces().items():
        for name in namespaces & inside:
            with contextlib.suppress(OSError):  # ended meanwhile
                if read_begin(pid) < end:
                    yield f"process {pid} is still in the agent's {name}"


def read_begin(pid: int) -> float:
    """Seconds since the machine began (`man 5 proc`, starttime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--idle", type=int, default=1_000, help="connections that stay open")
    parser.add_argument("--minutes", type=float, default=60, help="at most")
    options = parser.parse_args()
    if shutil.disk_usage(SEEN).free < (needed := options.requests * REQUEST_BYTES):
        sys.exit(
            f"{SEEN}: {options.requests} requests leave up to {needed / 1e9:.1f} GB there, and it has less room"
        )
    with tempfile.TemporaryDirectory(dir=SEEN) as folder:
        path = Path(folder)
        path.chmod(0o755)
        with open_web(path) as web, open_echo() as echo:
            faults = soak(web, echo, options.requests, options.idle, options.minutes * 60)
    sys.exit("\n".join(faults) or 0)


if __name__ == "__main__":
    main()
