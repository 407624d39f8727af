"""What is told to whoever listens where serve is to be, how a run of it ended, and where the copy of a packet goes."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import attrs
import pytest

from trio_egress.errors import SandboxError, UsageError
from trio_egress.library.command import Ended
from trio_egress.library.copying import open_place
from trio_egress.library.remote import Distant, ask_serve, start_remote
from trio_egress.library.remote_run import tell
from trio_egress.library.running import Terms
from trio_egress.library.session import Session

TERMS = Terms(
    policy=None,
    directory=None,
    environment=None,
    allow=(),
    timeout=None,
    evidence=None,
    evidence_in=None,
    key=None,
    signer=None,
    user=None,
)
STATUS: dict[str, object] = {"end": "agent_exited", "message": "", "agent_exit_code": 0, "agent_signal": None}


def test_where_nobody_listens_there_is_no_sandbox(tmp_path: Path) -> None:
    place = open_place(None, tmp_path / "packets")
    large = attrs.evolve(TERMS, environment={"A": "b" * 200_000})
    with pytest.raises(SandboxError, match="does `trio-egress serve` run"):
        start_remote(str(tmp_path / "none"), TERMS, tmp_path, place)
    with pytest.raises(UsageError, match="must be below"):
        start_remote(str(tmp_path / "none"), large, tmp_path, place)
    place.close()


@pytest.mark.parametrize("name", ["key", "signer", "user"])
def test_what_is_for_the_operator_to_say_is_named(tmp_path: Path, name: str) -> None:
    given: dict[str, Any] = {"directory": tmp_path, name: "x"}
    with pytest.raises(UsageError, match=f"^{name}: .*operator"):
        ask_serve(attrs.evolve(TERMS, **given), None, None)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("ended", "end", "code", "number"),
    [
        (Ended(returncode=3), "agent_exited", 3, None),
        (Ended(returncode=-9), "agent_exited", None, 9),
        (Ended(returncode=None, message="no such file"), "agent_not_started", None, None),
        (Ended(returncode=-15, timed_out=True), "timed_out", None, 15),
        (Ended(returncode=-9, limit="memory"), "limit_exceeded", None, 9),
    ],
)
def test_the_end_of_the_one_command_is_that_of_the_run(
    ended: Ended, end: str, code: int | None, number: int | None
) -> None:
    told = tell(STATUS, ended)
    assert (told["end"], told["agent_exit_code"], told["agent_signal"]) == (end, code, number)


def test_a_session_that_ends_by_itself_is_no_success() -> None:
    stopped = {**STATUS, "end": "timed_out", "agent_exit_code": None, "agent_signal": 15, "message": "over"}
    assert tell(stopped, None) == stopped
    assert tell(stopped, Ended(returncode=0)) == {**stopped, "agent_exit_code": 0, "agent_signal": None}
    assert tell(STATUS, None)["agent_exit_code"] is None, "nobody has said how the command ended"


def test_a_stream_that_is_no_descriptor_is_an_error_and_not_the_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        session = Session(Distant(ours), ours, "")
        with pytest.raises(OSError, match="Bad file descriptor"):
            session.spawn(["true"], [1 << 20] * 3, "", {}, None)
        session.spawn(["true"], [theirs.fileno()] * 3, "", {}, None)
        assert b"true" in theirs.recv(1 << 16)


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
