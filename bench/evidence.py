"""How fast receipts are written and checked, beside bare PyNaCl and pipelock-verify on the same file in one run.

`python bench/evidence.py [receipts]`. Prints the best of three passes for what is ours and for PyNaCl.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import attrs
from nacl.signing import VerifyKey

from trio_egress.evidence.balance import COUNTERS
from trio_egress.evidence.chain import Chain
from trio_egress.evidence.line import Line, read_line
from trio_egress.evidence.receipt import Draft, uuid7
from trio_egress.evidence.session import Session
from trio_egress.evidence.sign import generate
from trio_egress.evidence.verify import verify

KEY = generate(hashlib.sha256(b"bench").digest())
PASSES = 3
NOW_NS = 1_800_000_000_000_000_000


def write_log(count: int) -> list[bytes]:
    """Two allowed attempts (four receipts) for each denied one, with the facts that the proxy records."""
    chain = Chain(KEY, Session("run", "aa" * 16, "bb" * 16, "sha256:" + "0" * 64, 30, "uid:1000", "agent"))
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


def draft(now_ns: int, number: int, host: str, **members: str) -> Draft:
    facts = {"flow": number, "host": host, "port": 443, "proto": "tls", "rule": "egress[0] 'x' (line 5)"}
    return Draft(
        **{"verdict": "allow", **members},
        action_id=uuid7(now_ns, number.to_bytes(10, "big")),
        target=f"tls://{host}:443",
        transport="transparent",
        facts={**facts, "reason": "a reason of the usual length for a decision"},
    )


def measure(work: Callable[[], object]) -> float:
    """Seconds of the best pass."""
    best = float("inf")
    for _ in range(PASSES):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def verify_bare(lines: list[Line]) -> None:
    key = VerifyKey(bytes.fromhex(KEY.public_hex))
    for line in lines:
        key.verify(line.digest, line.signature)


def main(count: int) -> None:
    lines = write_log(count)
    count = len(lines)
    read = [line for line in (read_line(raw[:-1]) for raw in lines) if isinstance(line, Line)]
    rates = [("chain.append", measure(lambda: write_log(count)))]
    rates.append(("bare PyNaCl verify", measure(lambda: verify_bare(read))))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "evidence.jsonl")
        path.write_bytes(b"".join(lines))
        assert verify(path, [KEY.public_hex]).exit_code == 0
        rates.append(("trio-egress verify", measure(lambda: verify(path, [KEY.public_hex]))))
        program = os.path.join(os.path.dirname(sys.executable), "pipelock-verify")
        if os.path.exists(program):
            started = time.perf_counter()
            subprocess.run([program, "--key", KEY.public_hex, path], check=True, stdout=subprocess.DEVNULL)
            rates.append(("pipelock-verify", time.perf_counter() - started))
    print(f"{count} receipts of {sum(map(len, lines)) // count} bytes")
    for name, seconds in rates:
        print(f"{name:<20}{seconds / count * 1e6:8.1f} us a receipt{count / seconds:10.0f} a second")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
