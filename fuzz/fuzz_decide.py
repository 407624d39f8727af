"""Of any policy hold: removing an allow never allows more, and whatever else trio_egress.fuzzing.INVARIANTS claims."""

from __future__ import annotations

from driver import fuzz, instrumented
from hypothesis import given
from hypothesis import strategies as st

with instrumented():
    from trio_egress.fuzzing import INVARIANTS, policies


@given(st.data())
def search(data: st.DataObject) -> None:
    policy = data.draw(policies())
    each = data.draw(st.sampled_from(INVARIANTS))
    case = data.draw(each.cases(policy))
    assert each.holds(policy, case), (each.claim, policy, case)


def check(raw: bytes) -> None:
    search.hypothesis.fuzz_one_input(raw)  # type: ignore[attr-defined]


if __name__ == "__main__":
    fuzz(check, "decide")
