"""The host through overlays, in real runs: what listens there can't be reached, and everything else is as it was."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runs.launch import AGENT, SEEN, Place, write_policy

pytestmark = pytest.mark.sandbox

WITHOUT = """
import sys
from trio_egress.cli.main import main
from trio_egress.kernel import mounts, syscalls
syscalls.landlock_abi = lambda: 0
if {bare}:
    mounts.plan_layers = lambda host: ()
sys.exit(main())
"""

TRY = """
import os, socket, sys
for path in sys.argv[1:]:
    try:
        if path.endswith("pipe"):
            os.write(os.open(path, os.O_WRONLY | os.O_NONBLOCK), b"x")
        else:
            kind = socket.SOCK_DGRAM if path.endswith("datagrams") else socket.SOCK_STREAM
            socket.socket(socket.AF_UNIX, kind).connect(path)
        print("reached")
    except OSError as error:
        print(os.strerror(error.errno))
"""


class Layered(Place):
    """Without Landlock, so that the overlays stand alone."""

    bare = False

    def program(self, command: str, number: int) -> list[str]:
        given = super().program(command, number)
        return [sys.executable, "-c", WITHOUT.format(bare=self.bare), *given[given.index(command) :]]


class Bare(Layered):
    """The control."""

    bare = True


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder outside all of the run's own places."""
    folder = Path(tempfile.mkdtemp(prefix="trio-egress-test-", dir=SEEN))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("kind", "answers"),
    [(Layered, ["Connection refused"] * 2 + ["No such device or address"]), (Bare, ["reached"] * 3)],
)
def test_nothing_that_listens_on_the_host_hears_the_agent(
    kind: type[Layered], answers: list[str], outside: Path
) -> None:
    place = kind()
    names = ["stream", "datagrams", "pipe"]
    with (
        socket.socket(socket.AF_UNIX) as stream,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
    ):
        for name, sock in (("stream", stream), ("datagrams", datagrams)):
            sock.bind(str(outside / "bound"))  # no table knows it by the name that it will have
            (outside / "bound").rename(outside / name)
        stream.listen()
        os.mkfifo(outside / "pipe")
        reader = os.open(outside / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        for name in names:
            (outside / name).chmod(0o666)
        paths = [str(outside / name) for name in names]
        ended = place.run(write_policy(), "python3", "-c", TRY, *paths, environment={"HOME": "/"})
        os.close(reader)
    place.close()
    assert ended.text.splitlines() == answers


def test_the_whole_host_is_layered_here(place: Place) -> None:
    ended = place.run(write_policy(), "true")
    assert json.loads((ended.evidence / "posture.json").read_text())["bare"] == []


def test_what_only_its_owner_can_reach_needs_no_hiding(place: Place) -> None:
    """Of root's run the layers show no more than the agent may see, and nobody gets in there to hide anything."""
    private = place.path / "private"
    private.mkdir(0o700)
    place.key_file = place.key_file.rename(private / "key")
    evidence = private / "evidence"
    options = ["--key", str(place.key_file), "--evidence", str(evidence)]
    ended = place.run(write_policy(), "sh", "-c", f"cat {place.key_file}; ls {private}/*", options=options)
    assert ended.code != 125, ended.err
    assert "private-v1" not in ended.text
    assert (evidence / "evidence.jsonl").exists()


def test_home_of_any_name_keeps_changes_in_memory(place: Place) -> None:
    home = place.path / "a,b:c\\d e"
    home.mkdir()
    os.chown(home, AGENT.pw_uid, AGENT.pw_gid)
    (home / "file").write_text("x")
    policy = write_policy(more=f"[env]\nset = {{HOME = '{home}'}}\n")
    ended = place.run(policy, "sh", "-c", 'cat "$HOME/file"; echo y >"$HOME/new"; cat "$HOME/new"')
    assert ended.text == "xy\n"
    assert os.listdir(home) == ["file"]
