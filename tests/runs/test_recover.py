"""A run that is killed, and what can be done about its log: once, when it is dead, and never so that it is valid."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runs.launch import ENVIRONMENT, Place, Started, wait_until, write_policy
from tests.runs.steps import StruckPlace

from trio_egress.evidence.report import render_text
from trio_egress.review import review

pytestmark = pytest.mark.sandbox

SCRIPT = "curl -s -m 30 -x http://127.0.0.1:8888 http://evil.example/; touch asked; exec sleep 600"


def recover(evidence: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trio_egress", "recover", str(evidence), *more]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)


KEPT = {"recovery.jsonl", "supervisor.pid"}


def read_files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def start(place: Place) -> Started:
    started = place.start(write_policy(), "bash", "-c", SCRIPT)
    wait_until((place.work / "asked").exists, "a denied request")
    return started


def test_a_killed_run_is_recovered_when_it_is_dead_and_once(place: Place) -> None:
    started = start(place)
    alive = recover(started.evidence)
    assert (alive.returncode, alive.stdout) == (1, "")
    assert "lives" in alive.stderr

    started.send(signal.SIGKILL)
    ended = started.wait()
    log = (ended.evidence / "evidence.jsonl").read_bytes()
    done = recover(ended.evidence, "--key", str(place.key_file))
    assert (done.returncode, done.stderr) == (0, "")
    assert "was abandoned after receipt" in done.stdout
    assert (ended.evidence / "evidence.jsonl").read_bytes() == log

    report = review(ended.evidence, [ended.key])
    assert (report.exit_code, report.findings) == (3, ())
    assert render_text(report).startswith("VALID PREFIX, recovered: ")
    assert report.recovered_by == ended.key
    assert ended.verify_foreign() == 0
    note = str(ended.evidence / "recovery.jsonl")
    foreign = [sys.executable, "-m", "pipelock_verify", "--mode", "chain", "--key", ended.key, note]
    assert subprocess.run(foreign, capture_output=True, check=False).returncode == 0

    again = recover(ended.evidence)
    assert again.returncode == 1
    assert "recovered before" in again.stderr


def test_no_second_run_writes_into_a_directory_before_or_after_a_crash(place: Place) -> None:
    started = start(place)

    def refuse_second() -> None:
        before = read_files(started.evidence)
        options = ["--evidence", str(started.evidence)]
        second = place.run(write_policy(), "touch", "ran", options=options)
        assert (second.code, second.status["end"]) == (125, "refused")
        assert "is not empty" in second.err
        assert not (place.work / "ran").exists()
        after = read_files(started.evidence)
        assert set(after) == set(before)
        assert after.pop("evidence.jsonl").startswith(before.pop("evidence.jsonl"))  # the first one may live
        assert {name: after[name] for name in KEPT & set(after)} == {
            name: before[name] for name in KEPT & set(before)
        }

    refuse_second()
    started.send(signal.SIGKILL)
    ended = started.wait()
    refuse_second()
    assert recover(ended.evidence).returncode == 0
    refuse_second()
    assert ended.verify() == 3


def test_a_run_that_ended_has_nothing_to_recover(place: Place) -> None:
    ended = place.run(write_policy(), "true")
    refused = recover(ended.evidence)
    assert refused.returncode == 1
    assert "nothing to recover" in refused.stderr
    assert ended.verify() == 0


def test_what_is_no_evidence_is_told(place: Place) -> None:
    for path in (place.path / "gone", place.work):
        told = recover(path)
        assert told.returncode == 2
        assert "cannot open" in told.stderr
        assert "Traceback" not in told.stderr


@pytest.fixture
def struck_place() -> Iterator[StruckPlace]:
    place = StruckPlace()
    yield place
    place.close()


@pytest.mark.parametrize(
    ("step", "code"),
    [("launcher started", 0), ("agent running", 0), ("sandbox ended", 0), ("packet file", 1)],
)
def test_a_run_killed_at_any_step_is_recovered_where_its_log_is_open(
    struck_place: StruckPlace, step: str, code: int
) -> None:
    ended = struck_place.start_struck(step, signal.SIGKILL).wait()
    before = (ended.evidence / "evidence.jsonl").read_bytes()
    assert recover(ended.evidence, "--key", str(struck_place.key_file)).returncode == code
    assert (ended.evidence / "evidence.jsonl").read_bytes() == before
    assert (ended.evidence / "recovery.jsonl").exists() == (code == 0)
    assert ended.verify() == 3
