"""How fast messages are looked through, with every detector on: `python bench/scan.py`, on one idle core.

Bodies of 10 KB: this project's documentation and Python's own source, as they are and as JSON of a model's interface.
Goal, with Hyperscan: 500 MB/s, and 100 times as fast as Python's `re` with the same rules, one after the other.
"""

from __future__ import annotations

import gc
import json
import os
import re
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from trio_egress.content.catalogue import read_catalogue
from trio_egress.content.detector import Detector, Way
from trio_egress.content.exact import Exact, list_detectors
from trio_egress.content.hyperscan_matcher import HyperscanMatcher
from trio_egress.content.re2_matcher import Re2Matcher
from trio_egress.content.scanner import Scanner
from trio_egress.runtime.scan_cache import open_scanner

ROOT = Path(__file__).parents[1]
BODY_BYTES = 10_240
BODIES = 100
ROUNDS = 5
RE_BODIES = 10
SHORT = b'{"model":"m-1","messages":[{"role":"user","content":"What is the weather like in Oslo?"}],"temperature":0.2}'


def read_bodies() -> dict[str, list[bytes]]:
    documents = sorted((ROOT / "docs").glob("*.md"))
    sources = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    kinds = {"documentation": _cut(documents), "source code": _cut(sources)}
    kinds["JSON"] = [_wrap(body)[:BODY_BYTES] for bodies in list(kinds.values()) for body in bodies][:BODIES]
    return kinds


def _cut(paths: Iterable[Path]) -> list[bytes]:
    raws = (path.read_bytes() for path in paths)
    cut = [raw[at : at + BODY_BYTES] for raw in raws for at in range(0, len(raw) - BODY_BYTES, BODY_BYTES)]
    return cut[:BODIES]


def _wrap(body: bytes) -> bytes:
    content = body.decode("utf-8", "replace")
    return json.dumps({"model": "m-1", "messages": [{"role": "user", "content": content}]}).encode()


def measure_seconds(call: Callable[[], object], rounds: int = ROUNDS) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best


def scan_all(scanner: Scanner, bodies: Sequence[bytes], way: Way) -> int:
    return sum(len(scanner.scan(body, way)) for body in bodies)


def compile_for_re(detectors: Iterable[Detector]) -> list[re.Pattern[bytes]]:
    """What Python's `re` can take of them, with RE2's flags and ends."""
    compiled = []
    for detector in detectors:
        try:
            compiled.append(re.compile(detector.pattern.replace(r"\z", r"\Z").encode()))
        except re.error:
            continue
    return compiled


def measure_re(patterns: Sequence[re.Pattern[bytes]], bodies: Sequence[bytes]) -> float:
    """Bytes a second."""
    some = bodies[:: max(1, len(bodies) // RE_BODIES)]
    taken = measure_seconds(lambda: [pattern.search(body) for body in some for pattern in patterns], 1)
    return sum(map(len, some)) / taken


def measure_start(detectors: Sequence[Detector]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {"XDG_CACHE_HOME": folder}
        for label in ("compiled", "from the cache"):
            start = time.perf_counter()
            open_scanner(detectors, (), environment)
            print(f"start, {label:44} {(time.perf_counter() - start) * 1e3:8.1f} ms")


def main() -> None:
    detectors = read_catalogue()
    own = list_detectors([Exact(f"value-{number}", os.urandom(20).hex().encode()) for number in range(5)])
    print(f"{len(detectors)} detectors, and 5 values of the run")
    measure_start(detectors)
    scanners = {
        "hyperscan": Scanner(detectors, own, engine=HyperscanMatcher),
        "re2": Scanner(detectors, own, engine=lambda patterns, database=b"": Re2Matcher(patterns)),
    }
    gc.freeze()
    for way in (Way.OUT, Way.IN):
        patterns = compile_for_re(detector for detector in detectors if detector.ways & way)
        for kind, bodies in read_bodies().items():
            size = sum(map(len, bodies))
            by_re = measure_re(patterns, bodies)
            for engine, scanner in scanners.items():
                found = scan_all(scanner, bodies, way)
                speed = size / measure_seconds(lambda: scan_all(scanner, bodies, way))  # noqa: B023
                print(
                    f"{way.name} {kind:14} {engine:10} {speed / 1e6:8.0f} MB/s  {speed / by_re:8.0f} times "
                    f"{len(patterns)} patterns of re ({by_re / 1e6:.2f} MB/s)  {found} findings"
                )
    for engine, scanner in scanners.items():
        for way in (Way.OUT, Way.IN):
            taken = measure_seconds(lambda: scan_all(scanner, [SHORT] * 1000, way))  # noqa: B023
            print(f"{way.name} {len(SHORT)} bytes {engine:10} {taken * 1e3:8.2f} µs a message")


if __name__ == "__main__":
    main()
