"""The evidence file on a disk that fails: nothing is believed that is not there, and nothing is tried twice."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY, write_chain

import trio_egress
from trio_egress.errors import RecorderError
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.journal import Journal, open_journal
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.stream import replay_stream

LINES = write_chain()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "evidence"
    made.mkdir()
    return made


@pytest.fixture
def journal(directory: Path) -> Iterator[Journal]:
    dir_fd = os.open(directory, os.O_RDONLY)
    opened = open_journal(dir_fd)
    os.close(dir_fd)  # the journal keeps its own
    yield opened
    opened.close()


def _assert_final(journal: Journal, durable: int) -> None:
    """A failed journal says so for ever, and still knows what is on disk."""
    with pytest.raises(RecorderError):
        journal.write(LINES)
    with pytest.raises(RecorderError):
        journal.write([])
    with pytest.raises(RecorderError):
        journal.sync()
    assert journal.durable_bytes == durable


def test_lines_are_on_disk_when_sync_returns(journal: Journal, directory: Path) -> None:
    journal.write(LINES[:3])
    assert journal.durable_bytes == 0
    journal.sync()
    journal.write([])
    journal.write(LINES[3:])
    journal.sync()
    raw = (directory / "evidence.jsonl").read_bytes()
    assert raw == b"".join(LINES)
    assert journal.durable_bytes == len(raw)


def test_a_second_writer_on_one_directory_is_refused(journal: Journal, directory: Path) -> None:
    dir_fd = os.open(directory, os.O_RDONLY)
    with pytest.raises(RecorderError, match="already there"):
        open_journal(dir_fd)
    os.close(dir_fd)
    journal.write(LINES)
    journal.sync()


def test_a_planted_link_is_not_followed(directory: Path, tmp_path: Path) -> None:
    (directory / "evidence.jsonl").symlink_to(tmp_path / "elsewhere")
    dir_fd = os.open(directory, os.O_RDONLY)
    with pytest.raises(RecorderError, match="already there"):
        open_journal(dir_fd)
    os.close(dir_fd)
    assert not (tmp_path / "elsewhere").exists()


def test_a_directory_that_cannot_be_made_durable_is_refused(directory: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    dir_fd = os.open(directory, os.O_PATH)  # openat works on it, fsync does not
    with pytest.raises(RecorderError, match=r"cannot create .*: Bad file descriptor"):
        open_journal(dir_fd)
    os.close(dir_fd)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_closed_directory_is_refused(directory: Path) -> None:
    dir_fd = os.open(directory, os.O_RDONLY)
    os.close(dir_fd)
    with pytest.raises(RecorderError, match="cannot use the evidence directory"):
        open_journal(dir_fd)


def test_a_removed_directory_fails_for_good(journal: Journal, directory: Path) -> None:
    journal.write(LINES[:1])
    journal.sync()
    (directory / "evidence.jsonl").unlink()
    directory.rmdir()
    journal.write(LINES[1:2])
    with pytest.raises(RecorderError, match=f"only the first {len(LINES[0])} bytes are known to be on disk"):
        journal.sync()
    _assert_final(journal, len(LINES[0]))


def test_a_directory_that_was_only_moved_still_holds_the_file(journal: Journal, directory: Path) -> None:
    directory.rename(directory.with_name("moved"))
    journal.write(LINES)
    journal.sync()
    assert (directory.with_name("moved") / "evidence.jsonl").read_bytes() == b"".join(LINES)


def test_a_replaced_file_fails_for_good(journal: Journal, directory: Path) -> None:
    journal.write(LINES[:1])
    journal.sync()
    (directory / "evidence.jsonl").rename(directory / "kept")
    (directory / "evidence.jsonl").write_bytes(LINES[0])
    with pytest.raises(RecorderError, match="was replaced"):
        journal.sync()
    _assert_final(journal, len(LINES[0]))


@pytest.mark.parametrize("size", [0, 5, 100_000])
def test_a_file_that_another_has_cut_or_extended_fails_for_good(
    journal: Journal, directory: Path, size: int
) -> None:
    journal.write(LINES[:1])
    journal.sync()
    os.truncate(directory / "evidence.jsonl", size)
    with pytest.raises(RecorderError, match=f"is {size} bytes long where {len(LINES[0])} were written"):
        journal.sync()
    _assert_final(journal, len(LINES[0]))


@pytest.mark.parametrize("step", ["write", "sync"])
def test_a_descriptor_that_is_gone_fails_for_good(journal: Journal, step: str) -> None:
    journal.write(LINES[:1])
    journal.sync()
    os.close(journal._fd)
    with pytest.raises(RecorderError, match="Bad file descriptor"):
        journal.write(LINES[1:]) if step == "write" else journal.sync()
    _assert_final(journal, len(LINES[0]))


def test_a_closed_journal_takes_nothing_and_closes_again(journal: Journal) -> None:
    journal.close()
    journal.close()
    _assert_final(journal, 0)


FILL = """
import json, os, resource, sys
from trio_egress.errors import RecorderError
from trio_egress.evidence.journal import open_journal
from tests.evidence.specimens import Scribe

directory, limit = sys.argv[1], int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
journal = open_journal(os.open(directory, os.O_RDONLY))
scribe = Scribe().open()
acknowledged = []
try:
    for _ in range(1000):
        group, scribe.lines = scribe.lines, []
        journal.write(group)
        journal.sync()
        acknowledged += group
        scribe.allow().block()
except RecorderError as error:
    first = str(error)
later = []
for call in (lambda: journal.write([b"x"]), journal.sync):
    try:
        call()
    except RecorderError as error:
        later.append(str(error))
with open(os.path.join(directory, "evidence.jsonl"), "rb") as file:
    raw = file.read()
print(json.dumps({
    "error": first, "later": later, "durable": journal.durable_bytes,
    "acknowledged": len(b"".join(acknowledged)), "raw": raw.decode(),
}))
"""


def _fill(directory: Path, limit: int, wrap: list[str]) -> dict[str, object]:
    roots = [Path(trio_egress.__file__).parents[1], Path(__file__).parents[2]]
    ran = subprocess.run(
        [*wrap, sys.executable, "-c", FILL, str(directory), str(limit)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, roots))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    said: dict[str, object] = json.loads(ran.stdout)
    return said


def _assert_valid_prefix(said: dict[str, object]) -> None:
    """What was acknowledged is there, whole; what follows it is the start of what was not."""
    raw = str(said["raw"]).encode()
    assert 0 < int(str(said["durable"])) == int(str(said["acknowledged"])) <= len(raw)
    assert said["later"] == [said["error"]] * 2
    played = Replay(Findings(), "evidence.jsonl", {KEY.public_hex})
    for line in raw.splitlines(keepends=True):
        played.feed(line[:-1]) if line.endswith(b"\n") else played.feed_torn(line)
    assert played.findings.kept == []


def test_a_file_at_its_size_limit_is_a_valid_prefix(directory: Path) -> None:
    said = _fill(directory, 20_000, [])
    assert "bytes to evidence.jsonl (disk full or over a limit?)" in str(said["error"])
    assert len(str(said["raw"])) == 20_000
    _assert_valid_prefix(said)


def test_a_write_that_falls_short_fails_for_good(journal: Journal) -> None:
    journal.write(LINES[:1])
    journal.sync()
    limit = len(LINES[0]) + 10
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(RecorderError, match=f"wrote 10 of {len(LINES[1])} bytes"):
            journal.write(LINES[1:2])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    _assert_final(journal, len(LINES[0]))


TINY_DISK = 'mount -t tmpfs -o size=64k tmpfs "$0" && exec "$@"'


def test_a_full_disk_leaves_a_valid_prefix(directory: Path) -> None:
    unshare = (
        ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    )
    wrap = [*unshare, "sh", "-c", TINY_DISK, str(directory)]
    if subprocess.run([*wrap, "true"], check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount a tmpfs of its own")
    said = _fill(directory, 0, wrap)
    assert "only the first" in str(said["error"])
    assert len(str(said["raw"])) <= 65_536
    _assert_valid_prefix(said)
    assert os.listdir(directory) == []  # the disk was in a namespace of its own


def test_what_a_full_disk_leaves_can_be_replayed_from_its_file(directory: Path) -> None:
    _fill(directory, 5_000, [])
    played = Replay(Findings(), "evidence.jsonl", {KEY.public_hex})
    with open(directory / "evidence.jsonl", "rb") as evidence:
        replay_stream(evidence, played)
    assert (played.findings.kept, played.torn) == ([], True)
