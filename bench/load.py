"""How long a policy takes to load, by rule: `python bench/load.py [RULES …]`, on one idle core.

TOML, YAML (if it is installed), and the compiled form written and read back. Goal: linear in time and memory.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from trio_egress.errors import PolicyError
from trio_egress.policy.compiled import parse_compiled, render_compiled
from trio_egress.policy.load import load_policy

T = TypeVar("T")

RULES = (1_000, 10_000, 100_000)


def render_toml(rules: int) -> str:
    tables = (
        f'[[egress]]\ndestination = "h{n}.example.com"\nmethods = ["GET", "POST"]\n' for n in range(rules)
    )
    return 'version = "1.0"\ndefault_deny = true\n' + "".join(tables)


def render_yaml(rules: int) -> str:
    items = (f'  - destination: "h{n}.example.com"\n    methods: ["GET", "POST"]\n' for n in range(rules))
    return 'version: "1.0"\ndefault_deny: true\negress:\n' + "".join(items)


def measure(label: str, rules: int, work: Callable[[], T]) -> T:
    start = time.process_time()
    result = work()
    seconds = time.process_time() - start
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(
        f"  {label:16} {seconds:8.3f} s  {seconds / rules * 1e6:6.1f} µs a rule  {resident:5} MiB at most so far"
    )
    return result


def main() -> None:
    for rules in [int(argument) for argument in sys.argv[1:]] or RULES:
        print(f"{rules} rules")
        toml, yaml = render_toml(rules), render_yaml(rules)
        policy = measure("TOML", rules, partial(load_policy, toml, "bench.toml"))
        raw = measure("write compiled", rules, partial(render_compiled, policy))
        measure("read compiled", rules, partial(parse_compiled, raw))
        try:
            measure("YAML", rules, partial(load_policy, yaml, "bench.yaml"))
        except PolicyError as error:
            print(f"  YAML: {error}")


if __name__ == "__main__":
    main()
