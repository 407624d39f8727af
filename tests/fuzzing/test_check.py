"""The search for what breaks an invariant of a policy, and the invariants that hold of every policy."""

from __future__ import annotations

import itertools

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from trio_egress.fuzzing import INVARIANTS, Invariant, check_policy, invariant, never_allowed
from trio_egress.fuzzing.check import BATCH, EXAMPLES
from trio_egress.fuzzing.claims import Engine, make_invariants
from trio_egress.model import Attempt, Decision, Protocol
from trio_egress.policy.engine import decide
from trio_egress.policy.load import load_policy
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy, Rule

POLICY = load_policy(
    """\
version = "1.0"
default_deny = true
[[egress]]
destination = "api.example.com"
methods = ["GET"]
[[egress]]
destination = "*.corp.internal"
[[egress]]
destination = "10.0.0.0/8"
allow_private = true
[[egress]]
destination = "host.internal:5432"
""",
    "agent.toml",
)


def test_what_holds_of_every_policy_holds_of_this_one() -> None:
    report = check_policy(POLICY, examples=60)
    assert report.held, str(report)
    assert report.tried == {each.claim: 60 for each in INVARIANTS}
    assert str(report).startswith("held    every attempt gets a whole decision, twice the same (60 cases)\n")


@pytest.mark.parametrize(
    ("destination", "shown"),
    [
        ("*.corp.internal", "a.corp.internal"),
        ("*.internal", ".internal"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.0.0/16", "10.1."),
        ("api.example.com", "api.example.com"),
        ("host.internal:5432", "host.internal:5432"),
        ("db.corp.internal:443", "db.corp.internal:443"),
    ],
)
def test_what_is_never_to_be_allowed_and_is_allowed_is_found(destination: str, shown: str) -> None:
    (found,) = check_policy(POLICY, [never_allowed(destination)], examples=500).counterexamples
    assert found.claim == f"nothing at {destination} is ever allowed"
    assert shown in found.shown
    assert "is allowed: egress[" in found.shown
    assert isinstance(found.case, Attempt)
    assert decide(POLICY, found.case).allowed


@pytest.mark.parametrize(
    "destination",
    ["*.api.example.com", "corp.internal", "11.0.0.0/8", "host.internal:5433", "::/0", "*.corp.internal:22"],
)
def test_what_is_never_allowed_is_not_said_to_be(destination: str) -> None:
    report = check_policy(POLICY, [never_allowed(destination)], examples=100)
    assert report.held, str(report)


@invariant("only GET is ever sent")
def only_get(policy: Policy, attempt: Attempt) -> bool:
    allowed = decide(policy, attempt).allowed
    return not (allowed and attempt.protocol is Protocol.HTTP and attempt.method != "GET")


def test_the_smallest_case_is_shown() -> None:
    (found,) = check_policy(POLICY, [only_get], examples=500).counterexamples
    assert isinstance(found.case, Attempt)
    assert found.case.protocol is Protocol.HTTP
    assert found.case.method != "GET"
    again = check_policy(POLICY, [only_get], examples=500).counterexamples
    assert again == (found,)


def test_an_error_breaks_a_claim_too() -> None:
    @invariant("nothing is raised")
    def raising(policy: Policy, attempt: Attempt) -> bool:
        return len({80: 1, 443: 2}) > 1 and attempt.port not in (22, 443 // (attempt.port - 22))

    (found,) = check_policy(POLICY, [raising], examples=500).counterexamples
    assert found.error == "ZeroDivisionError: integer division or modulo by zero"
    assert found.error in str(found)


def test_what_is_broken_gets_no_further_turn_and_the_others_do() -> None:
    report = check_policy(POLICY, [only_get, INVARIANTS[0]], examples=2 * BATCH + 7)
    assert report.tried[INVARIANTS[0].claim] == 2 * BATCH + 7
    assert str(report).splitlines()[0] == "BROKEN  only GET is ever sent"


def test_seconds_end_a_search_that_would_go_on() -> None:
    report = check_policy(POLICY, [INVARIANTS[0]], seconds=0.01)
    assert report.tried == {INVARIANTS[0].claim: BATCH}


def test_without_a_bound_there_is_one() -> None:
    assert check_policy(POLICY, [INVARIANTS[0]]).tried == {INVARIANTS[0].claim: EXAMPLES}


def test_cases_that_cannot_be_made_are_an_error_and_no_counterexample() -> None:
    impossible = Invariant("x", lambda *_: True, lambda _: st.integers().filter(lambda _: False))
    with pytest.raises(Unsatisfiable):
        check_policy(POLICY, [impossible], examples=10)


def test_an_engine_that_allows_more_with_fewer_rules_is_found() -> None:
    def wrong(policy: Policy, attempt: Attempt, moment: Moment) -> Decision:
        return attrs.evolve(decide(policy, attempt, moment), allowed=len(policy.rules) < len(POLICY.rules))

    assert "removing a rule that allows never allows more" in broken_by(wrong)


def test_an_engine_that_allows_what_no_rule_names_is_found() -> None:
    def wrong(policy: Policy, attempt: Attempt, moment: Moment) -> Decision:
        return attrs.evolve(decide(policy, attempt, moment), allowed=True)

    assert "what is allowed, a rule names that allows it alone" in broken_by(wrong)


def test_an_engine_without_rules_that_deny_is_found() -> None:
    def wrong(policy: Policy, attempt: Attempt, moment: Moment) -> Decision:
        return decide(attrs.evolve(policy, rules=without_denials(policy)), attempt, moment)

    assert broken_by(wrong) == {"adding a rule that denies never allows more"}


def test_an_engine_in_which_what_denies_allows_is_found() -> None:
    def wrong(policy: Policy, attempt: Attempt, moment: Moment) -> Decision:
        if len(without_denials(policy)) < len(policy.rules):
            return attrs.evolve(decide(policy, attempt, moment), allowed=True)
        return decide(policy, attempt, moment)

    assert "adding a rule that denies never allows more" in broken_by(wrong)


def test_an_engine_that_allows_what_it_cannot_look_into_is_found() -> None:
    def wrong(policy: Policy, attempt: Attempt, moment: Moment) -> Decision:
        decision = decide(policy, attempt, moment)
        return decision if moment.able else attrs.evolve(decision, allowed=True)

    assert "what the boundary can't do never allows more" in broken_by(wrong)


def test_an_engine_that_goes_by_the_line_of_a_rule_is_found() -> None:
    def wrong(policy: Policy, attempt: Attempt, moment: Moment) -> Decision:
        decision = decide(policy, attempt, moment)
        return decision if decision.line in (None, 1) else attrs.evolve(decision, allowed=True)

    assert "the compiled form reads back, and decides alike" in broken_by(wrong)


def without_denials(policy: Policy) -> tuple[Rule, ...]:
    return tuple(rule for rule in policy.rules if not rule.terms.deny)


def test_an_engine_that_changes_its_mind_is_found() -> None:
    answers = itertools.count()

    def wrong(policy: Policy, attempt: Attempt, moment: Moment) -> Decision:
        return attrs.evolve(decide(policy, attempt, moment), reason=str(next(answers)))

    assert broken_by(wrong) == {"every attempt gets a whole decision, twice the same"}


def test_an_engine_that_looks_at_the_spelling_is_found() -> None:
    def wrong(policy: Policy, attempt: Attempt, moment: Moment) -> Decision:
        return attrs.evolve(decide(policy, attempt, moment), allowed="%" not in (attempt.path or ""))

    assert "two spellings of one URL get one decision" in broken_by(wrong)


def test_an_engine_that_denies_every_name_is_found() -> None:
    def wrong(policy: Policy, attempt: Attempt, moment: Moment) -> Decision:
        decision = decide(policy, attempt, moment)
        return attrs.evolve(decision, allowed=decision.allowed and attempt.protocol is not Protocol.DNS)

    assert "a name that may be connected to may be asked for" in broken_by(wrong)


def broken_by(engine: Engine) -> set[str]:
    report = check_policy(POLICY, make_invariants(engine), examples=150)
    return {found.claim for found in report.counterexamples}
