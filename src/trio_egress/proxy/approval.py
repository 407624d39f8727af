"""Somebody is asked about what the policy allows: where its rule says `ask`, or where a program sees everything.

Opens nothing and knows no terminal: whoever is asked is an Approver, which the runtime has made.

Rule 1: an answer only narrows. What the policy denies is not asked about, and what was approved is judged again,
        because asking has taken time.
Rule 2: only a clear yes, in time, lets anything go on; silence, a hang-up and a fault are denials.
Rule 3: no wait is without an end, and no more than PENDING questions stand at once.
Rule 4: an agent that hangs up withdraws its question: nobody has to answer it any more, and no answer to it counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import attrs
import trio

from trio_egress.errors import TrioEgressError
from trio_egress.model import Attempt, Decision, Layer, RuleRef
from trio_egress.policy.approval import ASK_SECONDS
from trio_egress.policy.recall import ANSWER, ANSWERED_BY, APPROVED, ASKED_OF
from trio_egress.policy.rule import Policy
from trio_egress.proxy.judge import Judgement
from trio_egress.values import frozen

PENDING = 64
"""Questions at once: more than anybody answers in the time that there is, and a page of a terminal."""

NAME_CHARS = 128
REASON_CHARS = 200

DENIED, TIMED_OUT, FAILED, NOBODY, TOO_MANY, CHANGED, WITHDRAWN = (
    "deny",
    "timed_out",
    "failed",
    "nobody",
    "too_many",
    "changed",
    "withdrawn",
)
"""What is told as the answer where it was not APPROVED."""

Gone = Callable[[], Awaitable[None]]
"""Returns when whoever has asked is not there any more."""


class ApproverError(TrioEgressError):
    """Whoever was asked can't answer: it is gone, or what it says is no answer."""


@frozen
class Question:
    """`why`: what the rule says that it is there for. `marked`: the rule says `ask`; else a program sees everything."""

    attempt: Attempt
    rule: RuleRef | None
    why: str
    seconds: float
    marked: bool


@frozen
class Said:
    """`by`: who says it, in the approver's own words. `reason`: for a denial, what the agent is told."""

    allowed: bool
    by: str
    reason: str = ""


class Approver(Protocol):
    """`kind`: what receipts call it. `everything`: it sees each attempt that the policy allows."""

    @property
    def kind(self) -> str: ...

    @property
    def everything(self) -> bool: ...

    async def ask(self, question: Question) -> Said:
        """Raises ApproverError. It is cancelled when the time is up."""


@frozen
class Reply:
    """What came of one question: `word` is APPROVED or why it is none, `text` what the agent is told then.

    `about`: the decision that was asked about.
    """

    about: Decision
    word: str
    text: str
    of: str
    by: str
    waited_us: int

    def apply(self, judged: Judgement) -> Judgement:
        """What becomes of the attempt, judged again."""
        decision, word, text = judged.decision, self.word, self.text
        if word == APPROVED and decision.allowed and _is_other(self.about, decision):
            word, text = CHANGED, "the policy was changed meanwhile; it can be tried again"
        told = {ASKED_OF: self.of, ANSWER: word, ANSWERED_BY: self.by or None, "answer_us": self.waited_us}
        facts = {**judged.facts, **told}
        if not decision.allowed or word == APPROVED:
            return attrs.evolve(judged, facts=facts)
        facts.pop("secrets_used", None)  # none was
        who = "the program that decides is asked" if decision.ask is None else f"{decision.rule} asks"
        denied = attrs.evolve(
            decision,
            allowed=False,
            layer=Layer.APPROVAL,
            reason=f"{who} first, and {text}",
            upstream=None,
            limits=None,
            scan=None,
            ask=None,
        )
        return attrs.evolve(judged, decision=denied, facts=facts)


class Approvals:
    """Of one run. Without an approver, what would have to be asked about is denied."""

    def __init__(self, approver: Approver | None = None) -> None:
        self._approver = approver
        self._pending = 0

    async def ask(self, judged: Judgement, policy: Policy, gone: Gone) -> Reply | None:
        """None where nobody has to be asked; else what is to be applied to the attempt, judged anew."""
        approver, decision = self._approver, judged.decision
        sees = approver is not None and approver.everything and not judged.moment.observing
        if not decision.allowed or not (sees or decision.ask is not None):
            return None
        if approver is None:
            text = "there is nobody to ask in this run (`trio-egress run --ask`)"
            return Reply(decision, NOBODY, text, "nobody", "", 0)
        if self._pending >= PENDING:
            text = f"{PENDING} questions stand already"
            return Reply(decision, TOO_MANY, text, approver.kind, "", 0)
        question = Question(
            judged.attempt,
            decision.rule,
            _find_reason(policy, decision.rule),
            decision.ask or ASK_SECONDS,
            decision.ask is not None,
        )
        self._pending += 1
        try:
            return await _put(question, approver, decision, gone)
        finally:
            self._pending -= 1


async def _put(question: Question, approver: Approver, about: Decision, gone: Gone) -> Reply:
    began = trio.current_time()

    def reply(word: str, text: str, by: str = "") -> Reply:
        waited_us = round((trio.current_time() - began) * 1_000_000)
        return Reply(about, word, text, approver.kind, by[:NAME_CHARS], waited_us)

    with trio.move_on_after(question.seconds):
        try:
            said = await _ask_while_there(question, approver, gone)
        except ApproverError as error:
            return reply(FAILED, str(error))
        if said is None:
            return reply(WITHDRAWN, "the agent has hung up before there was an answer")
        if said.allowed and said.by:
            return reply(APPROVED, "", said.by)
        return reply(
            DENIED, said.reason[:REASON_CHARS] or f"{said.by or 'whoever was asked'} said no", said.by
        )
    return reply(TIMED_OUT, f"there was no answer within {question.seconds:g} s")


async def _ask_while_there(question: Question, approver: Approver, gone: Gone) -> Said | None:
    """None where the question was withdrawn. Raises ApproverError."""
    said: Said | None = None
    failed: ApproverError | None = None
    withdrawn = False

    async def watch(scope: trio.CancelScope) -> None:
        nonlocal withdrawn
        await gone()
        withdrawn = True
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        try:
            said = await approver.ask(question)
        except ApproverError as error:
            failed = error
        nursery.cancel_scope.cancel()
    if withdrawn:
        return None
    if failed is not None:
        raise failed
    return said


def refuse_unasked(judged: Judgement, why: str) -> Judgement:
    """What ended before anybody could be asked."""
    reply = Reply(judged.decision, NOBODY, why, "nobody", "", 0)
    return reply.apply(judged)


def _is_other(before: Decision, after: Decision) -> bool:
    """Whether it is allowed by something else by now, or looked at in another way."""
    return (before.rule, before.needs, before.scan) != (after.rule, after.needs, after.scan)


def _find_reason(policy: Policy, ref: RuleRef | None) -> str:
    terms = (rule.terms for rule in policy.rules if ref is not None and rule.ref == ref)
    return next((each.reason or "" for each in terms), "")
