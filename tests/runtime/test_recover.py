"""`recover` on real files: what it takes, what it refuses, and what a crash of its own leaves."""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY, STRANGER, Scribe

from trio_egress.errors import EvidenceError
from trio_egress.evidence.journal import open_journal
from trio_egress.evidence.recovery import RECOVERY_NAME, TORN_NAME
from trio_egress.evidence.verify import verify
from trio_egress.runtime.presence import PRESENCE_NAME, show_presence
from trio_egress.runtime.recover import NotAbandoned, recover

LINES = Scribe().open().allow().block().lines


def write_log(directory: Path, raw: bytes = b"".join(LINES)) -> Path:
    (directory / "evidence.jsonl").write_bytes(raw)
    return directory


def test_an_abandoned_log_gets_its_note_and_keeps_its_bytes(tmp_path: Path) -> None:
    write_log(tmp_path)
    (tmp_path / PRESENCE_NAME).write_text("1 1\n")  # of a process that is another one by now
    abandoned = recover(tmp_path, KEY)
    assert (abandoned.run_id, abandoned.final_seq, abandoned.torn) == ("run-1", 3, b"")
    assert sorted(os.listdir(tmp_path)) == ["evidence.jsonl", RECOVERY_NAME]
    assert (tmp_path / "evidence.jsonl").read_bytes() == b"".join(LINES)
    report = verify(tmp_path, [KEY.public_hex])
    assert (report.exit_code, report.recovered_by, report.findings) == (3, KEY.public_hex, ())


@pytest.mark.parametrize("cut", [1, 57, 58, 200, len(LINES[-1]) - 1])
def test_a_torn_line_is_set_aside(tmp_path: Path, cut: int) -> None:
    write_log(tmp_path, b"".join(LINES[:-1]) + LINES[-1][:cut])
    abandoned = recover(tmp_path, STRANGER)
    assert abandoned.torn == LINES[-1][:cut]
    assert abandoned.final_seq == 2
    assert (tmp_path / TORN_NAME).read_bytes() == LINES[-1][:cut]
    assert (tmp_path / "evidence.jsonl").read_bytes() == b"".join(LINES[:-1])
    report = verify(tmp_path, [KEY.public_hex])
    assert (report.exit_code, report.recovered_by, report.findings) == (3, STRANGER.public_hex, ())


@pytest.mark.parametrize("raw", [b"", LINES[0][:40]])
def test_a_log_without_a_whole_line_can_be_recovered(tmp_path: Path, raw: bytes) -> None:
    assert recover(write_log(tmp_path, raw), KEY).final_seq == -1
    assert verify(tmp_path, [KEY.public_hex]).exit_code == 3


@pytest.mark.parametrize("done", ["aside", "cut"])
def test_a_recovery_that_was_cut_off_can_be_done_again(tmp_path: Path, done: str) -> None:
    torn = LINES[-1][:100]
    (tmp_path / TORN_NAME).write_bytes(torn)
    write_log(tmp_path, b"".join(LINES[:-1]) + (torn if done == "aside" else b""))
    assert recover(tmp_path, KEY).torn == torn
    assert verify(tmp_path, [KEY.public_hex]).findings == ()


def assert_refused(directory: Path, message: str) -> None:
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    with pytest.raises(NotAbandoned, match=message):
        recover(directory, KEY)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_it_is_done_once(tmp_path: Path) -> None:
    recover(write_log(tmp_path), KEY)
    assert_refused(tmp_path, "it was recovered before")


def test_a_closed_log_has_nothing_to_recover(tmp_path: Path) -> None:
    write_log(tmp_path, Scribe().open().close().raw)
    assert_refused(tmp_path, "the log is closed")


@pytest.mark.parametrize("name", ["packet.json", "manifest.json"])
def test_a_sealed_packet_has_nothing_to_recover(tmp_path: Path, name: str) -> None:
    (write_log(tmp_path) / name).write_text("{}")
    assert_refused(tmp_path, "its packet was sealed")


@pytest.mark.parametrize(
    "raw", [b"".join(LINES[1:]), b"".join(LINES) + b"{}\n", b"x" * 10, b"".join(LINES) + b"x"]
)
def test_nothing_is_signed_about_a_log_that_does_not_hold_together(tmp_path: Path, raw: bytes) -> None:
    assert_refused(write_log(tmp_path, raw), "does not hold together")


def test_a_log_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    journal = open_journal(directory)
    journal.write(LINES[:1])
    assert_refused(tmp_path, "lives")
    journal.close()
    os.close(directory)
    assert recover(tmp_path, KEY).final_seq == 0


def test_a_run_that_says_that_it_lives_is_left_alone(tmp_path: Path) -> None:
    """Where the file system has no locks, as some of a network have."""
    write_log(tmp_path)
    directory = os.open(tmp_path, os.O_RDONLY)
    with show_presence(directory):
        assert_refused(tmp_path, "lives")
    os.close(directory)
    assert recover(tmp_path, KEY).final_seq == 3


def test_who_writes_for_a_killed_run_a_moment_longer_is_waited_for(tmp_path: Path) -> None:
    write_log(tmp_path)
    kept = os.open(tmp_path / "evidence.jsonl", os.O_RDWR)
    fcntl.flock(kept, fcntl.LOCK_EX)
    ends = threading.Timer(0.2, os.close, [kept])
    ends.start()
    assert recover(tmp_path, KEY).final_seq == 3
    ends.join()


def test_two_recoveries_at_once_are_one(tmp_path: Path) -> None:
    write_log(tmp_path)
    with (tmp_path / "evidence.jsonl").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert_refused(tmp_path, "lives")


@pytest.mark.parametrize("how", ["nothing", "no log", "a link"])
def test_what_is_no_log_cannot_be_read(tmp_path: Path, how: str) -> None:
    if how == "a link":
        (tmp_path / "elsewhere").write_bytes(b"".join(LINES))
        (tmp_path / "evidence.jsonl").symlink_to("elsewhere")
    directory = tmp_path / "gone" if how == "nothing" else tmp_path
    with pytest.raises(EvidenceError, match="cannot open"):
        recover(directory, KEY)
