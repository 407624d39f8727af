"""Looks for a case that breaks an invariant of a policy, and for the smallest such case.

Rule 1: the same policy, invariants, seed and number of examples give the same report (but for its time).
Rule 2: each invariant gets its share, in turns of BATCH cases; one that is broken gets no further turn.
Rule 3: time is looked at between turns only, so a search ends later than it should by one turn at most.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import hypothesis
from hypothesis.errors import FailedHealthCheck, InvalidArgument, Unsatisfiable

from trio_egress.fuzzing.claims import INVARIANTS
from trio_egress.fuzzing.invariants import Invariant
from trio_egress.policy.rule import Policy
from trio_egress.values import frozen

EXAMPLES = 300
BATCH = 50

_HARNESS = (InvalidArgument, Unsatisfiable, FailedHealthCheck)
"""What is wrong with the strategies of an invariant, not with the policy."""


@frozen
class Counterexample:
    """The smallest case found that breaks a claim, the case in words, and the error if there was one."""

    claim: str
    case: object
    shown: str
    error: str | None = None

    def __str__(self) -> str:
        return f"BROKEN  {self.claim}\n        {self.shown}" + (
            f"\n        {self.error}" if self.error else ""
        )


@frozen
class Report:
    """What a search has found: how many cases were tried of each claim, and what broke one."""

    tried: dict[str, int]
    counterexamples: tuple[Counterexample, ...]
    seed: int
    seconds: float

    @property
    def held(self) -> bool:
        return not self.counterexamples

    def __str__(self) -> str:
        broken = {found.claim: found for found in self.counterexamples}
        lines = [
            str(broken[claim]) if claim in broken else f"held    {claim} ({count} cases)"
            for claim, count in self.tried.items()
        ]
        return "\n".join(
            [*lines, f"{sum(self.tried.values())} cases in {self.seconds:.1f} s, seed {self.seed}"]
        )


def check_policy(
    policy: Policy,
    invariants: Sequence[Invariant] = INVARIANTS,
    *,
    examples: int | None = None,
    seconds: float | None = None,
    seed: int = 0,
) -> Report:
    """Try each invariant `examples` times (default: EXAMPLES), or for `seconds` in all, whichever ends first."""
    if examples is None and seconds is None:
        examples = EXAMPLES
    started = time.monotonic()
    tried = {each.claim: 0 for each in invariants}
    found: dict[str, Counterexample] = {}
    for turn, each in _take_turns(invariants, examples):
        if (seconds is not None and turn and time.monotonic() - started >= seconds) or len(found) == len(
            tried
        ):
            break
        if each.claim in found:
            continue
        size = BATCH if examples is None else min(BATCH, examples - turn * BATCH)
        count, counterexample = _search(each, policy, size, seed + turn)
        tried[each.claim] += count
        if counterexample is not None:
            found[each.claim] = counterexample
    return Report(tried, tuple(found.values()), seed, time.monotonic() - started)


def _take_turns(invariants: Sequence[Invariant], examples: int | None) -> Iterator[tuple[int, Invariant]]:
    """Each invariant in each turn; without a number of examples there is no end to the turns."""
    turns = itertools.count() if examples is None else range(math.ceil(examples / BATCH))
    return ((turn, each) for turn in turns for each in invariants)


def _search(wanted: Invariant, policy: Policy, examples: int, seed: int) -> tuple[int, Counterexample | None]:
    """How many cases were tried, and the smallest that broke the claim."""
    last: list[Any] = [None]
    count = 0

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        print_blob=False,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(wanted.cases(policy))
    def run(case: Any) -> None:
        nonlocal count
        count += 1
        last[0] = case
        if not wanted.holds(policy, case):
            raise _Broken

    try:
        run()
    except _HARNESS:
        raise
    except _Broken:
        return count, Counterexample(wanted.claim, last[0], wanted.explain(policy, last[0]))
    # Whatever else comes out of an invariant breaks it: the engine must raise nothing at all.
    except Exception as error:
        return count, Counterexample(wanted.claim, last[0], str(last[0]), f"{type(error).__name__}: {error}")
    return count, None


class _Broken(Exception):
    """The claim doesn't hold in the last case."""
