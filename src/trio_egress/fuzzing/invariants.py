"""Claims about a policy, each with the cases in which it is to be tried; those that hold of every policy; and yours.

Rule 1: a claim is one sentence that a reviewer can read, and a function that is true as long as it holds.
Rule 2: an error that the function raises breaks the claim, too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from trio_egress.fuzzing import hosts as host_strategies
from trio_egress.fuzzing.attempts import attempts_at, render_attempt
from trio_egress.fuzzing.hosts import Choices
from trio_egress.fuzzing.urls import DEFAULT_PORTS, Url, read_url, spell_url
from trio_egress.model import Attempt, Decision, Host, Layer, Protocol, Transport
from trio_egress.policy.destination import Below, Exact, Pattern, parse_destination
from trio_egress.policy.engine import decide
from trio_egress.policy.rule import Policy

Engine = Callable[[Policy, Attempt], Decision]


@attrs.frozen
class Invariant:
    """A claim. `holds` gets the policy and one case; `cases` says of a policy which cases to try."""

    claim: str
    holds: Callable[[Policy, Any], bool]
    cases: Callable[[Policy], SearchStrategy[Any]] = attempts_at

    def explain(self, policy: Policy, case: object) -> str:
        """The case in words; of an attempt also what the policy says."""
        if not isinstance(case, Attempt):
            return str(case)
        decision = decide(policy, case)
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
        if wanted.port not in (None, attempt.port):
            return True
        return not (_covers(wanted.pattern, attempt.host) and decide(policy, attempt).allowed)

    hosts = host_strategies.hosts_in(wanted.pattern)
    ports = () if wanted.port is None else (wanted.port,)
    return Invariant(
        f"nothing at {wanted} is ever allowed", holds, lambda policy: attempts_at(policy, hosts, ports)
    )


def _covers(pattern: Pattern, host: Host) -> bool:
    """Said once more, and not as the engine says it: this is what judges the engine."""
    match pattern:
        case Exact(exact):
            return host == exact
        case Below(name):
            return isinstance(host, str) and host.endswith(f".{name}")
        case wide:
            return not isinstance(host, str) and host.version == wide.network.version and host in wide.network


def reach(decision: Decision) -> tuple[bool, bool]:
    """What a decision opens: anything at all, and addresses that are not outside."""
    return decision.allowed, decision.upstream is not None and decision.upstream.allow_private


def without_rule(policy: Policy, place: int) -> Policy:
    """The policy as if this rule were not in it. The others keep their names."""
    return attrs.evolve(policy, rules=policy.rules[:place] + policy.rules[place + 1 :])


def _is_whole(decide: Engine, policy: Policy, attempt: Attempt) -> bool:
    decision = decide(policy, attempt)
    return (
        decision == decide(policy, attempt)
        and decision.reason.isprintable()
        and decision.allowed is (decision.layer is Layer.RULE)
        and (decision.rule is not None or not decision.allowed)
        and (decision.upstream is not None) is (decision.allowed and attempt.protocol is not Protocol.DNS)
    )


def _is_named_by_a_rule(decide: Engine, policy: Policy, attempt: Attempt) -> bool:
    if not decide(policy, attempt).allowed:
        return True
    return any(_covers(rule.terms.destination.pattern, attempt.host) for rule in policy.rules)


def _removal_narrows(decide: Engine, policy: Policy, attempt: Attempt) -> bool:
    allowed, private = reach(decide(policy, attempt))
    for place in range(len(policy.rules)):
        less = reach(decide(without_rule(policy, place), attempt))
        if less[0] > allowed or less[1] > private:
            return False
    return True


def _name_can_be_asked_for(decide: Engine, policy: Policy, attempt: Attempt) -> bool:
    if not isinstance(attempt.host, str) or not decide(policy, attempt).allowed:
        return True
    return decide(policy, Attempt(Transport.DNS, Protocol.DNS, attempt.host, 0)).allowed


@attrs.frozen
class SpeltTwice:
    """A URL and two spellings of it."""

    url: Url
    one: str
    other: str

    def __str__(self) -> str:
        return f"{self.one!r} and {self.other!r} both mean {self.url}"


def _spellings_agree(decide: Engine, policy: Policy, case: SpeltTwice) -> bool:
    one, other = (decide(policy, read_url(spelt)) for spelt in (case.one, case.other))
    return attrs.evolve(one, reason="") == attrs.evolve(other, reason="")


def _spelt_twice(policy: Policy) -> SearchStrategy[SpeltTwice]:
    numbers = st.integers(0, 2**128 - 1)
    return st.builds(
        _spell_twice, attempts_at(policy), st.sampled_from(sorted(DEFAULT_PORTS)), numbers, numbers
    )


def _spell_twice(attempt: Attempt, scheme: str, one: int, other: int) -> SpeltTwice:
    port = attempt.port or DEFAULT_PORTS[scheme]
    url = Url(scheme, attempt.host, port, attempt.path or "/")
    return SpeltTwice(url, spell_url(url, Choices(one)), spell_url(url, Choices(other)))


def make_invariants(decide: Engine) -> tuple[Invariant, ...]:
    """What holds of every policy, whatever it says, as this engine judges by it."""
    return (
        Invariant("every attempt gets a whole decision, twice the same", partial(_is_whole, decide)),
        Invariant("what is allowed, a rule names", partial(_is_named_by_a_rule, decide)),
        Invariant("removing a rule that allows never allows more", partial(_removal_narrows, decide)),
        Invariant(
            "a name that may be connected to may be asked for", partial(_name_can_be_asked_for, decide)
        ),
        Invariant(
            "two spellings of one URL get one decision", partial(_spellings_agree, decide), _spelt_twice
        ),
    )


INVARIANTS = make_invariants(decide)
"""One of these broken is a bug of trio-egress."""
