"""An explanation says what the engine decides, in print; a rule that it suggests allows the attempt."""

from __future__ import annotations

from driver import fuzz, instrumented
from hypothesis import given
from hypothesis import strategies as st

with instrumented():
    from trio_egress.fuzzing import attempts_at, moments, policies
    from trio_egress.fuzzing.moments import ALL_ABLE
    from trio_egress.model import Protocol
    from trio_egress.policy.engine import decide
    from trio_egress.policy.explain import explain, suggest
    from trio_egress.policy.load import load_policy
    from trio_egress.policy.moment import Moment
    from trio_egress.policy.rule import Policy
    from trio_egress.policy.spelling import Spelt
    from trio_egress.policy.writing import render_policy


@given(policies(), st.data())
def search(policy: Policy, data: st.DataObject) -> None:
    attempt = data.draw(attempts_at(policy))
    moment = data.draw(moments(policy))
    explanation = explain(policy, Spelt(attempt), moment)
    (step,) = explanation.steps
    assert step.decision == decide(policy, attempt, moment)
    assert all(miss.isprintable() for miss in step.misses)
    if explanation.allowed or attempt.protocol is Protocol.DNS:
        return
    rule = suggest(policy, Spelt(attempt), Moment(able=ALL_ABLE))
    if rule is not None:
        alone = load_policy(render_policy([rule], {}), "f.toml")
        assert policy.resolve.pins or decide(alone, attempt, Moment(able=ALL_ABLE)).allowed, (rule, attempt)


def check(raw: bytes) -> None:
    search.hypothesis.fuzz_one_input(raw)  # type: ignore[attr-defined]


if __name__ == "__main__":
    fuzz(check, "explain")
