"""What is told to whoever listens where serve is to be, and where the copy of a packet goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trio_egress.errors import SandboxError, UsageError
from trio_egress.library.copying import open_place
from trio_egress.library.remote import start_remote


def test_where_nobody_listens_there_is_no_sandbox(tmp_path: Path) -> None:
    place = open_place(None, tmp_path / "packets")
    with pytest.raises(SandboxError, match="does `trio-egress serve` run"):
        start_remote(str(tmp_path / "none"), None, (), None, tmp_path, None, place)
    with pytest.raises(UsageError, match="must be below"):
        start_remote(str(tmp_path / "none"), None, (), None, tmp_path, {"A": "b" * 200_000}, place)
    place.close()


def test_a_copy_follows_nothing_that_was_put_in_its_way(tmp_path: Path) -> None:
    packet, target = tmp_path / "packet", tmp_path / "target"
    packet.mkdir()
    (packet / "report.html").write_text("agent's words")
    os.mkfifo(packet / "fifo")
    target.write_text("mine")
    source = os.open(packet, os.O_RDONLY)
    place = open_place(None, tmp_path / "copies")
    assert place.take(source, "run") == tmp_path / "copies" / "run"
    assert os.listdir(tmp_path / "copies" / "run") == ["report.html"], "the control: nothing was in its way"
    (tmp_path / "copies" / "planted").symlink_to(tmp_path)
    with pytest.raises(FileExistsError):
        place.take(source, "planted")
    place.close()
    own = open_place(tmp_path / "own", tmp_path)
    (tmp_path / "own" / "report.html").symlink_to(target)
    with pytest.raises(FileExistsError):
        own.take(source, "run")
    own.close()
    os.close(source)
    assert target.read_text() == "mine"
    with pytest.raises(UsageError, match="not empty"):
        open_place(tmp_path / "own", tmp_path)
    with pytest.raises(UsageError, match="cannot use"):
        open_place(tmp_path / "target", tmp_path)
