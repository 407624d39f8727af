"""How long it takes to read the first bytes of a connection and a DNS query: `python bench/parse.py`, on one idle core.

The best of several rounds, over the real messages of fuzz/corpus.
Goal: a ClientHello in under 50 µs, a DNS query and its answer in under 10 µs together.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from pathlib import Path

from trio_egress.wire.dns import parse_query, render_addresses, render_denial
from trio_egress.wire.sniff import sniff
from trio_egress.wire.tls_hello import parse_client_hello

CORPUS = Path(__file__).parents[1] / "fuzz" / "corpus"
ADDRESSES = (ip_address("198.18.0.2"), ip_address("fd74:7269:6f65:6772::2"))
ROUNDS = 20
CALLS = 2_000


def measure_microseconds(call: Callable[[], object]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        best = min(best, time.perf_counter() - start)
    return best / CALLS * 1e6


def main() -> None:
    for client in ("curl", "python", "java"):
        hello = (CORPUS / "tls_hello" / client).read_bytes()
        took = measure_microseconds(partial(parse_client_hello, hello))
        print(f"ClientHello of {client:18} {len(hello):4} bytes {took:6.2f} µs")
    raw = (CORPUS / "dns" / "glibc-a").read_bytes()
    query = parse_query(raw)
    calls: dict[str, Callable[[], object]] = {
        "DNS query": lambda: parse_query(raw),
        "DNS answer": lambda: render_addresses(query, ADDRESSES, 300),
        "DNS denial": lambda: render_denial(query, "no rule allows evil.example"),
        "first bytes of HTTP": lambda: sniff(b"GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n"),
    }
    for label, call in calls.items():
        print(f"{label:44} {measure_microseconds(call):6.2f} µs")


if __name__ == "__main__":
    main()
