"""The policy that is in force, and what is open under it; it can be changed while a run lives.

Rule 1: what a new policy does not allow, leads elsewhere, or asks more of the boundary than was done so far (TLS that
        was left closed), ends when it comes into force, and its outcome says so.
Rule 2: what has limits ends too: what is left of a budget is the new policy's to say. What is used up stays used up
        where a rule is the same.
Rule 3: what was decided under the old policy is recorded under it: sums of it are told before the change.
Rule 4: an attempt that was allowed while the policy changed is decided again before anything of it leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import trio

from trio_egress.model import Decision
from trio_egress.policy.recall import CHANGED
from trio_egress.proxy.judged_before import JudgedBefore
from trio_egress.values import frozen

if TYPE_CHECKING:
    from trio_egress.policy.moment import Moment
    from trio_egress.policy.rule import Policy
    from trio_egress.proxy.judge import Judgement
    from trio_egress.proxy.ledger import Ledger
    from trio_egress.proxy.tally import Settle
    from trio_egress.recorder import Flow


def put_in_force(policy: Policy | InForce) -> InForce:
    """A policy of a run that begins; one that is in force already stays what it is."""
    return policy if isinstance(policy, InForce) else InForce(policy)


@frozen
class Changed:
    """What a change did: connections and requests that went on, and that were ended."""

    kept: int
    ended: int


@frozen(eq=False)
class _Open:
    judged: Judgement
    flow: Flow
    scope: trio.CancelScope


class InForce:
    """One for a run, shared by all of its connections."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._before: JudgedBefore | None = None
        self._changed = False
        self._open: set[_Open] = set()
        self.settlers: set[Settle] = set()

    def hold(
        self, judged: Judgement, flow: Flow, scope: trio.CancelScope, ledger: Ledger
    ) -> Callable[[], None]:
        """Keep an allowed attempt open for as long as the policy allows it, and until what is returned is called."""
        one = _Open(judged, flow, scope)
        if self._changed:
            self._judge_again(one, ledger)
        self._open.add(one)
        return partial(self._open.discard, one)

    @property
    def judged_before(self) -> JudgedBefore:
        """What was judged under the policy that is in force."""
        if self._before is None:
            self._before = JudgedBefore(self.policy)
        return self._before

    def settle(self) -> None:
        """Have everything told that was decided so far."""
        for settle in list(self.settlers):
            settle()

    def preview(self, policy: Policy, ledger: Ledger) -> Changed:
        """What `change` would do, in the same turn."""
        moment = ledger.moment_under(self.policy, policy)
        ended = sum(1 for one in self._open if _find_end(one, policy, moment) is not None)
        return Changed(len(self._open) - ended, ended)

    def change(self, policy: Policy, ledger: Ledger) -> None:
        """Put another policy in force. Not a checkpoint: there is no moment between the two."""
        ledger.change(self.policy, policy)
        self.policy = policy
        self._before = None
        self._changed = True
        for one in self._open:
            self._judge_again(one, ledger)

    def _judge_again(self, one: _Open, ledger: Ledger) -> None:
        decision = _find_end(one, self.policy, ledger.moment())
        if decision is not None:
            reason = f"{CHANGED}: {_explain(decision)}"
            one.flow.fail(reason, decision.layer, blocked=not decision.allowed)
            one.scope.cancel()


def _find_end(one: _Open, policy: Policy, moment: Moment) -> Decision | None:
    """The decision under this policy, where it ends what was allowed under another."""
    from trio_egress.proxy.judge import answer

    before = one.judged.decision
    decision = answer(policy, one.judged.attempt, moment)
    same = decision.upstream == before.upstream and before.limits is decision.limits is None
    same = same and (decision.ask is None or before.ask is not None)
    return None if decision.allowed and same and decision.needs <= before.needs else decision


def _explain(decision: Decision) -> str:
    if not decision.allowed:
        return decision.reason
    return "its rule has limits, leads elsewhere, or asks more now; it can be tried again"
