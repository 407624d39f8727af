"""What the rules of one run have been used for, and the moment in which an attempt is judged.

The state is a value of the policy's (`policy.budget`); this keeps the newest one. Not a checkpoint anywhere, so that
nothing comes between a decision and its charge.

Rule 1: an attempt is charged in the turn in which it was decided, and released when it has ended, whatever ends it.
Rule 2: bytes are claimed before they go out: the budget of a rule is never overdrawn, by how many connections so ever.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from trio_egress.errors import TrioEgressError
from trio_egress.model import Attempt, Decision, Need, RuleLimits, RuleRef
from trio_egress.policy.budget import NOTHING_USED, Limit, State, charge, explain_limit, release, spend
from trio_egress.policy.moment import Moment

ABLE = frozenset({Need.METER})
"""What this proxy can do of what rules may need."""


class UsedUp(TrioEgressError):
    """A rule's budget is used up: what it had allowed is cut."""


class Account:
    """What one allowed attempt may still use of its rule's limits."""

    def __init__(self, ledger: Ledger, rule: RuleRef, limits: RuleLimits) -> None:
        self._ledger = ledger
        self._rule = rule
        self._limits = limits

    @property
    def body_bytes(self) -> int | None:
        """The largest body of a request, if there is a bound."""
        return self._limits.body

    def claim(self, limit: Limit, wanted: int) -> int:
        """How many of so many bytes may go, at least one; `settle` follows. Raises UsedUp where none may."""
        whole = self._limits.bytes_up if limit is Limit.BYTES_UP else self._limits.bytes_down
        if whole is None:
            return wanted
        left = whole - self._ledger.used(self._rule.index, limit)
        if left <= 0:
            raise self.refuse(limit)
        claimed = min(wanted, left)
        self._ledger.claim(self._rule.index, limit, claimed)
        return claimed

    def settle(self, limit: Limit, claimed: int, sent: int) -> None:
        """Of the claimed bytes so many went."""
        self._ledger.claim(self._rule.index, limit, sent - claimed)

    def refuse(self, limit: Limit) -> UsedUp:
        return UsedUp(f"{self._rule} {explain_limit(self._limits, limit)}")


class Ledger:
    """One for a run."""

    def __init__(self, *, observing: bool = False) -> None:
        self._state: State = NOTHING_USED
        self._observing = observing

    def moment(self) -> Moment:
        return Moment(self._state, time.time_ns() // 1000, ABLE, self._observing)

    @contextmanager
    def charge(self, attempt: Attempt, decision: Decision, moment: Moment) -> Iterator[Account | None]:
        """Charge an allowed attempt for as long as the body lasts. None where its rule has no limits."""
        if decision.limits is None or decision.rule is None:
            yield None
            return
        self._state = charge(self._state, decision, attempt, moment.now_us or 0)
        try:
            yield Account(self, decision.rule, decision.limits)
        finally:
            self._state = release(self._state, decision.rule.index)

    def used(self, index: int, limit: Limit) -> int:
        usage = self._state.of(index)
        return usage.bytes_up if limit is Limit.BYTES_UP else usage.bytes_down

    def claim(self, index: int, limit: Limit, claimed: int) -> None:
        up, down = (claimed, 0) if limit is Limit.BYTES_UP else (0, claimed)
        self._state = spend(self._state, index, up=up, down=down)
