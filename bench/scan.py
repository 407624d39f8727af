"""How fast messages are looked through, with every detector on: `python bench/scan.py`, on one core.

Bodies of 10 KB, of several kinds: what is on this machine (`bench/traffic.py`), each kind from many files. A figure is
the median of rounds, by the time of the processor. Goal, with Hyperscan: 500 MB/s, and 100 times as fast as Python's
`re` with the same rules, one after the other. Beside it stands how far the engine alone gets with the same patterns,
and with 50 of them, since no scanner built on it is faster; and how many bodies have signs of something encoded,
which is then decoded.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bench.traffic import fetch_scripts, list_kinds, read_files  # noqa: E402  found by the line above

from trio_egress.content.catalogue import read_catalogue  # noqa: E402
from trio_egress.content.detector import Detector, Way  # noqa: E402
from trio_egress.content.exact import Exact, list_detectors  # noqa: E402
from trio_egress.content.hyperscan_matcher import HyperscanMatcher  # noqa: E402
from trio_egress.content.matcher import Matcher  # noqa: E402
from trio_egress.content.pattern import loosen  # noqa: E402
from trio_egress.content.re2_matcher import Re2Matcher  # noqa: E402
from trio_egress.content.scanner import VIEWS, Scanner  # noqa: E402
from trio_egress.runtime.scan_cache import open_scanner  # noqa: E402

GOAL_BYTES, GOAL_TIMES = 500e6, 100
BODY_BYTES = 10_240
BODIES = 60
OF_ONE_FILE = 3
ROUNDS = 9
RE_BODIES = 6
FEW = 50
SCRIPTS = Path.home() / ".cache" / "trio-egress-alarms"
SHORT = b'{"model":"m-1","messages":[{"role":"user","content":"What is the weather like in Oslo?"}],"temperature":0.2}'

KINDS = {
    "documentation": "documentation",
    "texts in Markdown": "texts in Markdown",
    "source code": "Python sources",
    "models' answers": "models' answers",
    "JSON answers": "JSON answers",
    "scripts for browsers": "scripts for browsers",
    "HTML": "HTML",
}
"""As they are called here, and in `bench/traffic.py`."""


def read_bodies() -> dict[str, list[bytes]]:
    sources = list_kinds(SCRIPTS)
    kinds = {"this project's pages": _cut(file.data for file in read_files(ROOT / "docs")(make_chance()))}
    for name, kind in KINDS.items():
        kinds[name] = _cut(file.data for file in sources[kind](make_chance()))
    texts = [body for name in ("texts in Markdown", "source code") for body in kinds[name][: BODIES // 2]]
    kinds["requests to a model"] = [_wrap(text)[:BODY_BYTES] for text in texts]
    return {name: bodies for name, bodies in kinds.items() if bodies}


def make_chance() -> random.Random:
    return random.Random(7)  # noqa: S311  the same files each time


def _cut(raws: Iterable[bytes]) -> list[bytes]:
    cut = (
        raw[at : at + BODY_BYTES]
        for raw in raws
        for at in range(0, min(len(raw), OF_ONE_FILE * BODY_BYTES) - BODY_BYTES + 1, BODY_BYTES)
    )
    return list(islice(cut, BODIES))


def _wrap(body: bytes) -> bytes:
    content = body.decode("utf-8", "replace")
    return json.dumps({"model": "m-1", "messages": [{"role": "user", "content": content}]}).encode()


def measure_speed(look: Callable[[bytes], object], bodies: Sequence[bytes], rounds: int = ROUNDS) -> float:
    """Bytes a second."""
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        for body in bodies:
            look(body)
        taken.append(time.process_time() - start)
    return sum(map(len, bodies)) / statistics.median(taken)


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
    some = bodies[:: max(1, len(bodies) // RE_BODIES)]
    return measure_speed(lambda body: [pattern.search(body) for pattern in patterns], some, 1)


def measure_start(detectors: Sequence[Detector]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {"XDG_CACHE_HOME": folder}
        for label in ("compiled", "from the cache"):
            start = time.perf_counter()
            open_scanner(detectors, (), environment)
            print(f"start, {label:14} {(time.perf_counter() - start) * 1e3:8.1f} ms")


def open_engines(detectors: Sequence[Detector]) -> dict[Way, tuple[Matcher, Matcher]]:
    """Hyperscan alone, for each direction: all patterns, and FEW of them."""
    engines: dict[Way, tuple[Matcher, Matcher]] = {}
    for way in (Way.OUT, Way.IN):
        patterns = [loosen(detector.pattern) for detector in detectors if detector.ways & way]
        signs = VIEWS.signs[: VIEWS.sent] if way is Way.OUT else VIEWS.signs
        engines[way] = (HyperscanMatcher([*patterns, *signs]), HyperscanMatcher(patterns[:FEW]))
    return engines


def show_speeds(detectors: Sequence[Detector], own: Sequence[Detector], engines: Sequence[str]) -> None:
    scanners = {
        "hyperscan": Scanner(detectors, own, engine=HyperscanMatcher),
        "re2": Scanner(detectors, own, engine=lambda patterns, database=b"": Re2Matcher(patterns)),
    }
    alone = open_engines(detectors)
    kinds = read_bodies()
    gc.freeze()
    columns = f"{'engine alone':>13} {f'{FEW} patterns':>12} {'encoded':>8}"
    head = f"{'':34}{'MB/s':>6} {'times re':>9}  {'goal':6} {columns}"
    for engine in engines:
        print(f"\n{engine}\n{head}")
        for way in (Way.OUT, Way.IN):
            patterns = compile_for_re(detector for detector in detectors if detector.ways & way)
            for kind, bodies in kinds.items():
                speed = measure_speed(lambda body: scanners[engine].scan(body, way), bodies)  # noqa: B023
                times = speed / measure_re(patterns, bodies)
                every, few = (measure_speed(each.match, bodies) / 1e6 for each in alone[way])
                met = "met" if speed >= GOAL_BYTES and times >= GOAL_TIMES else f"{speed / GOAL_BYTES:.0%}"
                named = sum(bool(alone[way][0].match(body)) for body in bodies) / len(bodies)
                what = f"{'sent' if way is Way.OUT else 'received'}, {kind}"
                print(
                    f"{what:34}{speed / 1e6:6.0f} {times:9.0f}  {met:6} {every:13.0f} {few:12.0f} {named:8.0%}"
                )
    for engine in engines:
        for way in (Way.OUT, Way.IN):
            taken = len(SHORT) / measure_speed(lambda body: scanners[engine].scan(body, way), [SHORT] * 1000)  # noqa: B023
            print(f"{way.name} {len(SHORT)} bytes {engine:10} {taken * 1e6:8.2f} µs a message")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--engine", choices=("hyperscan", "re2"), action="append", help="this one alone")
    parser.add_argument("--scripts", action="store_true", help="fetch scripts for browsers by npm")
    wanted = parser.parse_args()
    if wanted.scripts:
        fetch_scripts(SCRIPTS)
    detectors = read_catalogue()
    own = list_detectors([Exact(f"value-{number}", os.urandom(20).hex().encode()) for number in range(5)])
    print(
        f"{len(detectors)} detectors, and 5 values of the run; bodies of {BODY_BYTES:,} bytes, medians of {ROUNDS}"
    )
    measure_start(detectors)
    show_speeds(detectors, own, wanted.engine or ("hyperscan", "re2"))


if __name__ == "__main__":
    main()
