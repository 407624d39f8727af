"""Every attack fails in the sandbox and leaves its receipt; with the step off that stops it, it succeeds.

One world for all of them: a run of the real command line carries out every attack one after another, and one run for
each set of steps that the controls take off.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from tests.escapes import attacks
from tests.escapes.frame import CASES, Case, Ways
from tests.escapes.judgement import Seen, has_receipt, succeeded

pytestmark = pytest.mark.sandbox

WORLD_SECONDS = 280
ATTACK, CONTROL = "attack", "control"

attacks.load()
AS_ROOT = os.geteuid() == 0
NUMBERS = {case.name: number for number, case in enumerate(CASES)}
SELECTED = [case for case in CASES if case.exists() and case.only in ("", "root" if AS_ROOT else "user")]

Key = tuple[str, ...]


def run_of(case: Case, kind: str) -> Key:
    """Which run a case is carried out in: kind, setting, name if alone, then the steps that are off."""
    return (kind, case.setting, case.name if case.alone else "", *(case.off if kind == CONTROL else ()))


class Runs:
    """What the world saw, by run."""

    def __init__(self, wanted: dict[Key, list[str]]) -> None:
        keys = list(wanted)
        asked = [{"off": key[3:], "setting": key[1], "cases": wanted[key]} for key in keys]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *filter(None, sys.path)])}
        world = subprocess.run(
            [sys.executable, "-m", "tests.escapes.world"],
            input=json.dumps(asked).encode(),
            stdout=subprocess.PIPE,
            timeout=WORLD_SECONDS,
            env=environment,
            check=True,
        )
        self._seen: dict[Key, Seen] = dict(zip(keys, json.loads(world.stdout), strict=True))
        for key, seen in self._seen.items():
            print(f"{seen['seconds']:.1f} s: {key}, exit code {seen['code']}", file=sys.stderr)

    def of(self, case: Case, kind: str) -> tuple[Ways, Seen]:
        seen = self._seen[run_of(case, kind)]
        return Ways(case.name, NUMBERS[case.name], seen["nonce"]), seen

    def strict(self) -> Iterator[Seen]:
        return (seen for key, seen in self._seen.items() if key[0] == ATTACK)


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest) -> Runs:
    """One world with the runs that the selected tests need."""
    wanted: dict[Key, list[str]] = {}
    for item in request.session.items:
        called = getattr(item, "callspec", None)
        case = called.params.get("case") if called is not None else None
        if isinstance(case, Case):
            kind = CONTROL if getattr(item, "originalname", "") == "test_control" else ATTACK
            wanted.setdefault(run_of(case, kind), []).append(case.name)
    return Runs(wanted)


def told(case: Case, seen: Seen) -> str:
    """What to say of a failure: the agent's words, which decide nothing."""
    reports = [report for report in seen["reports"] if report["case"] == case.name]
    words = [f"{r['error']} {r['descriptors']} {r['secret'][:80]!r}" for r in reports]
    receipts = [receipt for receipt in seen["receipts"] if "session:" not in receipt]
    return f"{case.name}: exit code {seen['code']}; the agent says {words}; receipts: {receipts[-300:]}"


HOLES: dict[str, str] = {}
"""Attacks that get out today, and why. Whoever closes one takes its row away: the test says so."""


def attacks_now() -> list[Any]:
    return [
        pytest.param(
            case, marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason=HOLES[case.name])
        )
        if case.name in HOLES
        else case
        for case in SELECTED
    ]


@pytest.mark.parametrize("case", attacks_now(), ids=str)
def test_attack(case: Case, runs: Runs) -> None:
    w, seen = runs.of(case, ATTACK)
    assert any(report["case"] == case.name for report in seen["reports"]) or case.alone, told(case, seen)
    assert not succeeded(case, w, seen), told(case, seen)
    if case.receipt:
        assert has_receipt(case, w, seen), told(case, seen)


@pytest.mark.parametrize("case", SELECTED, ids=str)
def test_control(case: Case, runs: Runs) -> None:
    w, seen = runs.of(case, CONTROL)
    assert succeeded(case, w, seen), told(case, seen)


def test_evidence_of_every_attacked_run_is_valid(runs: Runs) -> None:
    assert [seen["verified"] for seen in runs.strict() if seen["code"] != 125 and seen["verified"] != 0] == []


def test_canaries_missed_nothing_of_an_attacked_run(runs: Runs) -> None:
    assert [seen["lost"] for seen in runs.strict() if seen["lost"]] == []


def test_suite_is_as_large_as_it_claims() -> None:
    assert len(CASES) >= 150
