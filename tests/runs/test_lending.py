"""Root's working directory, lent to the agent in real runs: written by it, and root's as before."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
from pathlib import Path

import pytest
from tests.runs.launch import AGENT, Place, write_policy

from trio_egress.kernel import syscalls

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.root,  # nobody else can lend
]


UNFILTERED = """
import sys
from trio_egress.cli.main import main
from trio_egress.kernel import plan
build_filters = plan.build_filters
plan.build_filters = lambda machine, refused_modes: build_filters(machine, 0)
sys.exit(main())
"""


class Unfiltered(Place):
    """Where a file may get any mode: the control."""

    def program(self, command: str, number: int) -> list[str]:
        given = super().program(command, number)
        return [sys.executable, "-c", UNFILTERED, *given[given.index(command) :]]


@pytest.fixture
def rooted(place: Place) -> Place:
    """A place whose working directory is root's, with a file in it, as in a CI container."""
    return give_to_root(place)


def give_to_root(place: Place) -> Place:
    os.chown(place.work, 0, 0)
    place.work.chmod(0o755)
    (place.work / "there").write_text("as it was\n")
    (place.work / "there").chmod(0o644)
    return place


def attempt(place: Place, *commands: str) -> list[int]:
    """Which of these commands went well, by number."""
    lines = [f"if ( {command} ) 2>/dev/null; then echo {at}; fi" for at, command in enumerate(commands)]
    ended = place.run(write_policy(), "bash", "-c", "\n".join(lines))
    assert ended.code != 125, ended.err
    return [int(line) for line in ended.text.split()]


def test_what_the_agent_makes_belongs_to_the_directorys_owner(rooted: Place) -> None:
    ended = rooted.run(
        write_policy(), "sh", "-c", "id -u; stat -c %u . there; mkdir new; echo x >new/file; echo y >>there"
    )
    assert ended.text.split() == [str(AGENT.pw_uid)] * 3
    made = [os.stat(rooted.work / name) for name in ("new", "new/file", "there")]
    assert {(found.st_uid, found.st_gid) for found in made} == {(0, 0)}
    assert (rooted.work / "there").read_text() == "as it was\ny\n"
    assert json.loads((ended.evidence / "posture.json").read_text())["lent"] == str(rooted.work)
    assert ended.verify() == 0


def test_a_stranger_to_this_machine_who_owns_the_directory_keeps_it(rooted: Place) -> None:
    for path in (rooted.work, rooted.work / "there"):
        os.chown(path, 54321, 54322)
    assert attempt(rooted, "echo y >>there", "echo x >new") == [0, 1]
    made = os.stat(rooted.work / "new")
    assert (made.st_uid, made.st_gid) == (54321, 54322)


def test_a_directory_that_the_agent_can_write_is_not_lent(place: Place) -> None:
    ended = place.run(write_policy(), "sh", "-c", "echo x >new")
    assert os.stat(place.work / "new").st_uid == AGENT.pw_uid
    assert json.loads((ended.evidence / "posture.json").read_text())["lent"] == ""


SET_IDS = (
    "cp /bin/true a; chmod 4755 a",
    "cp /bin/true b; chmod 2755 b",
    "cp /bin/true c; chmod u+s,g+s c",
    "install -m 6755 /bin/true d",
    "python3 -c 'import os; os.open(\"e\", os.O_CREAT | os.O_WRONLY, 0o6755)'",
    "python3 -c 'import os; os.mknod(\"f\", 0o104755)'",
    "python3 -c 'import os; os.open(\".\", os.O_TMPFILE | os.O_WRONLY, 0o4755)'",
    "python3 -c 'import os; os.chmod(\".\", 0o2755)'",
    "mknod g c 1 3",
    "mknod h b 8 0",
)


def test_nothing_that_the_agent_leaves_runs_as_root(rooted: Place) -> None:
    assert attempt(rooted, *SET_IDS) == []
    for folder, _, files in os.walk(rooted.work):
        for name in (".", *files):
            mode = os.lstat(Path(folder, name)).st_mode
            assert not mode & (stat.S_ISUID | stat.S_ISGID), name
            assert stat.S_ISREG(mode) or stat.S_ISDIR(mode), name


def test_control_without_the_filter_it_would() -> None:
    place = give_to_root(Unfiltered())
    try:
        assert attempt(place, SET_IDS[0]) == [0]
        made = os.stat(place.work / "a")
        assert (made.st_uid, stat.S_IMODE(made.st_mode)) == (0, 0o4755)
    finally:
        place.close()


def test_what_runs_as_root_already_stays_as_it_is(rooted: Place) -> None:
    tool = rooted.work / "rootfs/bin/tool"
    tool.parent.mkdir(parents=True)
    tool.write_bytes(b"#!/bin/sh\n" + b"#" * 5000)
    tool.chmod(0o4755)
    write = "import mmap; f = open('rootfs/bin/tool', 'r+b'); m = mmap.mmap(f.fileno(), 0); m[:4] = b'evil'; m.flush()"
    tries = [
        "echo x >rootfs/bin/tool",
        f'python3 -c "{write}"',
        "ln rootfs/bin/tool other && echo x >other",
        "rm rootfs/bin/tool",
        "mv rootfs moved; echo x >moved/bin/tool",
    ]
    attempt(rooted, *tries)
    (found,) = rooted.work.rglob("tool")
    assert found.read_bytes().startswith(b"#!/bin/sh")
    assert not (rooted.work / "other").exists()


def test_devices_in_it_are_dead(rooted: Place) -> None:
    os.mknod(rooted.work / "zero", 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    assert attempt(rooted, "head -c 1 zero", "test -c zero") == [1]
    with open(rooted.work / "zero", "rb") as device:
        assert device.read(1) == b"\0"


def test_sockets_in_it_are_covered_by_whatever_name(rooted: Place) -> None:
    connect = "python3 -c \"import socket; socket.socket(socket.AF_UNIX).connect('{}')\""
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(rooted.work / "before"))
        (rooted.work / "before").rename(rooted.work / "service")
        (rooted.work / "service").chmod(0o600)
        service.listen()
        assert attempt(rooted, connect.format("service"), "test -e service") == [1]


def test_where_the_file_system_cannot_lend_the_run_is_refused_with_the_cure(rooted: Place) -> None:
    names = ("lower", "upper", "worker", "merged")
    lower, upper, worker, merged = folders = [rooted.path / name for name in names]
    for folder in folders:
        folder.mkdir()

    def enter_overlay() -> None:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
        options = f"lowerdir={lower},upperdir={upper},workdir={worker}"
        syscalls.mount("overlay", str(merged), "overlay", 0, options)
        os.chdir(merged)

    ended = rooted.run(write_policy(), "true", preexec_fn=enter_overlay)
    assert ended.code == 125
    assert f"chown -R {AGENT.pw_uid} {merged}" in ended.err
    assert "doctor" not in ended.err


def test_a_directory_behind_a_closed_door_is_refused_with_the_cure(rooted: Place) -> None:
    door = rooted.path / "door"
    (door / "work").mkdir(parents=True)
    door.chmod(0o700)
    ended = rooted.run(write_policy(), "true", cwd=door / "work")
    assert ended.code == 125
    assert f"setfacl -m u:{AGENT.pw_uid}:x {door}" in ended.err


def test_a_directory_of_the_system_is_only_shown(place: Place) -> None:
    ended = place.run(write_policy(), "sh", "-c", "test -e passwd && ! touch trio-egress-test", cwd="/etc")
    assert ended.code == 0
    assert not Path("/etc/trio-egress-test").exists()
