"""The tally: what is told at once, what is summed, and that nothing is ever lost or told twice."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from trio_egress.proxy.tally import Sum, Tally, open_tally


def test_the_first_event_is_told_at_once_and_its_repeats_as_one_sum() -> None:
    tally: Tally[str] = Tally(window_seconds=1.0)
    assert tally.add("a", "other", 10.0) == Sum("a", 1)
    assert [tally.add("a", "other", 10.0 + tick / 10) for tick in range(5)] == [None] * 5
    assert tally.next_end(10.5) == 11.0
    assert tally.due(10.999) == []
    assert tally.due(11.0) == [Sum("a", 5)]


def test_a_key_with_repeats_is_summed_by_window_and_without_them_forgotten() -> None:
    tally: Tally[str] = Tally(window_seconds=1.0)
    tally.add("a", "other", 0.0)
    tally.add("a", "other", 0.5)
    assert tally.due(1.0) == [Sum("a", 1)]
    assert tally.add("a", "other", 1.5) is None
    assert tally.due(2.0) == [Sum("a", 1)]
    assert tally.due(3.0) == []
    assert tally.add("a", "other", 3.1) == Sum("a", 1)


def test_what_finds_no_room_is_counted_under_its_coarse_key() -> None:
    tally: Tally[str] = Tally(window_seconds=1.0, capacity=2)
    assert tally.add("a", "names", 0.0) == Sum("a", 1)
    assert tally.add("b", "names", 0.1) == Sum("b", 1)
    assert tally.add("c", "names", 0.2) is None
    assert tally.add("d", "names", 0.3) is None
    assert tally.add("e", "ports", 0.4) is None
    assert tally.add("b", "names", 0.5) is None
    assert tally.due(1.15) == [Sum("b", 1)]
    assert tally.next_end(1.15) == 1.2
    assert tally.due(1.2) == [Sum("names", 2), Sum("ports", 1)]
    assert tally.add("c", "names", 1.3) == Sum("c", 1)


def test_an_idle_tally_looks_again_after_one_window() -> None:
    tally: Tally[str] = Tally(window_seconds=2.0)
    assert tally.next_end(5.0) == 7.0
    assert tally.flush() == []


def test_a_flood_of_new_keys_costs_a_bounded_number_of_sums() -> None:
    tally: Tally[int] = Tally(window_seconds=1.0, capacity=100)
    told = []
    for event in range(50_000):
        now = event / 10_000  # five windows
        first = tally.add(event, -1, now)
        told += ([first] if first else []) + tally.due(now)
    told += tally.flush()
    assert len(told) <= 6 * (100 + 1)
    assert sum(item.count for item in told) == 50_000


EVENTS = st.lists(
    st.tuples(st.integers(0, 9), st.sampled_from([-1, -2]), st.floats(0, 0.7), st.booleans()), max_size=200
)


@given(EVENTS, st.integers(0, 5))
def test_the_sums_add_up_to_the_events(events: list[tuple[int, int, float, bool]], capacity: int) -> None:
    tally: Tally[int] = Tally(window_seconds=1.0, capacity=capacity)
    told = []
    now = 0.0
    for key, coarse, passes, looks in events:
        now += passes
        first = tally.add(key, coarse, now)
        told += [first] if first else []
        if looks:
            told += tally.due(now)
            assert tally.next_end(now) > now
    told += tally.flush()
    assert tally.flush() == []
    assert all(item.count > 0 for item in told)
    assert sum(item.count for item in told) == len(events)
    happened = Counter(key for key, *_ in events)
    by_key = Counter[int]()
    for item in told:
        by_key[item.key] += item.count
    assert all(by_key[key] <= happened[key] for key in by_key if key >= 0)


async def test_sums_are_told_when_their_window_ends(autojump_clock: MockClock) -> None:
    told: list[tuple[float, Sum[str]]] = []
    start = trio.current_time()

    def tell(item: Sum[str]) -> None:
        told.append((trio.current_time() - start, item))

    async with open_tally(tell, 1.0) as count:
        await trio.sleep(0.25)
        count("a", "other")
        count("a", "other")
        assert told == [(0.25, Sum("a", 1))]
        await trio.sleep(5.0)
        assert told[1:] == [(1.25, Sum("a", 1))]
        count("a", "other")
    assert told[2:] == [(5.25, Sum("a", 1))]


async def test_what_is_counted_while_being_cancelled_is_told_too(autojump_clock: MockClock) -> None:
    told: list[Sum[str]] = []
    with trio.move_on_after(0.5):
        async with open_tally(told.append, 1.0) as count:
            count("a", "other")
            try:
                await trio.sleep_forever()
            finally:
                count("a", "other")
    assert told == [Sum("a", 1), Sum("a", 1)]


async def test_an_error_in_the_body_loses_nothing_and_gets_through() -> None:
    told: list[Sum[str]] = []

    async def fail() -> None:
        async with open_tally(told.append) as count:
            count("a", "other")
            count("a", "other")
            raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError):
        await fail()
    assert told == [Sum("a", 1), Sum("a", 1)]
