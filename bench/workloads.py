"""What is measured, as a table: each workload's rows, what our policy has to say for it, and how a subject is asked.

A measure takes a subject and a scale, and gives a figure for each of the workload's rows. Raises NotHad.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from bench.installs import NotHad, find_debian
from bench.subjects import DIRECT, Subject, carry, read_wrk, render_generator, render_wrk
from bench.upstream import BIG_BYTES

GIBIBYTE = 1 << 30


@attrs.frozen
class Scale:
    """How much of everything. `requests`: of the longest load; `connections`: of the widest."""

    seconds: float = 3.0
    requests: int = 100_000
    connections: int = 1000
    asked: int = 300


SHORT = Scale(seconds=1.0, requests=1000, connections=100, asked=50)

Figures = dict[str, float]
Measure = Callable[[Subject, Scale], Figures]


@attrs.frozen
class Row:
    """One figure. `less`: the smaller the better."""

    title: str
    unit: str
    less: bool = False


@attrs.frozen
class Workload:
    title: str
    rows: Mapping[str, Row]
    measure: Measure
    rules: str = "plain"
    """Of our policy (`subjects.RULES`)."""

    growth: bool = False
    """Its rows are the same at growing size: a curve."""

    rounds: int = 1 << 30
    """No more than so many."""

    without: Sequence[str] = ()
    """Subjects for whom it says nothing."""


def wrk(connections: int, *, close: bool = False) -> Callable[[Subject, Scale], float]:
    def measure(subject: Subject, scale: Scale) -> float:
        program = find_debian("wrk", "wrk")
        command = render_wrk(program, subject, connections, scale.seconds, close=close)
        return read_wrk(carry(subject.begin(command))["text"])

    return measure


def generate(subject: Subject, kind: str, to: str, *, patience: float = 60.0, **more: Any) -> dict[str, Any]:
    return carry(subject.begin(render_generator(subject.spec(kind, to, **more))), patience)


def measure_rate(connections: int, *, close: bool = False) -> Measure:
    one = wrk(connections, close=close)
    return lambda subject, scale: {"rate": one(subject, scale)}


def measure_setups(subject: Subject, scale: Scale) -> Figures:
    return {"rate": generate(subject, "setups", "https", connections=8, seconds=scale.seconds)["rate"]}


def measure_tunnel(subject: Subject, scale: Scale) -> Figures:
    told = generate(subject, "tunnel", "bulk", bytes=GIBIBYTE)
    return {"rate": told["rate"], **({} if subject.name == DIRECT else {"cpu": told["cpu"]})}


def measure_inside(subject: Subject, scale: Scale) -> Figures:
    load: dict[str, Any] = {"tls": True, "connections": 8, "seconds": scale.seconds, "path": "/hello"}
    return {"rate": generate(subject, "keepalive", "https", **load)["rate"]}


def measure_inside_bulk(subject: Subject, scale: Scale) -> Figures:
    return {"rate": generate(subject, "bulk", "https", tls=True, path="/big", bytes=BIG_BYTES)["rate"]}


def measure_latency(subject: Subject, scale: Scale) -> Figures:
    told = generate(subject, "latency", "http", path="/hello", count=scale.asked)
    return {name: told[name] * 1e3 for name in ("p50", "p99")}


def measure_memory(subject: Subject, scale: Scale) -> Figures:
    patience = 60 + scale.requests / 100
    idle = generate(subject, "idle", "http", path="/hello", connections=scale.connections, patience=patience)[
        "at"
    ]
    load: dict[str, Any] = {"connections": 8, "count": scale.requests, "path": "/hello", "patience": patience}
    after = generate(subject, "keepalive", "http", **load)["at"]
    return {
        "rest": idle["rest"].kib / 1024,
        "idle": (idle["idle"].kib - idle["rest"].kib) / scale.connections,
        "after": after["end"].kib / 1024,
    }


def measure_connections(subject: Subject, scale: Scale) -> Figures:
    return {str(count): wrk(min(count, scale.connections))(subject, scale) for count in (1, 32, 1000)}


def measure_requests(subject: Subject, scale: Scale) -> Figures:
    """The rate in each stretch up to 10³, 10⁴ and 10⁵ requests of one load."""
    ends = [count for count in (1000, 10_000, 100_000) if count <= scale.requests]
    load: dict[str, Any] = {"connections": 8, "count": ends[-1], "marks": ends, "path": "/hello"}
    marks = generate(subject, "keepalive", "http", patience=60 + scale.requests / 100, **load)["marks"]
    figures, count, at = {}, 0, 0.0
    for end in ends:
        figures[str(end)] = (end - count) / (marks[str(end)] - at)
        count, at = end, marks[str(end)]
    return figures


def measure_start(render: Callable[[int], Sequence[str]], **popen: Any) -> float:
    """Milliseconds, the median of five; `render` makes the command of each."""
    took = []
    for number in range(5):
        command = render(number)
        started = time.perf_counter()
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **popen)
        took.append((time.perf_counter() - started) * 1e3)
        if ran.returncode:
            raise NotHad(f"ended with {ran.returncode}: {ran.stderr.strip()[-200:]}")
    return statistics.median(took)


def grow(unit: str, *sizes: int) -> dict[str, Row]:
    return {str(size): Row(f"{size:,}", unit) for size in sizes}


REQUESTS = {"rate": Row("", "requests/s")}
WORKLOADS = {
    "keepalive": Workload("keep-alive GETs, 32 connections", REQUESTS, measure_rate(32)),
    "new": Workload("a new connection for each GET, 32 at once", REQUESTS, measure_rate(32, close=True)),
    "setups": Workload(
        "CONNECT, a ClientHello and its answer, 8 at once",
        {"rate": Row("", "tunnels/s")},
        measure_setups,
        "opaque",
    ),
    "tunnel": Workload(
        "1 GiB through a tunnel",
        {"rate": Row("", "MB/s"), "cpu": Row("the proxy's processor", "s", less=True)},
        measure_tunnel,
        "opaque",
    ),
    "inside": Workload(
        "looking into TLS, keep-alive GETs, 8 connections", REQUESTS, measure_inside, "inside"
    ),
    "inside-bulk": Workload(
        "looking into TLS, an answer of 256 MiB", {"rate": Row("", "MB/s")}, measure_inside_bulk, "inside"
    ),
    "latency": Workload(
        "one GET at a time, with nothing else to do",
        {"p50": Row("median", "ms", less=True), "p99": Row("99 of 100 within", "ms", less=True)},
        measure_latency,
    ),
    "memory": Workload(
        "memory",
        {
            "rest": Row("at rest", "MiB", less=True),
            "after": Row("after the longest load", "MiB", less=True),
            "idle": Row("for each idle connection", "KiB", less=True),
        },
        measure_memory,
        rounds=1,
        without=(DIRECT,),
    ),
    "connections": Workload(
        "GETs by number of connections", grow("requests/s", 1, 32, 1000), measure_connections, growth=True
    ),
    "requests": Workload(
        "GETs by number of requests so far",
        grow("requests/s", 1000, 10_000, 100_000),
        measure_requests,
        growth=True,
        rounds=1,
    ),
    "rules": Workload(
        "GETs by number of rules", grow("requests/s", 10, 100, 1000, 10_000), measure_rate(32), growth=True
    ),
    "start": Workload("start-up of `true`", {"rate": Row("", "ms", less=True)}, measure_rate(1)),
}
"""`rules` and `start` have subjects of their own (`bench/__main__.py`)."""
