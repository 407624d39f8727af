"""What one rule may be used for: `limits` of a rule, and what has been used of it.

Counts nothing by itself and knows no clock: a State goes in, a State comes out, and the time is an argument.

Rule 1: a rule has one budget for the whole run, shared by everything that it allows.
Rule 2: an interval begins with the first request after the one before has ended.
Rule 3: at a time before the interval's beginning, it has not ended: a clock that goes back gives nothing.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from types import MappingProxyType

import attrs

from trio_egress.model import Attempt, Decision, Protocol, Rate, RuleLimits
from trio_egress.values import frozen

INTERVALS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
RATE_EXAMPLE = '"100/minute"'
SECOND_US = 1_000_000

_RATE = re.compile(r"([1-9][0-9]{0,8})/([a-z]+)", re.ASCII)


class Limit(enum.Enum):
    """What of a rule's limits is used up; the values are its keys."""

    REQUESTS = "requests"
    CONNECTIONS = "connections"
    BYTES_UP = "bytes_up"
    BYTES_DOWN = "bytes_down"
    BODY = "body"


@frozen
class Usage:
    """What has been used of one rule. `open`: attempts that it allowed and that have not ended."""

    open: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    since_us: int = 0
    requests: int = 0


_UNUSED = Usage()


@frozen
class State:
    """What has been used of every rule that has limits, by its place."""

    usages: Mapping[int, Usage] = attrs.field(factory=lambda: MappingProxyType({}))

    def of(self, index: int) -> Usage:
        return self.usages.get(index, _UNUSED)

    def replace(self, index: int, usage: Usage) -> State:
        return State(MappingProxyType({**self.usages, index: usage}))


NOTHING_USED = State()


def parse_rate(raw: str, key: str = "requests") -> Rate:
    """Raises ValueError with a reason."""
    found = _RATE.fullmatch(raw)
    if found is None or found[2] not in INTERVALS:
        raise ValueError(f"{key} must be a rate such as {RATE_EXAMPLE}: per {', '.join(INTERVALS)}")
    return Rate(int(found[1]), found[2])


def find_limit(limits: RuleLimits, usage: Usage, attempt: Attempt, now_us: int | None) -> Limit | None:
    """What keeps the attempt from being allowed. Without a time, what was counted counts."""
    is_request = attempt.protocol is Protocol.HTTP
    if limits.body is not None and attempt.body_bytes is not None and attempt.body_bytes > limits.body:
        return Limit.BODY
    if limits.connections is not None and usage.open >= limits.connections:
        return Limit.CONNECTIONS
    if limits.bytes_up is not None and usage.bytes_up >= limits.bytes_up:
        return Limit.BYTES_UP
    if limits.bytes_down is not None and usage.bytes_down >= limits.bytes_down:
        return Limit.BYTES_DOWN
    if limits.requests is not None and is_request:
        return None if _requests_left(limits.requests, usage, now_us) else Limit.REQUESTS
    return None


def explain_limit(limits: RuleLimits, limit: Limit) -> str:
    """What of a rule's limits is used up, and who can change it; it follows the name of the rule."""
    match limit:
        case Limit.REQUESTS:
            said = f"allows {limits.requests}, and these are used up"
        case Limit.CONNECTIONS:
            said = f"allows {limits.connections} at once, and so many are open"
        case Limit.BODY:
            said = f"allows a body of at most {limits.body} bytes"
        case Limit.BYTES_UP:
            said = f"allows {limits.bytes_up} bytes up in the whole run, and these are used up"
        case _:
            said = f"allows {limits.bytes_down} bytes down in the whole run, and these are used up"
    return f"{said}: a human can raise `limits.{limit.value}`"


def _requests_left(rate: Rate, usage: Usage, now_us: int | None) -> bool:
    return usage.requests < rate.count or _has_ended(rate, usage, now_us)


def _has_ended(rate: Rate, usage: Usage, now_us: int | None) -> bool:
    return now_us is not None and now_us >= usage.since_us + INTERVALS[rate.interval] * SECOND_US


def charge(state: State, decision: Decision, attempt: Attempt, now_us: int) -> State:
    """An attempt begins that was allowed; `release` its rule when it has ended."""
    limits = decision.limits
    if limits is None or decision.rule is None or not decision.allowed:
        return state
    index = decision.rule.index
    usage = state.of(index)
    usage = attrs.evolve(usage, open=usage.open + 1)
    if attempt.protocol is Protocol.HTTP and limits.requests is not None:
        if usage.requests == 0 or _has_ended(limits.requests, usage, now_us):
            usage = attrs.evolve(usage, since_us=now_us, requests=0)
        usage = attrs.evolve(usage, requests=usage.requests + 1)
    return state.replace(index, usage)


def spend(state: State, index: int, *, up: int = 0, down: int = 0) -> State:
    """Bytes have gone by."""
    usage = state.of(index)
    return state.replace(
        index, attrs.evolve(usage, bytes_up=usage.bytes_up + up, bytes_down=usage.bytes_down + down)
    )


def release(state: State, index: int) -> State:
    """An attempt that was charged has ended."""
    usage = state.of(index)
    return state.replace(index, attrs.evolve(usage, open=max(0, usage.open - 1)))
