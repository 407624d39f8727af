"""The exit code table: how a run ended, and what the shell is told."""

from __future__ import annotations

from pathlib import Path

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
