"""Where a log's states are told: what is written, and that a line that can't be is an end."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from trio_egress.cli.anchors import Anchors
from trio_egress.errors import UsageError
from trio_egress.evidence.anchor import Anchor, parse_anchors, render_anchor
from trio_egress.evidence.checkpoint import Checkpoint


def make(size: int) -> Anchor:
    return Anchor(Checkpoint("trio-egress/run/run-1", size, bytes(32)), "ab" * 32, 1_800_000_000_000_000_000)


def test_the_first_head_is_said_and_every_state_is_written(tmp_path: Path) -> None:
    said: list[str] = []
    place = tmp_path / "anchors"
    place.write_bytes(b"what stood there\n")
    anchors = Anchors(said.append, str(place))
    for size in (1, 3, 4):
        anchors.tell(make(size))
    assert said == [f"log opened, head {'ab' * 32}"]
    assert place.read_bytes() == b"what stood there\n" + b"".join(map(render_anchor, map(make, (1, 3, 4))))


def test_without_a_file_or_a_voice_nothing_is_told() -> None:
    Anchors(None, None).tell(make(1))


def test_a_line_that_a_crash_cut_off_spoils_no_other(tmp_path: Path) -> None:
    place = tmp_path / "anchors"
    place.write_bytes(render_anchor(make(7))[:50])
    Anchors(None, str(place)).tell(make(1))
    assert list(parse_anchors(place.read_bytes())) == [(2, make(1).state)]


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("fifo", "link", ".", "nowhere/file"):
        with pytest.raises(UsageError, match="--anchor-file"):
            Anchors(None, str(tmp_path / name))
    assert not (tmp_path / "elsewhere").exists()


PROGRAM = """
import resource, signal, sys
from tests.cli.test_anchors import Anchors, make
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
anchors = Anchors(None, sys.argv[1])
anchors.tell(make(1))
try:
    anchors.tell(make(2))
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_line_that_falls_short_is_an_error(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "anchors"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.startswith("RecorderError wrote ")
    assert f"to the anchor file {tmp_path / 'anchors'}" in ran.stdout
