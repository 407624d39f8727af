"""How a run ended, as the JSON that --status-file and --json give."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence

import attrs

from trio_egress.cli.exits import FAILED_ON, exit_code
from trio_egress.evidence.report import SENTENCES, Verdict
from trio_egress.runtime.spec import RunResult
from trio_egress.values import frozen


@frozen
class Handed:
    """What a verified packet says. `found`: what scans found, without what the policy suppresses."""

    verdict: str
    receipts: int = 0
    found: int = 0
    manifest_sha256: str = ""


@frozen
class Status:
    """One object, version 1. `end` tells apart what shares an exit code; `agent_*` are null where it never ended.

    `verdict`, `receipts`, `found` and `manifest_sha256` are null where the packet was not verified at the end;
    `failed_on`: what --fail-on named, and came to pass.
    """

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
    verdict: str | None = None
    receipts: int | None = None
    found: int | None = None
    manifest_sha256: str | None = None
    failed_on: tuple[str, ...] = ()

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

    def judge(self, result: RunResult, fail_on: Sequence[str], handed: Handed | None) -> Status:
        """What the packet says, and whether something came to pass that the run should fail on."""
        came = {
            "deny": bool(result.refused or result.touched),
            "finding": handed is None or handed.found > 0,
            "unverified": handed is None or handed.verdict != Verdict.VALID.value,
        }
        failed_on = tuple(word for word in fail_on if came[word])
        facts = attrs.asdict(handed) if handed else {}
        return attrs.evolve(
            self, exit_code=exit_code(result, failed=bool(failed_on)), failed_on=failed_on, **facts
        )


def tell_verdict(status: Status, result: RunResult, *, quiet: bool) -> Iterator[str]:
    """What verifying the packet has shown, and why --fail-on changed the exit code; `quiet`: what is wrong alone."""
    if status.verdict is not None and not (quiet and status.verdict == Verdict.VALID.value):
        yield f"the packet is {SENTENCES[Verdict(status.verdict)]}"
    if status.exit_code == FAILED_ON:
        why = {
            "deny": _tell_denied(result),
            "finding": "the packet was not looked at"
            if status.found is None
            else f"{status.found:,} found in scans",
            "unverified": "the packet is not VALID",
        }
        came = "; ".join(f"{word} ({why[word]})" for word in status.failed_on)
        yield f"the agent ended with 0, and the run with {FAILED_ON} by --fail-on: {came}"


def _tell_denied(result: RunResult) -> str:
    denied = [f"{result.refused:,} denied"] if result.refused else []
    return " and ".join([*denied, *(["protected files touched"] if result.touched else [])])


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
