"""Whoever is measured, behind one face: load is started on it, watched, and waited for.

Direct, a peer's proxy, or a run of ours: there the load is the agent, and its receipts are verified each time.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import attrs
from bench.installs import NotHad
from bench.peers import PEERS, Setting, own_user, write_authority
from bench.upstream import GENERATOR, Upstream
from tests.programs.servers import answers, find_ports, start_server
from tests.runs.launch import PROXY, Place, Started, wait_until, write_policy

OURS = "trio-egress"
DIRECT = "direct"
NAME = "api.example.com"
BULK = "bulk.example.com"
BULK_PORT = 9000
LOAD_SECONDS = 60.0
"""The longest that one load may take."""

TICKS = os.sysconf("SC_CLK_TCK")
RULES = {
    "plain": f'[[egress]]\ndestination = "{NAME}"\n',
    "opaque": f'[[egress]]\ndestination = "{NAME}"\n[[egress]]\ndestination = "{BULK}:{BULK_PORT}"\nprotocol = "tcp"\n',
    "inside": f'[[egress]]\ndestination = "{NAME}"\npaths = ["/**"]\n[tls]\nextra_ca = ["root.pem"]\n',
}
"""Of our policy, for what a workload needs; a peer looks inside for the last alone."""

WRK = """
wrk.path = "%s"
wrk.headers["Host"] = "%s"
%s
"""


@attrs.frozen
class Usage:
    """Of the processes that carry the load: seconds of the processor so far, and KiB of memory."""

    seconds: float
    kib: int


class Load(Protocol):
    """One that is under way."""

    def read(self) -> str: ...
    def is_over(self) -> bool: ...
    def measure(self) -> Usage: ...
    def end(self) -> None: ...


class Subject(Protocol):
    name: str

    def spec(self, kind: str, to: str, **more: Any) -> dict[str, Any]: ...
    def begin(self, command: list[str]) -> Load: ...
    def write(self, name: str, text: str) -> Path: ...


def list_tree(root: int) -> list[int]:
    """A process and all below it."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            pid = int(stat.parent.name)
            parents.setdefault(int(stat.read_text().rpartition(") ")[2].split()[1]), []).append(pid)
    found = [root]
    for pid in found:
        found += parents.get(pid, [])
    return found


def measure_processes(pids: list[int]) -> Usage:
    """Memory as each process's share of what several have; processes of the load itself are left out."""
    seconds, kib = 0.0, 0
    for pid in pids:
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"wrk") or (len(words) > 2 and words[2] == os.fsencode(GENERATOR)):
                continue
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
            seconds += (int(fields[11]) + int(fields[12])) / TICKS
            shares = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            kib += int(shares[1]) if shares else 0
    return Usage(seconds, kib)


class OutsideLoad:
    """On the host, at a peer or at the upstream itself. `root`: the peer's process."""

    def __init__(self, command: list[str], out: Path, root: int | None) -> None:
        self._root = root
        self._out = out
        with out.open("wb") as file:
            self._process = subprocess.Popen(
                command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, user=own_user()
            )

    def read(self) -> str:
        return self._out.read_text()

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def measure(self) -> Usage:
        return measure_processes(list_tree(self._root) if self._root else [])

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.returncode not in (0, -9):
            raise NotHad(f"the load failed: {self.read().strip()[-300:]}")


class Outside:
    """A peer, at `port`, or nothing in between."""

    def __init__(
        self,
        name: str,
        upstream: Upstream,
        place: Path,
        port: int | None = None,
        root: int | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self._upstream = upstream
        self._place = place
        self._port = port
        self._root = root
        self._fields = dict(fields or {})
        self._count = 0

    def spec(self, kind: str, to: str, **more: Any) -> dict[str, Any]:
        port = {"http": self._upstream.http, "https": self._upstream.https, "bulk": self._upstream.bulk}[to]
        via = ["127.0.0.1", self._port] if self._port else None
        told = {"authority": f"127.0.0.1:{port}", "to": ["127.0.0.1", port], "name": NAME}
        return {"kind": kind, "via": via, **told, "fields": self._fields, "leaf": self._upstream.leaf, **more}

    def begin(self, command: list[str]) -> OutsideLoad:
        self._count += 1
        return OutsideLoad(command, self._place / f"load-{self._count}", self._root)

    def write(self, name: str, text: str) -> Path:
        path = self._place / name
        path.write_text(text)
        path.chmod(0o644)
        return path


class InsideLoad:
    """A run of ours whose agent is the load."""

    def __init__(self, started: Started) -> None:
        self._started = started

    def read(self) -> str:
        return self._started.out.read_text()

    def is_over(self) -> bool:
        return self._started.process.poll() is not None

    def measure(self) -> Usage:
        return measure_processes(list_tree(self._started.pid))

    def end(self) -> None:
        """The run has ended well, and its receipts are whole."""
        if not self.is_over():
            self._started.kill()
            return
        err = self._started.err.read_text(errors="replace")
        if self._started.process.returncode:
            raise NotHad(f"the run ended with {self._started.process.returncode}: {err.strip()[-400:]}")
        command = [sys.executable, "-m", "trio_egress", "verify", "--quick", str(self._started.evidence)]
        key = self._started.place.key.public_hex
        ran = subprocess.run([*command, "--public-key", key], capture_output=True, text=True, check=False)
        if "broken" in ran.stdout or ran.returncode not in (0, 3):
            raise NotHad(f"the evidence is not in order: {ran.stdout[-300:]}")


class Inside:
    """Ours: durable receipts, signed in the process, as it is without any option."""

    name = OURS

    def __init__(self, upstream: Upstream, place: Place, rules: str, more: str = "") -> None:
        self._upstream = upstream
        self._place = place
        pins = {
            f"{NAME}:80": upstream.http,
            f"{NAME}:443": upstream.https,
            f"{BULK}:{BULK_PORT}": upstream.bulk,
        }
        self._policy = write_policy(
            more=more + RULES[rules], pins={name: f"127.0.0.1:{port}" for name, port in pins.items()}
        )
        (place.path / "root.pem").write_bytes(upstream.authority.read_bytes())
        (place.path / "root.pem").chmod(0o644)

    def spec(self, kind: str, to: str, **more: Any) -> dict[str, Any]:
        ports = {"http": (NAME, 80), "https": (NAME, 443), "bulk": (BULK, BULK_PORT)}
        name, port = ports[to]
        host, _, proxy = PROXY.partition("//")[2].partition(":")
        authority = name if port == 80 else f"{name}:{port}"
        told = {"authority": authority, "to": [name, port], "name": name, "leaf": self._upstream.leaf}
        return {"kind": kind, "via": [host, int(proxy)], **told, "fields": {}, **more}

    def begin(self, command: list[str]) -> InsideLoad:
        return InsideLoad(self._place.start(self._policy, *command))

    def write(self, name: str, text: str) -> Path:
        return self._place.write(name, text)


@contextmanager
def open_peer(name: str, upstream: Upstream, place: Path, *, intercept: bool) -> Iterator[Outside]:
    """Started, and answering; ended with the body. Raises NotHad."""
    place.mkdir()
    write_authority(place)
    user = own_user()
    if user is not None:
        for path in (place, *place.iterdir()):
            os.chown(path, user, -1)
    (port,) = find_ports(1)
    program = PEERS[name](Setting(place, port, upstream, intercept))
    log = place / "output"
    environment = {**os.environ, "HOME": str(place), **program.environment}
    with start_server(program.command, log, env=environment, cwd=place, user=user) as process:
        try:
            wait_until(lambda: process.poll() is not None or answers(port), name, 30.0)
        except TimeoutError as late:
            raise NotHad(str(late)) from None
        if process.poll() is not None:
            raise NotHad(f"{name} ended: {log.read_text(errors='replace').strip()[-300:]}")
        fields: dict[str, str] = {}
        if program.token:
            wait_until(lambda: log.read_text().endswith("\n"), f"{name}'s token", 10.0)
            fields = json.loads(log.read_text().splitlines()[-1])
        yield Outside(name, upstream, place, port, process.pid, fields)


def carry(load: Load, seconds: float = LOAD_SECONDS) -> dict[str, Any]:
    """Wait for a load's end. Its last line, if that is JSON, with what its subject used between `begin` and `end`.

    `at`: the usage when it said each of its words.
    """
    at: dict[str, Usage] = {}
    deadline = time.monotonic() + seconds
    try:
        while not load.is_over():
            time.sleep(0.02)
            words = load.read().split("\n")
            for word in ("rest", "begin", "end", "idle"):
                if word in words and word not in at:
                    at[word] = load.measure()
            if time.monotonic() > deadline:
                raise NotHad(f"the load has not ended after {seconds:.0f} s")
    finally:
        load.end()
    text = load.read().strip()
    result: dict[str, Any] = json.loads(text.splitlines()[-1]) if text.endswith("}") else {"text": text}
    if {"begin", "end"} <= at.keys():
        result["cpu"] = at["end"].seconds - at["begin"].seconds
    return {**result, "at": at}


def render_generator(spec: dict[str, Any]) -> list[str]:
    return [sys.executable, "-I", str(GENERATOR), json.dumps(spec)]


def render_wrk(
    program: Path, subject: Subject, connections: int, seconds: float, *, close: bool
) -> list[str]:
    """HTTP in the clear; `close`: a new connection for each request."""
    spec = subject.spec("wrk", "http")
    plain = f"http://{spec['authority']}" if spec["via"] else ""
    fields = dict(spec["fields"], **({"Connection": "close"} if close else {}))
    lines = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in fields.items())
    script = subject.write("wrk.lua", WRK % (f"{plain}/hello", spec["authority"], lines))
    host, port = spec["via"] or spec["to"]
    told = ["-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s", "--timeout", "30s"]
    return [str(program), *told, "-s", str(script), f"http://{host}:{port}/"]


def read_wrk(text: str) -> float:
    """Requests a second, of a load without a failed answer. Raises NotHad."""
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", text)
    if bad or rate is None:
        raise NotHad(f"answers that are none: {text.strip()[-200:]}")
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    if broken and (int(broken[1]) or int(broken[4]) or not float(rate[1])):
        raise NotHad(f"stalls: {broken[0]}")
    return float(rate[1])
