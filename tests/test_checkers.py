"""Signatures checked by other processes: the same report, and none where a process fails."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY, Change, Scribe, rewrite, setting
from tests.runs.launch import wait_until

from trio_egress.checkers import FIRST_BATCHES, Checkers, _Helper, count_jobs, open_checkers
from trio_egress.evidence.report import Report, Verdict
from trio_egress.evidence.stream import BATCH_LINES, Answers, CheckHere, Claim
from trio_egress.evidence.verify import verify

PINNED = [KEY.public_hex]


def _write_log(directory: Path, changes: dict[int, Change] | None = None) -> Path:
    """A log of some batches."""
    scribe = Scribe().open()
    for _ in range(4 * BATCH_LINES):
        scribe.allow()
    lines = scribe.close().lines
    path = directory / "evidence.jsonl"
    path.write_bytes(b"".join(rewrite(lines, changes) if changes else lines))
    return path


def _has_begun(helper: _Helper) -> bool:
    return helper.ready or not helper._listener.is_alive()


class Ready(Checkers):
    """Whose processes are all ready when the first batch comes, and take every batch that they can."""

    def start(self, claims: Sequence[Claim]) -> Answers:
        self._start_helpers()
        for helper in self._helpers:
            wait_until(partial(_has_begun, helper), "a process that is ready")
        return super().start(claims)


def _check(path: Path, checkers: Checkers) -> Report:
    try:
        return verify(path, PINNED, checker=checkers)
    finally:
        checkers.close()


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write_log(tmp_path_factory.mktemp("log"))


@pytest.mark.parametrize("helpers", [1, 3])
def test_processes_say_what_one_says(helpers: int, log: Path) -> None:
    checkers = Ready(helpers)
    assert _check(log, checkers) == verify(log, PINNED)
    worked = sum(bool(helper._received) for helper in checkers._helpers)
    assert worked >= min(helpers, 2)  # the last has no turn where the first two are always ready again


def test_findings_are_the_same_and_in_the_same_order(log: Path, tmp_path: Path) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    for at in range(5, len(lines), 97):
        lines[at] = lines[at].replace(b"api.example", b"app.example")
    lines[200] = b"{}\n"
    lines[400] = rewrite(lines[400:401], {0: setting("timestamp", "2026-01-01T00:00:00Z")})[0]
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(b"".join(lines))
    report = verify(path, PINNED)
    assert {"signature.wrong", "ext.hash", "member.missing", "time.order"} <= {
        f.code for f in report.findings
    }
    assert _check(path, Ready(2)) == report


BREAKS = {
    "says nothing": "import sys; sys.stdout.write(chr(1)); sys.stdout.flush(); sys.stdin.read(1)",
    "says too much": "import sys; sys.stdout.write(chr(1) + 'x' * 9999); sys.stdout.flush(); sys.stdin.read()",
}


@pytest.mark.parametrize("program", BREAKS.values(), ids=BREAKS)
def test_a_process_that_breaks_ends_the_verification(program: str, log: Path) -> None:
    report = _check(log, Ready(1, [sys.executable, "-c", program]))
    assert (report.verdict, report.exit_code) == (Verdict.UNREADABLE, 2)
    assert "a process that checked signatures has died" in report.error


def test_a_process_that_is_killed_ends_the_verification(log: Path) -> None:
    class Killing(Ready):
        def start(self, claims: Sequence[Claim]) -> Answers:
            answers = super().start(claims)
            os.kill(self._helpers[0]._process.pid, signal.SIGKILL)
            return answers

    assert _check(log, Killing(1)).verdict is Verdict.UNREADABLE


NEVER_READY = {
    "no such program": ["/nonexistent/python"],
    "ends at once": [sys.executable, "-c", ""],
}


@pytest.mark.parametrize("program", NEVER_READY.values(), ids=NEVER_READY)
def test_what_cannot_be_started_is_checked_here(program: list[str], log: Path) -> None:
    assert _check(log, Checkers(1, program, after=0)) == verify(log, PINNED)


def test_a_small_log_starts_no_process(tmp_path: Path) -> None:
    path = tmp_path / "evidence.jsonl"
    path.write_bytes(Scribe().open().allow().close().raw)
    checkers = Checkers(2)
    assert _check(path, checkers) == verify(path, PINNED)
    assert checkers._helpers == []
    assert FIRST_BATCHES > 0


def test_one_job_is_this_process() -> None:
    with open_checkers(1) as checker:
        assert isinstance(checker, CheckHere)
    assert count_jobs() >= 1


def test_nothing_is_left_behind(log: Path) -> None:
    before = set(threading.enumerate())
    checkers = Ready(2)
    _check(log, checkers)
    assert [helper._process.poll() is None for helper in checkers._helpers] == [False, False]
    assert set(threading.enumerate()) <= before
