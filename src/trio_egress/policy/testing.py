"""Decides the tests of a policy and compares: the engine's answer against what its writer expects."""

from __future__ import annotations

import attrs

from trio_egress.model import Decision
from trio_egress.policy.cases import Case
from trio_egress.policy.explain import Explanation, explain
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy
from trio_egress.policy.spelling import parse_spelling
from trio_egress.values import frozen


@frozen
class Outcome:
    """What came of a case; `fault` is empty where all is as expected."""

    case: Case
    explanation: Explanation
    fault: str


def try_case(policy: Policy, case: Case, moment: Moment) -> Outcome:
    """`moment` at the time of the case, where it names one."""
    at = moment if case.at is None else attrs.evolve(moment, now_us=case.at)
    explanation = explain(policy, parse_spelling(case.attempt), at)
    return Outcome(case, explanation, _find_fault(case, explanation))


def _find_fault(case: Case, explanation: Explanation) -> str:
    decision = explanation.steps[-1].decision
    if explanation.allowed != case.expect:
        return f"{'denied' if case.expect else 'allowed'}: {decision.reason}"
    if case.rule is not None and case.rule not in _names(decision):
        return f"decided by {decision.rule or 'no rule'}, not by {case.rule}"
    return ""


def _names(decision: Decision) -> tuple[str | None, ...]:
    return () if decision.rule is None else (decision.rule.name, decision.rule.destination)
