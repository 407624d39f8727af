"""What a decision hangs on beside the policy and the attempt: a value, so that it can be recorded and decided again."""

from __future__ import annotations

from trio_egress.model import NO_NEEDS, Need
from trio_egress.policy.budget import NOTHING_USED, State
from trio_egress.values import frozen


@frozen
class Moment:
    """`state`: what has been used of the rules. `now_us`: Unix time in microseconds; without it no `times` hold.
    `able`: what the boundary can do. `observing`: nothing is enforced, as far as `observe` goes.
    `stopped`: why nothing is allowed any more, for the reasons of denials; the policy in force denies it anyway."""

    state: State = NOTHING_USED
    now_us: int | None = None
    able: frozenset[Need] = NO_NEEDS
    observing: bool = False
    stopped: str = ""


NO_MOMENT = Moment()
