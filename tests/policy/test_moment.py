"""What a decision hangs on is given, and without it there is none of it."""

from __future__ import annotations

from trio_egress.policy.budget import NOTHING_USED
from trio_egress.policy.moment import NO_MOMENT, Moment


def test_what_is_not_said_is_not_there() -> None:
    assert (NO_MOMENT.state, NO_MOMENT.now_us, NO_MOMENT.able) == (NOTHING_USED, None, frozenset())
    assert not NO_MOMENT.observing
    assert Moment() == NO_MOMENT
