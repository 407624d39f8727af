"""A claim about a policy, with the cases in which it is to be tried, and how to make one.

Those that hold of every policy are in `claims`.

Rule 1: a claim is one sentence that a reviewer can read, and a function that is true as long as it holds.
Rule 2: an error that the function raises breaks the claim, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis.strategies import SearchStrategy

from trio_egress.fuzzing import hosts as host_strategies
from trio_egress.fuzzing.attempts import attempts_at, render_attempt
from trio_egress.fuzzing.moments import ever_allowed
from trio_egress.model import Attempt, Host
from trio_egress.policy.destination import Below, Exact, Pattern, parse_destination
from trio_egress.policy.engine import decide
from trio_egress.policy.rule import Policy
from trio_egress.values import frozen


@frozen
class Invariant:
    """A claim. `holds` gets the policy and one case; `cases` says of a policy which cases to try."""

    claim: str
    holds: Callable[[Policy, Any], bool]
    cases: Callable[[Policy], SearchStrategy[Any]] = attempts_at

    def explain(self, policy: Policy, case: object) -> str:
        """The case in words; of an attempt also what the policy says, at the moment at which it says the most."""
        if not isinstance(case, Attempt):
            return str(case)
        decision = ever_allowed(policy, case) or decide(policy, case)
        verdict = "allowed" if decision.allowed else "denied"
        return f"{render_attempt(case)} is {verdict}: {decision.reason}"


def invariant(
    claim: str, *, hosts: SearchStrategy[Host] | None = None
) -> Callable[[Callable[[Policy, Attempt], bool]], Invariant]:
    """Makes an invariant of a function of policy and attempt. `hosts`: further ones that it is about."""
    return lambda holds: Invariant(claim, holds, lambda policy: attempts_at(policy, hosts))


def never_allowed(destination: str) -> Invariant:
    """Nothing that the destination covers is ever allowed: on its port, or else on no port and not even by name (DNS).

    `*.x` covers every name that ends in `.x`, `host.internal` too if it does.
    """
    wanted = parse_destination(destination)

    def holds(policy: Policy, attempt: Attempt) -> bool:
        if wanted.port not in (None, attempt.port) or not covers(wanted.pattern, attempt.host):
            return True
        return ever_allowed(policy, attempt) is None

    hosts = host_strategies.hosts_in(wanted.pattern)
    ports = () if wanted.port is None else (wanted.port,)
    return Invariant(
        f"nothing at {wanted} is ever allowed", holds, lambda policy: attempts_at(policy, hosts, ports)
    )


def covers(pattern: Pattern, host: Host) -> bool:
    """Said once more, and not as the engine says it: this is what judges the engine."""
    match pattern:
        case Exact(exact):
            return host == exact
        case Below(name):
            return isinstance(host, str) and host.endswith(f".{name}")
        case wide:
            return not isinstance(host, str) and host.version == wide.network.version and host in wide.network
