"""Ways to the host that a read-only mount lets by, in real runs: closed by Landlock, and open in a run without it."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runs.launch import AGENT, SEEN, Place, write_policy

from trio_egress.kernel import syscalls

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(syscalls.landlock_abi() < 2, reason="this kernel has no Landlock (5.19)"),
]

WITHOUT = """
import sys
from trio_egress.cli.main import main
from trio_egress.kernel import syscalls
from trio_egress.kernel import mounts
syscalls.landlock_abi = lambda: 0
mounts.plan_layers = lambda host: ()
sys.exit(main())
"""


class PlaceWithout(Place):
    """Runs as on a kernel that has no Landlock, and without the overlays, on which the host's pipes are dead ends."""

    def program(self, command: str, number: int) -> list[str]:
        given = super().program(command, number)
        return [sys.executable, "-c", WITHOUT, *given[given.index(command) :]]


@pytest.fixture(params=[Place, PlaceWithout])
def either(request: pytest.FixtureRequest) -> Iterator[Place]:
    place = request.param()
    yield place
    place.close()


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that the agent sees as it is on the host, so neither in /tmp nor in what it takes for its HOME."""
    folder = Path(tempfile.mkdtemp(prefix="trio-egress-test-", dir=SEEN))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_pipe_of_the_host_takes_nothing(either: Place, outside: Path) -> None:
    path = outside / "pipe"
    os.mkfifo(path)
    path.chmod(0o666)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    either.run(write_policy(), "sh", "-c", f"echo secret >{path}", environment={"HOME": "/"})
    try:
        found = os.read(reader, 100)
    finally:
        os.close(reader)
    assert found == (b"secret\n" if isinstance(either, PlaceWithout) else b"")


def test_a_file_given_for_reading_keeps_its_text(either: Place) -> None:
    path = either.path / "prompt"
    path.write_text("prompt\n")
    os.chown(path, AGENT.pw_uid, AGENT.pw_gid)
    with path.open() as given:
        either.run(write_policy(), "sh", "-c", "cat >in; echo changed >/proc/self/fd/0", stdin=given.fileno())
    assert path.read_text() == ("changed\n" if isinstance(either, PlaceWithout) else "prompt\n")
    assert (either.work / "in").read_text() == "prompt\n"


def test_a_stream_that_is_a_file_elsewhere_can_be_opened_by_name(place: Place) -> None:
    path = place.write("log", "")
    os.chown(path, AGENT.pw_uid, AGENT.pw_gid)
    with path.open("ab") as log:
        ended = place.run(write_policy(), "sh", "-c", "echo one >>/dev/stdout; echo two", stdout=log.fileno())
    assert (ended.code, path.read_text()) == (0, "one\ntwo\n")


def test_one_process_of_the_agent_signals_another(place: Place) -> None:
    ended = place.run(write_policy(), "sh", "-c", "sleep 60 & kill $!; wait $!; echo $?")
    assert ended.text == "143\n"


def test_files_are_written_and_moved_wherever_the_agent_may(place: Place) -> None:
    program = """
set -e
for folder in . /tmp /var/tmp /dev/shm; do
    mkdir $folder/a $folder/b
    echo x >$folder/a/x
    mv $folder/a/x $folder/b/y
    ln $folder/b/y $folder/a/z
    truncate -s 0 $folder/a/z
    ln -s z $folder/a/s
    rm -r $folder/a $folder/b
done
echo x >/dev/null
echo done
"""
    assert place.run(write_policy(), "sh", "-c", program).text == "done\n"
