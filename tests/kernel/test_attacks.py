"""The table of attacks: every row is tried by exactly one program, and every program's attack has its row."""

from __future__ import annotations

from collections import Counter

from trio_egress.attack.program import list_attacks
from trio_egress.kernel.attacks import ATTACKS, DENIED
from trio_egress.kernel.selftest import list_probes


def test_a_name_stands_for_one_row() -> None:
    assert [name for name, count in Counter(row.name for row in ATTACKS).items() if count > 1] == []


def test_what_is_tried_at_each_start_is_what_the_probes_are() -> None:
    assert {row.name for row in ATTACKS if row.at_start} == set(list_probes({}))


def test_what_the_doctor_tries_more_is_what_its_program_tries() -> None:
    """`receipts` is judged from the evidence."""
    assert {row.name for row in ATTACKS if not row.at_start} == {*list_attacks({}), "receipts"}


def test_a_row_says_what_is_tried_in_words() -> None:
    for row in ATTACKS:
        assert 8 <= len(row.tried) < 80, row
        assert row.tried[0].islower(), row


def test_only_what_could_be_refused_by_another_needs_the_filters_own_word() -> None:
    assert all(row.at_start and row.expected == DENIED for row in ATTACKS if row.by_filter)


def test_nothing_of_each_start_is_tried_outside() -> None:
    """The canaries of a start are its own, and some of it (typing into the terminal) would do harm."""
    assert not any(row.at_start for row in ATTACKS if row.control)
