"""How long one decision and one load take: `python bench/decide.py`, on one idle core.

The best of several rounds, so what the code costs and not what else the machine did.
Goal: an exact host in under 5 µs with 10 rules and under 10 µs with 10,000.
"""

from __future__ import annotations

import time

from trio_egress.model import Attempt, Need, Protocol, Transport
from trio_egress.policy.engine import decide
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.load import load_policy
from trio_egress.policy.moment import NO_MOMENT, Moment
from trio_egress.policy.rule import Policy

ROUNDS = 500
CALLS = 200
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


RULE = """
[[egress]]
destination = "all.example.com"
methods = ["GET"]
paths = ["/v1/**", "/v2/*/x"]
query = ["page", "per_page"]
headers = { forbidden = ["x-api-key"] }
times = ["Mon-Sun 00:00-24:00 UTC"]
limits = { requests = "1000000/second", connections = 1000 }
[[egress]]
destination = "*.example.com"
deny = true
paths = ["/admin/**"]
protocol = "http"
"""
"""One that says all that can be judged of plain HTTP, and one that denies some of it."""

REQUEST = Attempt(
    Transport.TRANSPARENT,
    Protocol.HTTP,
    parse_host("all.example.com"),
    80,
    "GET",
    "/v1/repos/some/name",
    query=frozenset({"page"}),
    headers=frozenset({"host", "accept", "user-agent", "accept-encoding", "connection"}),
    body_bytes=0,
    calls=(),
)


NETWORK = """
[[egress]]
destination = "{}.{}.0.0/16"
deny = true
"""
"""No name may lead there: each decision about a name says so."""


def render_policy(rules: int) -> str:
    tables = [f"[[egress]]\n{SHAPES[place % len(SHAPES)].format(place)}\n" for place in range(rules)]
    return 'version = "1.0"\ndefault_deny = true\n' + "".join(tables)


def measure_microseconds(policy: Policy, attempt: Attempt, moment: Moment = NO_MOMENT) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            decide(policy, attempt, moment)
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
        policy = load_policy(text + RULE, "bench.toml")
        moment = Moment(now_us=0, able=frozenset(Need))
        print(f"  {'every key of a rule':20} {measure_microseconds(policy, REQUEST, moment):6.2f} µs")
        denied = "".join(NETWORK.format(20 + place // 256, place % 256) for place in range(rules))
        policy = load_policy(render_policy(1) + denied, "bench.toml")
        attempt = Attempt(Transport.TRANSPARENT, Protocol.TLS, parse_host("h0.example.com"), 443)
        print(f"  {f'{rules} denied networks':20} {measure_microseconds(policy, attempt):6.2f} µs")


if __name__ == "__main__":
    main()
