"""Disks that fail and runs that are killed while they write: a valid prefix is left, and nothing leaves after it.

What left is what the server saw. That the disk fails is the kernel's answer to the supervisor's own calls.
"""

from __future__ import annotations

import signal

import pytest
from tests.runs.faults import LONG_MICROSECONDS, inject
from tests.runs.launch import Ended, Place, Started, read_lines, read_receipts, verify, wait_until
from tests.runs.remains import find_recorder, waits_for_orders
from tests.runs.test_evidence_incomplete import AGENT, FLOOD, Canary, assert_incomplete, canary, mark

__all__ = ["canary", "mark"]

pytestmark = [pytest.mark.sandbox]


def start(place: Place, canary: Canary, mark: str) -> Started:
    """A run whose agent has asked once, and asks again when it is told to."""
    started = place.start(canary.policy, "bash", "-c", AGENT, mark)
    wait_until((place.work / "first-done").exists, "the first request")
    return started


def assert_valid_prefix(ended: Ended, canary: Canary) -> None:
    """What left was announced on disk, all of it is signed and linked, and its end is not proven."""
    assert ended.verify() == 3
    announced = {r.target.rpartition("/")[2] for r in read_receipts(ended.evidence) if r.phase == "intent"}
    assert {path.strip("/") for path in canary.seen} <= announced


@pytest.mark.root
@pytest.mark.parametrize(
    "fault",
    [
        "write:error=ENOSPC",
        "write:error=EROFS",
        "write:retval=7",
        "fdatasync:error=EIO",
        "fdatasync:error=EROFS",
    ],
)
def test_nothing_leaves_once_the_log_cannot_be_written(
    place: Place, canary: Canary, mark: str, fault: str
) -> None:
    started = start(place, canary, mark)
    with inject(find_recorder(started.pid), started.evidence / "evidence.jsonl", fault):
        (place.work / "go").touch()
        ended = started.wait()
    assert_incomplete(ended, mark)
    assert canary.seen == ["/first"]
    assert_valid_prefix(ended, canary)


@pytest.mark.root
def test_a_fault_that_passes_lets_nothing_leave_either(place: Place, canary: Canary, mark: str) -> None:
    """A write after an fdatasync that failed may seem to work, and what it should have followed is lost."""
    started = start(place, canary, mark)
    with inject(
        find_recorder(started.pid), started.evidence / "evidence.jsonl", "fdatasync:error=EIO:when=1"
    ):
        (place.work / "go").touch()
        ended = started.wait()
    assert_incomplete(ended, mark)
    assert canary.seen == ["/first"]
    assert_valid_prefix(ended, canary)


@pytest.mark.root
def test_without_a_fault_the_next_request_leaves(place: Place, canary: Canary, mark: str) -> None:
    """The control: being watched alone changes nothing."""
    started = start(place, canary, mark)
    with inject(
        find_recorder(started.pid), started.evidence / "evidence.jsonl", "fdatasync:error=EIO:when=65535"
    ):
        (place.work / "go").touch()
        wait_until(lambda: "/later" in canary.seen, "a later request")
    started.send(signal.SIGTERM)
    assert started.wait().verify() == 0


def has_line(started: Started, phase: str, path: str) -> bool:
    return any(
        line["action_record"].get("decision_phase") == phase
        and line["action_record"]["target"].endswith(path)
        for line in read_lines(started.evidence)
    )


@pytest.mark.root
def test_an_intent_that_is_written_and_not_yet_durable_lets_nothing_leave(
    place: Place, canary: Canary, mark: str
) -> None:
    """The disk takes for ever to say that it has the line, and then the supervisor is killed."""
    started = start(place, canary, mark)
    recorder = find_recorder(started.pid)
    # The first request's outcome comes after its answer: were that one delayed, no intent would ever be written.
    wait_until(
        lambda: has_line(started, "outcome", "/first") and waits_for_orders(recorder), "the first outcome"
    )
    with inject(recorder, started.evidence / "evidence.jsonl", f"fdatasync:delay_enter={LONG_MICROSECONDS}"):
        (place.work / "go").touch()
        wait_until(lambda: has_line(started, "intent", "/later"), "the intent in the file")
        started.send(signal.SIGKILL)
    ended = started.wait()
    assert canary.seen == ["/first"]
    assert_valid_prefix(ended, canary)


@pytest.mark.root
@pytest.mark.parametrize(
    ("fault", "name"),
    [
        ("fsync:error=EIO", "manifest.json"),
        ("fsync:error=EROFS", "posture.json"),
        ("write:error=ENOSPC", "packet.json"),
    ],
)
def test_a_packet_that_cannot_be_sealed_is_a_valid_prefix(
    place: Place, canary: Canary, mark: str, fault: str, name: str
) -> None:
    started = start(place, canary, mark)
    with inject(started.pid, started.evidence / f".{name}.part", fault):
        started.send(signal.SIGTERM)
        ended = started.wait()
    assert (ended.code, ended.status["end"]) == (122, "evidence_incomplete")
    assert "cannot write the packet" in ended.err
    assert not (ended.evidence / "packet.json").exists()
    assert ended.verify() == 3


def test_what_a_killed_run_let_out_was_announced(place: Place, canary: Canary, mark: str) -> None:
    started = place.start(canary.policy, "bash", "-c", FLOOD, mark)
    wait_until(lambda: len(canary.seen) > 50, "many requests")
    started.send(signal.SIGKILL)
    ended = started.wait()
    assert_valid_prefix(ended, canary)


def test_a_directory_that_was_moved_away_keeps_its_record(place: Place, canary: Canary, mark: str) -> None:
    """The log is open, so it is written on where it is now; the run tells at its end that its place is empty."""
    started = start(place, canary, mark)
    stolen = started.evidence.rename(place.path / "stolen")
    (place.work / "go").touch()
    wait_until(lambda: "/later" in canary.seen, "a later request")
    started.send(signal.SIGTERM)
    ended = started.wait()
    assert (ended.code, ended.status["end"]) == (122, "evidence_incomplete")
    assert "is gone" in ended.err
    assert verify(stolen, ended.key) == 0
    announced = [r.target.rpartition("/")[2] for r in read_receipts(stolen) if r.phase == "intent"]
    assert len(canary.seen) == len(announced)


def test_a_directory_that_was_moved_away_and_replaced_is_not_taken_for_it(
    place: Place, canary: Canary, mark: str
) -> None:
    started = start(place, canary, mark)
    stolen = started.evidence.rename(place.path / "stolen")
    started.evidence.mkdir()
    (started.evidence / "evidence.jsonl").write_bytes((stolen / "evidence.jsonl").read_bytes())
    started.send(signal.SIGTERM)
    ended = started.wait()
    assert ended.code == 122
    assert "was replaced during the run" in ended.err
    assert verify(stolen, ended.key) == 0
    assert ended.verify() == 3
