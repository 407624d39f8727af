"""How fast receipts are written and checked, beside bare PyNaCl and pipelock-verify on the same file in one run.

`python bench/evidence.py [receipts]`. All take turns, nine times. Prints of each the best pass, and by how much it was
faster than bare PyNaCl in the same round, as the median of the rounds. On a busy machine they say little, and of two
processes nothing: then two bare ones at once are no faster than one, either.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from nacl.signing import VerifyKey

from trio_egress.checkers import open_checkers
from trio_egress.evidence.balance import COUNTERS
from trio_egress.evidence.chain import Chain
from trio_egress.evidence.line import Line, read_line
from trio_egress.evidence.receipt import Draft, uuid7
from trio_egress.evidence.report import Verdict
from trio_egress.evidence.session import Session
from trio_egress.evidence.sign import Signer, generate, render_private_key
from trio_egress.evidence.verify import verify
from trio_egress.signer.remote import open_signer

KEY = generate(hashlib.sha256(b"bench").digest())
PASSES = 9
BARE = "bare PyNaCl verify"
BARE_TWICE = "  two at once"
NOW_NS = 1_700_000_000_000_000_000


def write_log(count: int, key: Signer = KEY) -> list[bytes]:
    """Two allowed attempts (four receipts) for each denied one, with the facts that the proxy records."""
    chain = Chain(key, Session("run", "aa" * 16, "bb" * 16, "sha256:" + "0" * 64, 30, "uid:1000", "agent"))
    lines = [chain.open(NOW_NS)]
    for number in range((count - 2) // 5):
        now_ns = NOW_NS + number * 1_234_567
        for half in (0, 1):
            intent = draft(now_ns, 3 * number + half, "api.example.com", phase="intent", layer="rule")
            lines.append(chain.append(intent, now_ns))
            facts = {**intent.facts, "dialled": "203.0.113.9:443", "status": 200, "bytes_up": 517}
            facts |= {"bytes_down": 20_480, "duration_us": 48_211}
            lines.append(chain.append(attrs.evolve(intent, phase="outcome", facts=facts), now_ns))
        denied = draft(now_ns, 3 * number + 2, "evil.example", verdict="block", layer="default_deny")
        lines.append(chain.append(denied, now_ns))
    books = {"counters": {name: [0, 0] for name in COUNTERS}}
    lines.append(chain.close("exited", NOW_NS + count * 1_234_567, books))
    return lines


def write_remotely(count: int, file: Path) -> list[bytes]:
    """The same, signed by a process of its own; its start is counted too."""
    key = open_signer(f"trio-egress signer --quiet --key {shlex.quote(str(file))}")
    try:
        return write_log(count, key)
    finally:
        key.close()


def draft(now_ns: int, number: int, host: str, **members: Any) -> Draft:
    facts = {"flow": number, "host": host, "port": 443, "proto": "tls", "rule": "egress[0] 'x' (line 5)"}
    return Draft(
        **{"verdict": "allow", **members},
        action_id=uuid7(now_ns, number.to_bytes(10, "big")),
        target=f"tls://{host}:443",
        transport="transparent",
        facts={**facts, "reason": "a reason of the usual length for a decision"},
    )


def measure(works: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each pass; they take turns, so that all meet the same machine."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(PASSES):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def verify_bare(lines: list[Line]) -> None:
    key = VerifyKey(bytes.fromhex(KEY.public_hex))
    for line in lines:
        key.verify(line.digest, line.signature)


def verify_bare_by_two(lines: list[Line]) -> None:
    half = len(lines) // 2
    other = multiprocessing.get_context("fork").Process(target=verify_bare, args=(lines[:half],))
    other.start()
    verify_bare(lines[half:])
    other.join()


def verify_all(path: Path, jobs: int, *, quick: bool = False) -> None:
    with open_checkers(jobs) as checker:
        report = verify(path, [KEY.public_hex], checker=checker, quick=quick)
    assert report.verdict is (Verdict.LINKED if quick else Verdict.VALID), report


def main(count: int) -> None:
    lines = write_log(count)
    count = len(lines)
    read = [line for line in (read_line(raw[:-1]) for raw in lines) if isinstance(line, Line)]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "evidence.jsonl")
        path.write_bytes(b"".join(lines))
        works: dict[str, Callable[[], object]] = {
            "chain.append": lambda: write_log(count),
            BARE: lambda: verify_bare(read),
            BARE_TWICE: lambda: verify_bare_by_two(read),
            "trio-egress verify": lambda: verify_all(path, 1),
            "  --jobs 2": lambda: verify_all(path, 2),
            "  --quick": lambda: verify_all(path, 1, quick=True),
        }
        secret = Path(directory, "key")
        secret.touch(0o600)
        secret.write_bytes(render_private_key(KEY))
        works["append by a signer"] = lambda: write_remotely(count, secret)
        program = os.path.join(os.path.dirname(sys.executable), "pipelock-verify")
        if os.path.exists(program):
            command = [program, "--key", KEY.public_hex, str(path)]
            works["pipelock-verify"] = lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        passes = measure(works)
    print(f"{count} receipts of {sum(map(len, lines)) // count} bytes")
    for name, seconds in passes.items():
        ratio = statistics.median(bare / one for bare, one in zip(passes[BARE], seconds, strict=True))
        each = min(seconds) / count
        print(f"{name:<20}{each * 1e6:8.1f} us a receipt{1 / each:10.0f} a second{ratio:8.2f} of bare PyNaCl")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
