"""What holds of every policy, whatever it says: one of these broken is a bug of the engine.

The engine is an argument, so that another one (yours, or a wrong one in a test) can be held to the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from trio_egress.fuzzing.attempts import attempts_at, render_attempt
from trio_egress.fuzzing.hosts import Choices
from trio_egress.fuzzing.invariants import Invariant, covers
from trio_egress.fuzzing.moments import moments
from trio_egress.fuzzing.policies import denials
from trio_egress.fuzzing.urls import DEFAULT_PORTS, Url, paths, read_url, spell_url
from trio_egress.model import HOST_INTERNAL, Attempt, Decision, Layer, Protocol, Transport
from trio_egress.policy.compiled import parse_compiled, policy_hash, render_compiled
from trio_egress.policy.engine import decide
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy, Rule
from trio_egress.values import frozen

_PLAIN = re.compile(r"/|(/([A-Za-z0-9_~-]|%[0-9A-Fa-f]{2})([A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})*)+")
"""Paths of which `spell_url` knows the other spellings."""

Engine = Callable[[Policy, Attempt, Moment], Decision]


@frozen
class Asked:
    """An attempt and the moment at which it is made; for some claims another policy, or a rule to add."""

    attempt: Attempt
    moment: Moment
    other: Policy | None = None
    rule: Rule | None = None

    def __str__(self) -> str:
        able = "+".join(sorted(need.value for need in self.moment.able)) or "nothing"
        added = "" if self.rule is None else f"; and with the rule {self.rule.terms}"
        return f"{render_attempt(self.attempt)}, at {self.moment.now_us} with {able} possible{added}"


@frozen
class SpeltTwice:
    """A URL and two spellings of it."""

    url: Url
    one: str
    other: str
    moment: Moment

    def __str__(self) -> str:
        return f"{self.one!r} and {self.other!r} both mean {self.url}"


def make_invariants(engine: Engine) -> tuple[Invariant, ...]:
    """The claims, each to be held by this engine."""
    return (
        Invariant("every attempt gets a whole decision, twice the same", partial(_is_whole, engine), _asked),
        Invariant(
            "what is allowed, a rule names that allows it alone", partial(_one_rule_allows, engine), _asked
        ),
        Invariant("removing a rule that allows never allows more", partial(_removal_narrows, engine), _asked),
        Invariant(
            "adding a rule that denies never allows more",
            partial(_denial_narrows, engine),
            _asked_with_denial,
        ),
        Invariant(
            "what the boundary can't do never allows more", partial(_blindness_narrows, engine), _asked
        ),
        Invariant("a name that may be connected to may be asked for", partial(_may_be_asked, engine), _asked),
        Invariant(
            "two spellings of one URL get one decision", partial(_spellings_agree, engine), _spelt_twice
        ),
        Invariant(
            "the compiled form reads back, and decides alike",
            partial(_compiled_agrees, engine),
            _asked_of_both,
        ),
    )


def reach(decision: Decision) -> tuple[bool, bool]:
    """What a decision opens: anything at all, and addresses that are not outside."""
    return decision.allowed, decision.upstream is not None and decision.upstream.allow_private


def _is_within(less: Decision, more: Decision) -> bool:
    return all(few <= many for few, many in zip(reach(less), reach(more), strict=True))


def with_rules(policy: Policy, rules: tuple[Rule, ...]) -> Policy:
    """The policy with these rules instead. They keep their places and lines."""
    return attrs.evolve(policy, rules=rules)


def _is_whole(engine: Engine, policy: Policy, asked: Asked) -> bool:
    attempt, moment = asked.attempt, asked.moment
    decision = engine(policy, attempt, moment)
    return (
        decision == engine(policy, attempt, moment)
        and decision.reason.isprintable()
        and decision.allowed is (decision.layer is Layer.RULE)
        and (decision.rule is not None or not decision.allowed)
        and (decision.upstream is not None) is (decision.allowed and attempt.protocol is not Protocol.DNS)
        and (decision.needs <= moment.able or not decision.allowed)
    )


def _one_rule_allows(engine: Engine, policy: Policy, asked: Asked) -> bool:
    """Where nothing denies, the other way round, too: what one rule allows alone, all allow."""
    alone = [
        rule
        for rule in policy.rules
        if covers(rule.terms.destination.pattern, asked.attempt.host)
        and engine(with_rules(policy, (rule,)), asked.attempt, asked.moment).allowed
    ]
    decision = engine(policy, asked.attempt, asked.moment)
    if not decision.allowed:
        return policy.denials is not None or not alone
    return decision.rule in [rule.ref for rule in alone]


def _removal_narrows(engine: Engine, policy: Policy, asked: Asked) -> bool:
    whole = engine(policy, asked.attempt, asked.moment)
    for place, rule in enumerate(policy.rules):
        rest = with_rules(policy, policy.rules[:place] + policy.rules[place + 1 :])
        less = engine(rest, asked.attempt, asked.moment)
        if not (_is_within(whole, less) if rule.terms.deny else _is_within(less, whole)):
            return False
    return True


def _denial_narrows(engine: Engine, policy: Policy, asked: Asked) -> bool:
    assert asked.rule is not None
    added = with_rules(policy, (*policy.rules, asked.rule))
    less = engine(added, asked.attempt, asked.moment)
    if not _is_within(less, engine(policy, asked.attempt, asked.moment)):
        return False
    bare = asked.rule.plain and asked.rule.terms.methods is None and asked.rule.terms.destination.port is None
    return not (bare and less.allowed and covers(asked.rule.terms.destination.pattern, asked.attempt.host))


def _blindness_narrows(engine: Engine, policy: Policy, asked: Asked) -> bool:
    whole = engine(policy, asked.attempt, asked.moment)
    less = (attrs.evolve(asked.moment, able=asked.moment.able - {need}) for need in asked.moment.able)
    return all(_is_within(engine(policy, asked.attempt, moment), whole) for moment in less)


def _may_be_asked(engine: Engine, policy: Policy, asked: Asked) -> bool:
    host = asked.attempt.host
    if not isinstance(host, str) or not engine(policy, asked.attempt, asked.moment).allowed:
        return True
    return engine(policy, Attempt(Transport.DNS, Protocol.DNS, host, 0), asked.moment).allowed


def _spellings_agree(engine: Engine, policy: Policy, case: SpeltTwice) -> bool:
    one, other = (engine(policy, read_url(spelt), case.moment) for spelt in (case.one, case.other))
    return attrs.evolve(one, reason="") == attrs.evolve(other, reason="")


def _compiled_agrees(engine: Engine, policy: Policy, asked: Asked) -> bool:
    assert asked.other is not None
    one, other = (engine(each, asked.attempt, asked.moment) for each in (policy, asked.other))
    return (
        policy_hash(asked.other) == policy_hash(policy)
        and attrs.evolve(one, reason="", rule=None) == attrs.evolve(other, reason="", rule=None)
        and (one.rule is None) is (other.rule is None)
    )


def _asked(policy: Policy) -> SearchStrategy[Asked]:
    return st.builds(Asked, attempts_at(policy), moments(policy))


def _asked_with_denial(policy: Policy) -> SearchStrategy[Asked]:
    """The rule is about what the policy's own rules are about."""
    texts = [str(attrs.evolve(rule.terms.destination, port=None)) for rule in policy.rules]
    added = denials(sorted({*texts} - {HOST_INTERNAL}), len(policy.rules))
    return st.builds(Asked, attempts_at(policy), moments(policy), rule=added)


def _asked_of_both(policy: Policy) -> SearchStrategy[Asked]:
    """What was used of a rule is not asked about: in the compiled form the rules have other places."""
    times = moments(policy).map(lambda moment: Moment(now_us=moment.now_us, able=moment.able))
    return st.builds(Asked, attempts_at(policy), times, st.just(parse_compiled(render_compiled(policy))))


def _spelt_twice(policy: Policy) -> SearchStrategy[SpeltTwice]:
    numbers = st.integers(0, 2**128 - 1)
    schemes = st.sampled_from(sorted(DEFAULT_PORTS))
    return st.builds(_spell_twice, attempts_at(policy), paths(), schemes, numbers, numbers, moments(policy))


def _spell_twice(
    attempt: Attempt, other_path: str, scheme: str, one: int, other: int, moment: Moment
) -> SpeltTwice:
    """`other_path`: where the attempt has none, or one of which not all spellings are known."""
    path = attempt.path if attempt.path and _PLAIN.fullmatch(attempt.path) else other_path
    url = Url(scheme, attempt.host, attempt.port or DEFAULT_PORTS[scheme], path)
    return SpeltTwice(url, spell_url(url, Choices(one)), spell_url(url, Choices(other)), moment)


INVARIANTS = make_invariants(decide)
