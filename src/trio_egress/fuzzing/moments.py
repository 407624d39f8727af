"""Moments as strategies: what the boundary can do, what time it is, and what has been used of each rule.

`ever_allowed` asks whether an attempt could be allowed at all, at the best moment there is.
"""

from __future__ import annotations

from types import MappingProxyType

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from trio_egress.model import Attempt, Decision, Need
from trio_egress.policy.budget import State, Usage
from trio_egress.policy.engine import decide
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy

ALL_ABLE = frozenset(Need)
MINUTE_US = 60_000_000
MONDAY_US = 4 * 24 * 60 * MINUTE_US
"""1970-01-05 00:00."""


def find_times(policy: Policy) -> tuple[int, ...]:
    """One time for each window of each rule, at its beginning, and for the last minute before it."""
    windows = {window for rule in policy.rules for window in rule.terms.times or ()}
    begins = {MONDAY_US + (window.first * 24 * 60 + window.begin) * MINUTE_US for window in windows}
    return tuple(sorted({MONDAY_US, *begins, *(begin - MINUTE_US for begin in begins)}))


def moments(policy: Policy) -> SearchStrategy[Moment]:
    """Mostly one at which the boundary can do everything."""
    limited = [rule.ref.index for rule in policy.rules if rule.terms.limits is not None]
    numbers = st.sampled_from((0, 1, 2, 1 << 20))
    usages = st.builds(Usage, open=st.integers(0, 3), bytes_up=numbers, bytes_down=numbers, requests=numbers)
    used = st.dictionaries(st.sampled_from(limited), usages) if limited else st.just({})
    return st.builds(
        lambda usages, now_us, able: Moment(State(MappingProxyType(usages)), now_us, able),
        used,
        st.sampled_from((*find_times(policy), None)),
        st.just(ALL_ABLE) | st.frozensets(st.sampled_from(Need)),
    )


def best_moments(policy: Policy) -> list[Moment]:
    """Of all moments only these matter for what is ever allowed: nothing used yet, everything possible, each time."""
    return [Moment(now_us=now_us, able=ALL_ABLE) for now_us in find_times(policy)]


def ever_allowed(policy: Policy, attempt: Attempt) -> Decision | None:
    """The decision that allows the attempt at some moment, by a boundary that can do everything; None if none does."""
    decisions = (decide(policy, attempt, moment) for moment in best_moments(policy))
    return next((decision for decision in decisions if decision.allowed), None)
