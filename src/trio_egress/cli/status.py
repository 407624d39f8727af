"""How a run ended, as the JSON that --status-file and --json give."""

from __future__ import annotations

import json
import os
import sys

import attrs

from trio_egress.runtime.spec import RunResult


@attrs.frozen
class Status:
    """One object, version 1. `end` tells apart what shares an exit code; `agent_*` are null where it never ended."""

    run_id: str
    exit_code: int
    end: str
    agent_exit_code: int | None = None
    agent_signal: int | None = None
    denied: int = 0
    protected_touched: bool = False
    evidence: str | None = None
    head: str | None = None
    message: str = ""

    @classmethod
    def of(cls, result: RunResult, code: int) -> Status:
        agent = result.agent_code
        return cls(
            run_id=result.run_id,
            exit_code=code,
            end=result.end.value,
            agent_exit_code=agent if agent is not None and agent >= 0 else None,
            agent_signal=-agent if agent is not None and agent < 0 else None,
            denied=result.refused,
            protected_touched=result.touched,
            evidence=str(result.evidence),
            head=result.head,
            message=result.message,
        )


def write_status(status: Status, descriptor: int | None) -> None:
    """Write it to a file that was opened for it; the descriptor is closed."""
    if descriptor is not None:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(_render(status))


def print_status(status: Status) -> None:
    sys.stdout.write(_render(status))
    sys.stdout.flush()


def _render(status: Status) -> str:
    return json.dumps({"version": 1, **attrs.asdict(status)}, indent=2) + "\n"
