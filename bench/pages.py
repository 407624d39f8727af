"""How long the pages of a packet take, and how long they are: of a small run, and of one with many receipts and hosts.

`python bench/pages.py [receipts]`. Prints the best of three passes.
"""

from __future__ import annotations

import hashlib
import io
import sys
import time
from collections.abc import Callable
from typing import Any

import attrs

from trio_egress.evidence.balance import COUNTERS
from trio_egress.evidence.chain import Chain
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.receipt import Draft, uuid7
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.report import Report, conclude
from trio_egress.evidence.session import Session
from trio_egress.evidence.sign import generate
from trio_egress.evidence.stream import replay_stream
from trio_egress.pages.dossier import Dossier, compile_dossier
from trio_egress.pages.report import render_report
from trio_egress.pages.summary import render_summary
from trio_egress.policy.compiled import policy_hash
from trio_egress.policy.load import load_policy

KEY = generate(hashlib.sha256(b"bench").digest())
PASSES = 3
NOW_NS = 1_800_000_000_000_000_000
RULES = "".join(f'[[egress]]\ndestination = "host-{number}.example"\n' for number in range(1000))
POLICY = f'version = "1.0"\ndefault_deny = true\n{RULES}'
LOADED = load_policy(POLICY, "policy.toml")


def write_log(count: int) -> bytes:
    """Of three receipts two are an allowed attempt and one a denied one, each of another host."""
    chain = Chain(KEY, Session("run", "aa" * 16, "bb" * 16, policy_hash(LOADED), 30, "uid:1000", "agent"))
    lines = [chain.open(NOW_NS)]
    for number in range((count - 2) // 3):
        now_ns = NOW_NS + number * 1_234_567
        intent = draft(now_ns, 2 * number, f"host-{number}.example", phase="intent", layer="rule")
        outcome = attrs.evolve(intent, phase="outcome", facts={**intent.facts, "bytes_up": 517})
        denied = draft(
            now_ns, 2 * number + 1, f"evil-{number}.example", verdict="block", layer="default_deny"
        )
        lines += [chain.append(one, now_ns) for one in (intent, outcome, denied)]
    books = {"counters": {name: [0, 0] for name in COUNTERS}}
    lines.append(chain.close("exited", NOW_NS + count * 1_234_567, books))
    return b"".join(lines)


def draft(now_ns: int, number: int, host: str, **members: Any) -> Draft:
    facts = {
        "flow": number,
        "host": host,
        "port": 443,
        "proto": "tls",
        "reason": "a reason of the usual length",
    }
    return Draft(
        **{"verdict": "allow", **members},
        action_id=uuid7(now_ns, number.to_bytes(10, "big")),
        target=f"tls://{host}:443",
        transport="transparent",
        facts=facts,
    )


def judge(raw: bytes) -> Report:
    findings = Findings()
    replay = Replay(findings, "evidence.jsonl", {KEY.public_hex})
    replay_stream(io.BytesIO(raw), replay)
    return conclude("evidence.jsonl", replay, findings, pinned=True)


def measure(what: Callable[[], object]) -> float:
    """Milliseconds."""
    best = float("inf")
    for _ in range(PASSES):
        began = time.perf_counter()
        what()
        best = min(best, time.perf_counter() - began)
    return 1000 * best


def tell(count: int) -> str:
    raw = write_log(count)
    report = judge(raw)
    policies = {policy_hash(LOADED): LOADED}

    def read() -> Dossier:
        files = {"policy.toml": POLICY.encode()}
        return compile_dossier(io.BytesIO(raw), report, files, policies, claimed=True)

    dossier = read()
    jobs = (read, lambda: render_report(dossier), lambda: render_summary(dossier), lambda: judge(raw))
    times = "".join(f"{measure(job):9.1f} ms" for job in jobs)
    return f"{count:9}{times}{len(render_report(dossier)):10} B{len(render_summary(dossier)):10} B"


def main() -> None:
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print(f"{'receipts':>9}{'read':>12}{'page':>12}{'summary':>12}{'verify':>12}{'page':>12}{'summary':>12}")
    for count in (20, many):
        print(tell(count))


if __name__ == "__main__":
    main()
