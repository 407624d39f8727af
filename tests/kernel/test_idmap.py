"""How ids are mapped where a directory is lent."""

from __future__ import annotations

import itertools

import pytest

from trio_egress.kernel.idmap import IDS, render_map


def read_map(text: str) -> list[tuple[int, int, int]]:
    return [(int(a), int(b), int(c)) for a, b, c in (line.split() for line in text.splitlines())]


def see(number: int, ranges: list[tuple[int, int, int]]) -> int | None:
    """How an id of the disk is seen."""
    found = [seen + number - first for first, seen, count in ranges if first <= number < first + count]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.parametrize(
    ("owner", "agent"), [(0, 65534), (1000, 65534), (65534, 1000), (0, 1), (1, 0), (7, 8)]
)
def test_the_owner_is_seen_as_the_agent_and_all_others_as_they_are(owner: int, agent: int) -> None:
    ranges = read_map(render_map(owner, agent))
    assert see(owner, ranges) == agent
    assert see(agent, ranges) is None
    for other in {0, 1, 2, 6, 9, 999, 1001, 65533, 65535, IDS - 1} - {owner, agent}:
        assert see(other, ranges) == other


def test_no_two_ids_are_seen_as_one() -> None:
    seen = sorted((first, first + count) for _, first, count in read_map(render_map(0, 65534)))
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(seen))


def test_an_owner_who_is_the_agent_changes_nothing() -> None:
    assert read_map(render_map(5, 5)) == [(0, 0, IDS)]
