"""Requests that were judged before under the same policy, so that the same one is judged once.

Holds nothing of which the answer could be another the next time: the key is all of a request that is judged, and where
a policy has times or budgets, somebody is asked, or a body is read, each is judged.

Rule 1: at most JUDGED judgements of requests that have at most KEY_CHARS are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio_egress.proxy.judge import Door, Judgement, judge_request
from trio_egress.wire.overrides import find_overrides

if TYPE_CHECKING:
    from trio_egress.policy.moment import Moment
    from trio_egress.policy.rule import Policy
    from trio_egress.wire.message import RequestHead

JUDGED = 1024
"""Then all are forgotten: a program that asks for so many different things asks for few of them twice."""

KEY_CHARS = 2048
"""Of method, path, authorities and names of fields: with JUDGED it makes 2 MiB at most."""


class JudgedBefore:
    """Under one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._lasts = "now_us" not in policy.looks_at and all(
            rule.terms.limits is None for rule in policy.rules
        )
        self._found: dict[object, Judgement] = {}

    def judge(self, door: Door, head: RequestHead, moment: Moment) -> Judgement:
        """As `judge_request`, whose body nobody has read."""
        names = tuple([name for name, _ in head.fields])
        words = head.method, head.path, head.authority or "", head.host or "", *names
        if (
            not self._lasts
            or head.upgrades
            or find_overrides(head.fields)
            or sum(map(len, words)) > KEY_CHARS
        ):
            return judge_request(self._policy, door, head, moment)
        asked = head.method, head.scheme, head.authority, head.path, head.host, head.body, head.version
        key = door, asked, names, moment.able, moment.observing, moment.stopped
        found = self._found.get(key)
        if found is None:
            found = judge_request(self._policy, door, head, moment)
            if found.decision.ask is None and found.decision.scan is None:
                if len(self._found) >= JUDGED:
                    self._found.clear()
                self._found[key] = found
        return found
