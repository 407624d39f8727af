"""The exit code table: how a run ended, and what the shell is told."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from trio_egress.cli.exits import exit_code
from trio_egress.runtime.spec import End, RunResult


def result(end: End, code: int | None = None, *, refused: int = 0, not_found: bool = False) -> RunResult:
    return RunResult(end, Path("x"), "run", code, refused=refused, not_found=not_found)


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
    assert exit_code(ended, fail_on_deny=False) == expected


@pytest.mark.parametrize(("code", "refused", "expected"), [(0, 1, 121), (0, 0, 0), (3, 1, 3), (-9, 1, 137)])
def test_a_denial_counts_only_where_the_agent_itself_ended_well(
    code: int, refused: int, expected: int
) -> None:
    assert exit_code(result(End.EXITED, code, refused=refused), fail_on_deny=True) == expected
    touched = attrs.evolve(result(End.EXITED, code), touched=bool(refused))
    assert exit_code(touched, fail_on_deny=True) == expected


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_before_the_agent_ran_is_told_like_one_that_ended_it(number: int) -> None:
    ended = attrs.evolve(result(End.INTERRUPTED), ended_by=number)
    assert exit_code(ended, fail_on_deny=True) == 128 + number
