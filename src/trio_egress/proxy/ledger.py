"""What the rules of one run have been used for, and the moment in which an attempt is judged.

The state is a value of the policy's (`policy.budget`); this keeps the newest one. Not a checkpoint anywhere, so that
nothing comes between a decision and its charge.

Rule 1: an attempt is charged in the turn in which it was decided, and released when it has ended, whatever ends it.
Rule 2: bytes are claimed before they go out: the budget of a rule is never overdrawn, by how many connections so ever.
"""

from __future__ import annotations

import time

import attrs

from trio_egress.errors import TrioEgressError
from trio_egress.model import Attempt, Decision, Need, RuleLimits, RuleRef
from trio_egress.policy.budget import NOTHING_USED, Limit, State, charge, explain_limit, release, spend
from trio_egress.policy.compiled import render_terms
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy

ABLE = frozenset(Need)
"""What this proxy can do of what rules may need: all of it."""


class UsedUp(TrioEgressError):
    """A rule's budget is used up: what it had allowed is cut."""


class _Book:
    """The newest state under one policy: what began under an older one never touches it."""

    def __init__(self, state: State) -> None:
        self.state = state


class Account:
    """What one allowed attempt may still use of its rule's limits."""

    def __init__(self, book: _Book, rule: RuleRef, limits: RuleLimits) -> None:
        self._book = book
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
        usage = self._book.state.of(self._rule.index)
        left = whole - (usage.bytes_up if limit is Limit.BYTES_UP else usage.bytes_down)
        if left <= 0:
            raise self.refuse(limit)
        claimed = min(wanted, left)
        self._spend(limit, claimed)
        return claimed

    def settle(self, limit: Limit, claimed: int, sent: int) -> None:
        """Of the claimed bytes so many went."""
        self._spend(limit, sent - claimed)

    def release(self) -> None:
        """The attempt has ended, whatever has ended it."""
        self._book.state = release(self._book.state, self._rule.index)

    def refuse(self, limit: Limit) -> UsedUp:
        return UsedUp(f"{self._rule} {explain_limit(self._limits, limit)}")

    def _spend(self, limit: Limit, claimed: int) -> None:
        up, down = (claimed, 0) if limit is Limit.BYTES_UP else (0, claimed)
        self._book.state = spend(self._book.state, self._rule.index, up=up, down=down)


class Ledger:
    """One for a run. `observing`: nothing is enforced (policy/observe.py)."""

    def __init__(self, *, observing: bool = False) -> None:
        self._book = _Book(NOTHING_USED)
        self._observing = observing
        self.stopped = ""
        """Why all egress was stopped, once it was."""

    def moment(self) -> Moment:
        return Moment(self._book.state, time.time_ns() // 1000, ABLE, self._observing, self.stopped)

    def stop(self, why: str) -> None:
        """From here on denials say why, and hold where nothing was enforced so far."""
        self._observing, self.stopped = False, why

    def charge(self, attempt: Attempt, decision: Decision, moment: Moment) -> Account | None:
        """Charge an allowed attempt, and release the account when it has ended. None where its rule has no limits."""
        if decision.limits is None or decision.rule is None:
            return None
        book = self._book
        book.state = charge(book.state, decision, attempt, moment.now_us or 0)
        return Account(book, decision.rule, decision.limits)

    def change(self, old: Policy, new: Policy) -> None:
        """Another policy comes into force."""
        self._book = _Book(self._carry_over(old, new))

    def moment_under(self, old: Policy, new: Policy) -> Moment:
        """The moment that it will be then."""
        return attrs.evolve(self.moment(), state=self._carry_over(old, new))

    def _carry_over(self, old: Policy, new: Policy) -> State:
        """What a rule of the same meaning has used stays used."""
        places = {
            render_terms(rule.terms): rule.ref.index for rule in old.rules if rule.terms.limits is not None
        }
        state = NOTHING_USED
        for rule in new.rules:
            index = places.get(render_terms(rule.terms)) if rule.terms.limits is not None else None
            if index is not None:
                state = state.replace(rule.ref.index, attrs.evolve(self._book.state.of(index), open=0))
        return state
