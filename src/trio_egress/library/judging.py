"""`trio_egress.Policy`: what a policy says of an attempt, for programs. Loads nothing of what runs agents.

Rule 1: it answers as a run would: with all that the boundary is able to do, and nothing used of any limit yet.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from os import PathLike
from pathlib import Path

import attrs

from trio_egress.errors import Problem, UsageError
from trio_egress.model import Attempt, Decision
from trio_egress.policy.engine import decide
from trio_egress.policy.explain import explain
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy as Rules
from trio_egress.policy.spelling import parse_spelling
from trio_egress.proxy.ledger import ABLE
from trio_egress.runtime.policy_file import read_policy
from trio_egress.values import frozen


@frozen
class Policy:
    """A policy that holds together, with all that it includes."""

    _rules: Rules = attrs.field(repr=False)
    path: Path

    @classmethod
    def load(cls, path: str | PathLike[str], *, allow: Sequence[str] = ()) -> Policy:
        """Read it from a file. `allow`: destinations to add to it, as `--allow` does.

        Raises PolicyError, with every problem, and UsageError where it can't be read.
        """
        place = Path(path)
        return cls(read_policy(place, list(allow))[1], place)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is only useless or unusual, as of now."""
        return self._rules.find_warnings(_now_us())

    def decide(self, attempt: Attempt | str, *, at: datetime | None = None) -> Decision:
        """The answer to one attempt, and the rule behind it; at this time, where `at` (with a zone) names no other.

        A text is an attempt as people write it: `POST https://api.example.com/v1`, `host:port`, `dns:name`. Of HTTPS
        the connection is judged first, and the request where a rule has to see it. Raises UsageError for a text that is
        none.
        """
        if at is not None and at.tzinfo is None:
            raise UsageError("decide: `at` needs a time zone: datetime(2026, 11, 23, tzinfo=timezone.utc)")
        moment = Moment(now_us=_now_us() if at is None else int(at.timestamp() * 1_000_000), able=ABLE)
        if isinstance(attempt, Attempt):
            return decide(self._rules, attempt, moment)
        try:
            spelt = parse_spelling(attempt)
        except ValueError as error:
            raise UsageError(str(error)) from None
        return explain(self._rules, spelt, moment).steps[-1].decision


def _now_us() -> int:
    return time.time_ns() // 1000
