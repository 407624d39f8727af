"""The exit code table: how a run ended, and what the shell is told."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from trio_egress.cli.exits import exit_code
from trio_egress.runtime.spec import End, RunResult


def result(end: End, code: int | None = None, *, not_found: bool = False) -> RunResult:
    return RunResult(end, Path("x"), "run", code, not_found=not_found)


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (result(End.EXITED, 0), 0),
        (result(End.EXITED, 3), 3),
        (result(End.EXITED, -9), 137),
        (result(End.KILLED, -9), 137),
        (result(End.TERMINATED, -15), 143),
        (result(End.TERMINATED, 0), 0),
        (result(End.TIMED_OUT, 0), 124),
        (result(End.INCOMPLETE, 0), 122),
        (result(End.REFUSED), 125),
        (result(End.NOT_STARTED), 126),
        (result(End.NOT_STARTED, not_found=True), 127),
        (result(End.EXITED, None), 125),
    ],
)
def test_each_end_has_its_code(ended: RunResult, expected: int) -> None:
    assert exit_code(ended) == expected


@pytest.mark.parametrize(
    ("code", "failed", "expected"), [(0, True, 121), (0, False, 0), (3, True, 3), (-9, True, 137)]
)
def test_what_a_run_fails_on_counts_only_where_the_agent_itself_ended_well(
    code: int, failed: bool, expected: int
) -> None:
    assert exit_code(result(End.EXITED, code), failed=failed) == expected


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_before_the_agent_ran_is_told_like_one_that_ended_it(number: int) -> None:
    ended = attrs.evolve(result(End.INTERRUPTED), ended_by=number)
    assert exit_code(ended, failed=True) == 128 + number
