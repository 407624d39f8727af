"""How long one decision and one load take: `python bench/decide.py`, on one idle core.

The best of several rounds, so what the code costs and not what else the machine did.
Goal: an exact host in under 5 µs with 10 rules and under 10 µs with 10,000.
"""

from __future__ import annotations

import time

from trio_egress.model import Attempt, Protocol, Transport
from trio_egress.policy.engine import decide
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy

ROUNDS = 20
CALLS = 5_000
SHAPES = (
    'destination = "h{}.example.com"',
    'destination = "*.w{}.example.com"',
    'destination = "m{}.example.com"\nmethods = ["GET"]',
)
ATTEMPTS = {
    "exact host": (Protocol.TLS, "h0.example.com", 443, None),
    "wildcard": (Protocol.TLS, "a.b.w1.example.com", 443, None),
    "exact host, method": (Protocol.HTTP, "m2.example.com", 80, "GET"),
    "DNS name": (Protocol.DNS, "h0.example.com", 0, None),
    "denied, no rule": (Protocol.TLS, "evil.example.net", 443, None),
    "denied, near miss": (Protocol.HTTP, "m2.example.com", 80, "POST"),
    "denied, address": (Protocol.TLS, "8.8.8.8", 443, None),
}


def render_policy(rules: int) -> str:
    tables = [f"[[egress]]\n{SHAPES[place % len(SHAPES)].format(place)}\n" for place in range(rules)]
    return 'version = "1.0"\ndefault_deny = true\n' + "".join(tables)


def measure_microseconds(policy: Policy, attempt: Attempt) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            decide(policy, attempt)
        best = min(best, time.perf_counter() - start)
    return best / CALLS * 1e6


def main() -> None:
    for rules in (10, 1_000, 10_000):
        text = render_policy(rules)
        start = time.perf_counter()
        policy = load_policy(text, "bench.toml")
        print(f"{rules} rules, {len(text)} bytes: loaded in {(time.perf_counter() - start) * 1e3:.1f} ms")
        for label, (protocol, host, port, method) in ATTEMPTS.items():
            attempt = Attempt(Transport.TRANSPARENT, protocol, parse_host(host), port, method)
            print(f"  {label:20} {measure_microseconds(policy, attempt):6.2f} µs")


if __name__ == "__main__":
    main()
