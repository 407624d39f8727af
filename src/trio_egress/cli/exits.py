"""Exit codes of `trio-egress run`, as its help and the README list them. The agent's own codes pass through."""

from __future__ import annotations

from trio_egress.runtime.spec import End, RunResult

FAILED_ON = 121
INCOMPLETE = 122
TIMED_OUT = 124
REFUSED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127
SIGNALLED = 128


def exit_code(result: RunResult, *, failed: bool = False) -> int:
    """The exit code of a run. Incomplete evidence comes before everything that the agent did.

    `failed`: something came to pass that the run was asked to fail on.
    """
    if result.end is End.INCOMPLETE:
        return INCOMPLETE
    if result.end is End.TIMED_OUT:
        return TIMED_OUT
    if result.end is End.REFUSED:
        return REFUSED
    if result.end is End.NOT_STARTED:
        return NOT_FOUND if result.not_found else NOT_EXECUTABLE
    if result.ended_by is not None:
        return SIGNALLED + result.ended_by
    if result.agent_code is None:
        return REFUSED
    if result.agent_code < 0:
        return SIGNALLED - result.agent_code
    if result.agent_code == 0 and failed:
        return FAILED_ON
    return result.agent_code
