"""What a rule may be used for, and what has been used."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.specimens import make_attempt, make_request

from trio_egress.model import Attempt, Decision, Layer, Protocol, Rate, RuleLimits, RuleRef
from trio_egress.policy.budget import (
    INTERVALS,
    NOTHING_USED,
    SECOND_US,
    Limit,
    State,
    Usage,
    charge,
    explain_limit,
    find_limit,
    parse_rate,
    release,
    spend,
)

TUNNEL = make_attempt(Protocol.TLS, 443)
REF = RuleRef(3, "a.example", 1)


def allowed(limits: RuleLimits | None) -> Decision:
    return Decision(True, Layer.RULE, "", REF, limits=limits)


def test_an_interval_is_as_long_as_its_name_says() -> None:
    assert list(INTERVALS) == ["second", "minute", "hour", "day"]
    for name, seconds in INTERVALS.items():
        assert timedelta(**{f"{name}s": 1}) == timedelta(microseconds=seconds * SECOND_US)


def test_the_limits_are_called_as_the_keys_that_set_them() -> None:
    assert {limit.value for limit in Limit} == {field.name for field in attrs.fields(RuleLimits)}


def test_at_first_nothing_is_used() -> None:
    assert NOTHING_USED.of(3) == Usage(open=0, bytes_up=0, bytes_down=0, since_us=0, requests=0)


@pytest.mark.parametrize("interval", INTERVALS)
def test_a_rate_is_a_number_and_an_interval(interval: str) -> None:
    assert parse_rate(f"10/{interval}") == Rate(10, interval)
    assert str(Rate(10, interval)) == f"10/{interval}"


@pytest.mark.parametrize(
    "raw", ["", "10", "/minute", "0/minute", "01/minute", "10/minutes", "10/year", "-1/day", "1.5/day"]
)
def test_any_other_rate_is_refused(raw: str) -> None:
    with pytest.raises(
        ValueError, match=r'^requests must be a rate such as "100/minute": per second, minute, hour, day$'
    ):
        parse_rate(raw)


@pytest.mark.parametrize(
    ("limits", "usage", "attempt", "found"),
    [
        (RuleLimits(), Usage(open=9, bytes_up=9, bytes_down=9, requests=9), TUNNEL, None),
        (RuleLimits(connections=2), Usage(open=1), TUNNEL, None),
        (RuleLimits(connections=2), Usage(open=2), TUNNEL, Limit.CONNECTIONS),
        (RuleLimits(bytes_up=10), Usage(bytes_up=9), TUNNEL, None),
        (RuleLimits(bytes_up=10), Usage(bytes_up=10), TUNNEL, Limit.BYTES_UP),
        (RuleLimits(bytes_down=10), Usage(bytes_down=10), TUNNEL, Limit.BYTES_DOWN),
        (RuleLimits(body=5), Usage(), make_request(body_bytes=5), None),
        (RuleLimits(body=5), Usage(), make_request(body_bytes=6), Limit.BODY),
        (RuleLimits(body=5), Usage(), make_request(body_bytes=None), None),
        (RuleLimits(requests=Rate(1, "day")), Usage(), make_request(), None),
        (RuleLimits(requests=Rate(1, "day")), Usage(requests=1), make_request(), Limit.REQUESTS),
        (RuleLimits(requests=Rate(1, "day")), Usage(requests=1), TUNNEL, None),
    ],
)
def test_the_limit_that_is_reached_is_found(
    limits: RuleLimits, usage: Usage, attempt: Attempt, found: Limit | None
) -> None:
    assert find_limit(limits, usage, attempt, None) is found


@pytest.mark.parametrize("interval", INTERVALS)
def test_an_interval_ends_when_it_has_passed_and_not_before(interval: str) -> None:
    limits = RuleLimits(requests=Rate(1, interval))
    state = charge(NOTHING_USED, allowed(limits), make_request(), 1000)
    end = 1000 + INTERVALS[interval] * SECOND_US
    for now_us, left in ((0, False), (1000, False), (end - 1, False), (end, True)):
        assert (find_limit(limits, state.of(3), make_request(), now_us) is None) == left
    again = charge(state, allowed(limits), make_request(), end)
    assert again.of(3).since_us == end
    assert find_limit(limits, again.of(3), make_request(), end) is Limit.REQUESTS


def test_only_what_is_allowed_and_limited_is_charged() -> None:
    request = make_request()
    for decision in (
        allowed(None),
        Decision(False, Layer.LIMIT, "", REF, limits=RuleLimits()),
        Decision(True, Layer.RULE, "", limits=RuleLimits()),
    ):
        assert charge(NOTHING_USED, decision, request, 0) is NOTHING_USED
    assert charge(NOTHING_USED, allowed(RuleLimits(body=1)), request, 0).of(3) == Usage(open=1)


def test_a_state_is_a_value_of_which_another_is_made() -> None:
    one = charge(NOTHING_USED, allowed(RuleLimits(connections=1)), TUNNEL, 0)
    other = spend(release(one, 3), 3, up=5, down=7)
    assert State() == NOTHING_USED
    assert (one.of(3), other.of(3)) == (Usage(open=1), Usage(bytes_up=5, bytes_down=7))
    assert one.of(4) == Usage()
    with pytest.raises(TypeError):
        one.usages[4] = Usage()  # type: ignore[index]


def test_releasing_once_too_often_opens_no_room() -> None:
    assert release(NOTHING_USED, 3).of(3).open == 0


@given(st.lists(st.integers(0, 90), max_size=60), st.integers(1, 5))
def test_no_minute_has_twice_the_requests_that_the_rate_says(steps: list[int], count: int) -> None:
    limits = RuleLimits(requests=Rate(count, "minute"))
    state, now_us, begun = NOTHING_USED, 0, []
    for step in steps:
        now_us += step * SECOND_US
        if find_limit(limits, state.of(3), make_request(), now_us) is None:
            state = charge(state, allowed(limits), make_request(), now_us)
            begun.append(now_us)
    for first in begun:
        inside = [time for time in begun if first <= time < first + 60 * SECOND_US]
        assert len(inside) < 2 * count


@pytest.mark.parametrize("limit", Limit)
def test_what_is_used_up_is_said_with_the_key_that_a_human_can_change(limit: Limit) -> None:
    limits = RuleLimits(requests=Rate(2, "day"), connections=2, bytes_up=2, bytes_down=2, body=2)
    said = explain_limit(limits, limit)
    assert said.startswith("allows ")
    assert said.endswith(f"a human can raise `limits.{limit.value}`")
    assert "2" in said


def test_each_request_counts_from_the_first_of_its_interval() -> None:
    limits = RuleLimits(requests=Rate(3, "day"))
    state = NOTHING_USED
    for number in range(1, 5):
        assert (find_limit(limits, state.of(3), make_request(), 1000) is None) == (number <= 3)
        state = charge(state, allowed(limits), make_request(), 1000 * number)
        assert state.of(3) == Usage(open=number, since_us=1000, requests=number)
    later = charge(state, allowed(limits), make_request(), 1000 + 86_400 * SECOND_US)
    assert later.of(3) == Usage(open=5, since_us=1000 + 86_400 * SECOND_US, requests=1)


def test_what_is_spent_adds_up_and_what_has_ended_is_one_less() -> None:
    state = spend(spend(NOTHING_USED, 3, up=5), 3, up=2, down=7)
    assert state.of(3) == Usage(bytes_up=7, bytes_down=7)
    assert spend(NOTHING_USED, 3).of(3) == Usage()
    three = State({3: Usage(open=3)})
    assert release(three, 3).of(3).open == 2


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (Limit.REQUESTS, "allows 2/day, and these are used up"),
        (Limit.CONNECTIONS, "allows 3 at once, and so many are open"),
        (Limit.BODY, "allows a body of at most 4 bytes"),
        (Limit.BYTES_UP, "allows 5 bytes up in the whole run, and these are used up"),
        (Limit.BYTES_DOWN, "allows 6 bytes down in the whole run, and these are used up"),
    ],
)
def test_each_limit_has_its_sentence(limit: Limit, said: str) -> None:
    limits = RuleLimits(requests=Rate(2, "day"), connections=3, body=4, bytes_up=5, bytes_down=6)
    assert explain_limit(limits, limit) == f"{said}: a human can raise `limits.{limit.value}`"
