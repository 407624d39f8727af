"""The hours in which a rule holds."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.policy.times import DAYS, parse_window


def at(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        (
            "Mon-Fri 08:00-18:00 UTC",
            ["2026-11-23 08:00:00", "2026-11-27 17:59:59"],
            ["2026-11-23 07:59:59", "2026-11-23 18:00:00", "2026-11-22 12:00:00", "2026-11-28 12:00:00"],
        ),
        ("Sun 00:00-24:00 UTC", ["2026-11-22 00:00:00", "2026-11-22 23:59:59"], ["2026-11-23 00:00:00"]),
        ("Thu 00:00-00:01 UTC", ["1970-01-01 00:00:59"], ["1970-01-01 00:01:00", "1970-01-02 00:00:00"]),
    ],
)
def test_a_window_holds_from_its_first_minute_to_before_its_last(
    window: str, inside: list[str], outside: list[str]
) -> None:
    parsed = parse_window(window)
    assert str(parsed) == window
    assert [time for time in inside if not parsed.holds(at(time))] == []
    assert [time for time in outside if parsed.holds(at(time))] == []


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1)))
def test_a_day_is_that_of_the_calendar(time: datetime) -> None:
    now_us = int(time.replace(tzinfo=timezone.utc).timestamp()) * 1_000_000
    assert [day for day in DAYS if parse_window(f"{day} 00:00-24:00 UTC").holds(now_us)] == [
        DAYS[time.weekday()]
    ]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("08:00-18:00", "a time is written as"),
        ("Mon-Fri 8:00-18:00 UTC", "a time is written as"),
        ("Mon-Fri 08:00-18:00", "a time is written as"),
        ("Mon-Fri 08:00-18:00 CET", "a time is written as"),
        ("mon 08:00-18:00 UTC", "a time is written as"),
        ("Mon 08:00-18:00 UTC ", "a time is written as"),
        ("Mon ٠٨:00-18:00 UTC", "a time is written as"),
        ("Day 08:00-18:00 UTC", "Day is not a day"),
        ("Mon-Fry 08:00-18:00 UTC", "Fry is not a day"),
        ("Sat-Mon 08:00-18:00 UTC", "forward in a week"),
        ("Mon 18:00-08:00 UTC", "end before they begin"),
        ("Mon 08:00-08:00 UTC", "end before they begin"),
        ("Mon 08:60-18:00 UTC", "08:60 is not a time of day"),
        ("Mon 08:00-24:01 UTC", "24:01 is not a time of day"),
    ],
)
def test_any_other_form_is_refused(raw: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_window(raw)


@pytest.mark.parametrize("raw", ["Mon-Fri 08:00-18:00 UTC", "Thu 00:00-24:00 UTC", "Sat-Sun 23:59-24:00 UTC"])
def test_the_edges_of_a_window_are_in_it_and_what_is_beside_them_is_not(raw: str) -> None:
    window = parse_window(raw)
    edges = list(window.find_edges())
    assert len(edges) == 2 * (window.last - window.first + 1)
    assert all(window.holds(at) for at in edges)
    assert not window.holds(edges[0] - 1)
    assert not window.holds(edges[-1] + 60_000_000)


def test_the_days_are_those_of_the_calendar_in_whatever_week() -> None:
    for days in range(0, 30_000, 101):
        noon = datetime(1970, 1, 1, 12, tzinfo=timezone.utc) + timedelta(days=days)
        now_us = int(noon.timestamp()) * 1_000_000
        holding = [day for day in DAYS if parse_window(f"{day} 11:59-12:01 UTC").holds(now_us)]
        assert holding == [DAYS[noon.weekday()]]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            "noon",
            ('a time is written as "Mon-Fri 08:00-18:00 UTC": a day or a range of days, hours, and UTC'),
        ),
        ("Som 08:00-18:00 UTC", "Som is not a day: the days are Mon, Tue, Wed, Thu, Fri, Sat, Sun"),
    ],
)
def test_a_refusal_says_what_to_write(raw: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_window(raw)
    assert str(refused.value) == said
