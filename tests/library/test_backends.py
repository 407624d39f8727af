"""Which back-end a sandbox has: what was asked for, or none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trio_egress.errors import SandboxError, UsageError
from trio_egress.library.backends import SOCKET_VARIABLE, USUAL_SOCKET, choose, find_socket
from trio_egress.library.copying import open_place
from trio_egress.library.remote import start_remote

NAMED = {SOCKET_VARIABLE: "/run/s"}


@pytest.mark.parametrize(
    ("asked", "environ", "uid", "chosen"),
    [
        ("auto", {}, 0, "root"),
        ("auto", {}, 1000, "userns"),
        ("auto", NAMED, 1000, "helper"),
        ("auto", NAMED, 0, "helper"),
        ("userns", NAMED, 1000, "userns"),
        ("root", {}, 0, "root"),
        ("helper", {}, 1000, "helper"),
    ],
)
def test_it_is_what_was_asked_for(asked: str, environ: dict[str, str], uid: int, chosen: str) -> None:
    assert choose(asked, environ, uid) == chosen


def test_nothing_weaker_takes_its_place() -> None:
    with pytest.raises(SandboxError, match="'root': this program runs as uid 1000"):
        choose("root", {}, 1000)
    with pytest.raises(SandboxError, match="'userns': this program runs as root"):
        choose("userns", {}, 0)
    with pytest.raises(UsageError, match="backend must be one of"):
        choose("best", {}, 0)


def test_where_nobody_listens_there_is_no_sandbox(tmp_path: Path) -> None:
    assert find_socket({}) == USUAL_SOCKET
    assert find_socket(NAMED) == "/run/s"
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
