"""Landlock on a child of this process, beside the same child without it: writing is held, and nothing else is."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import stat
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from trio_egress.kernel import landlock, syscalls

ABI = syscalls.landlock_abi()

pytestmark = pytest.mark.skipif(ABI < 6, reason="this kernel has no Landlock with scopes (6.12)")


@attrs.frozen
class Ground:
    """A writable place beside one that is not."""

    place: Path
    beside: Path


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    for name in ("place", "beside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("text")
        (tmp_path / name / "folder").mkdir()
        os.mkfifo(tmp_path / name / "pipe")
    return Ground(tmp_path / "place", tmp_path / "beside")


def attempt(act: Callable[[], object], *places: Path, abi: int = ABI) -> str:
    """What came of `act` in a child that is held to `places`: "done", or the name of the error."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            syscalls.set_no_new_privs()
            landlock.restrict_agent(abi, map(str, places))
            act()
            answer = "done"
        except OSError as error:
            answer = type(error).__name__
        except BaseException as error:
            answer = repr(error)
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        answer = file.read()
    os.waitpid(child, 0)
    return answer


def write(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


CHANGES: dict[str, Callable[[Path], object]] = {
    "write a file": lambda folder: write(folder / "file"),
    "truncate a file": lambda folder: os.truncate(folder / "file", 0),
    "append to a file": lambda folder: os.open(folder / "file", os.O_WRONLY | os.O_APPEND),
    "make a file": lambda folder: (folder / "new").touch(),
    "make a nameless file": lambda folder: os.open(folder, os.O_TMPFILE | os.O_WRONLY),
    "make a folder": lambda folder: (folder / "new").mkdir(),
    "make a link": lambda folder: (folder / "new").symlink_to("file"),
    "make a name": lambda folder: os.link(folder / "file", folder / "new"),
    "make a pipe": lambda folder: os.mkfifo(folder / "new"),
    "make a socket": lambda folder: bind(folder / "new"),
    "remove a file": lambda folder: (folder / "file").unlink(),
    "remove a folder": lambda folder: (folder / "folder").rmdir(),
    "rename a file": lambda folder: (folder / "file").rename(folder / "folder" / "file"),
}
READS: dict[str, Callable[[Path], object]] = {
    "read a file": lambda folder: (folder / "file").read_text(),
    "list a folder": lambda folder: os.listdir(folder),
    "execute": lambda folder: os.spawnv(os.P_WAIT, "/bin/true", ["true"]),
    "write what everybody may": lambda folder: Path("/dev/null").write_text("x"),
    "name oneself": lambda folder: Path("/proc/self/comm").write_text("x"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_beside_the_places_can_be_changed(ground: Ground, change: str) -> None:
    act = CHANGES[change]
    assert attempt(lambda: act(ground.beside), ground.place) == "PermissionError"
    assert attempt(lambda: act(ground.beside), ground.place, abi=0) == "done"


@pytest.mark.parametrize("change", CHANGES)
def test_in_a_place_everything_can(ground: Ground, change: str) -> None:
    assert attempt(lambda: CHANGES[change](ground.place), ground.place) == "done"


@pytest.mark.parametrize("reading", READS)
def test_what_changes_nothing_is_free(ground: Ground, reading: str) -> None:
    assert attempt(lambda: READS[reading](ground.beside), ground.place) == "done"


def test_a_pipe_of_the_host_is_closed_although_no_mount_can_close_it(ground: Ground) -> None:
    reader = os.open(ground.beside / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert attempt(lambda: write(ground.beside / "pipe"), ground.place) == "PermissionError"
    assert attempt(lambda: write(ground.beside / "pipe"), ground.place, abi=0) == "done"
    os.close(reader)


def test_a_file_moves_between_two_places(ground: Ground) -> None:
    act = (ground.place / "file").rename
    assert attempt(lambda: act(ground.beside / "new"), ground.place, ground.beside) == "done"


def test_a_place_that_is_not_there_is_no_trouble(ground: Ground) -> None:
    assert attempt(lambda: write(ground.place / "file"), ground.place / "missing", ground.place) == "done"


@pytest.fixture
def stdout_file(ground: Ground) -> Iterator[Path]:
    """Descriptor 1 is a file beside the places, and descriptor 0 the same one, to be read only."""
    kept = os.dup(0), os.dup(1)
    path = ground.beside / "file"
    for descriptor, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY)):
        opened = os.open(path, flags)
        os.dup2(opened, descriptor)
        os.close(opened)
    yield path
    for descriptor, old in enumerate(kept):
        os.dup2(old, descriptor)
        os.close(old)


def test_what_was_given_for_writing_can_be_opened_anew(stdout_file: Path, ground: Ground) -> None:
    assert attempt(lambda: write(Path("/dev/stdout")), ground.place) == "done"


def test_what_was_given_for_reading_can_not_be_written(ground: Ground) -> None:
    path = ground.beside / "file"
    given = os.open(path, os.O_RDONLY)
    kept = os.dup(0)
    os.dup2(given, 0)
    try:
        assert attempt(lambda: write(Path("/proc/self/fd/0")), ground.place) == "PermissionError"
        assert attempt(lambda: write(Path("/proc/self/fd/0")), ground.place, abi=0) == "done"
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(given)


def test_a_pipe_as_a_stream_needs_no_rule(ground: Ground) -> None:
    def act() -> None:
        reader, writer = os.pipe()
        write(Path(f"/proc/self/fd/{writer}"))
        os.close(reader)

    assert attempt(act, ground.place) == "done"


def test_nobody_outside_can_be_signalled(ground: Ground) -> None:
    outside = os.getpid()
    assert attempt(lambda: os.kill(outside, 0), ground.place) == "PermissionError"
    assert attempt(lambda: os.kill(outside, 0), ground.place, abi=5) == "done"


def test_children_can_be_signalled(ground: Ground) -> None:
    def act() -> None:
        child = os.fork()
        if child == 0:
            signal.pause()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    assert attempt(act, ground.place) == "done"


def test_no_abstract_socket_outside_can_be_reached(ground: Ground) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind("\0trio-egress-test-" + os.urandom(8).hex())
        listener.listen()
        name = listener.getsockname()
        assert attempt(lambda: client.connect(name), ground.place) == "PermissionError"
        assert attempt(lambda: client.connect(name), ground.place, abi=5) == "done"


def test_what_it_forbids_can_not_be_taken_back(ground: Ground) -> None:
    def act() -> None:
        landlock.restrict_agent(ABI, ["/"])
        write(ground.beside / "file")

    assert attempt(act, ground.place) == "PermissionError"


def test_a_call_that_fails_is_an_error(ground: Ground) -> None:
    def act() -> None:
        for _ in range(16):  # with the first one too many for the kernel (LANDLOCK_MAX_NUM_LAYERS)
            landlock.restrict_agent(ABI, [])

    assert attempt(act, ground.place) == "OSError"


@pytest.mark.root
def test_a_device_outside_dev_takes_no_commands(ground: Ground) -> None:
    device = ground.beside / "null"
    os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))

    def act(path: Path) -> None:
        fcntl.ioctl(os.open(path, os.O_RDONLY), termios.TCGETS, bytes(64))

    not_a_terminal = "OSError"  # the device's own answer
    assert attempt(lambda: act(device), ground.place) == "PermissionError"
    assert attempt(lambda: act(device), ground.place, abi=4) == not_a_terminal
    assert attempt(lambda: act(Path("/dev/null")), ground.place) == not_a_terminal


@pytest.mark.parametrize(
    ("abi", "words"), [(0, "no Landlock"), (1, "every rename"), (2, ""), (7, ""), (99, "")]
)
def test_what_is_left_out_has_a_reason(abi: int, words: str) -> None:
    found = landlock.explain_absence(abi)
    assert words in found
    assert bool(found) == bool(words)


@pytest.mark.parametrize("abi", [2, 3, 4, 5, 6])
def test_older_versions_hold_what_they_know(abi: int, ground: Ground) -> None:
    assert attempt(lambda: write(ground.beside / "file"), ground.place, abi=abi) == "PermissionError"
    assert attempt(lambda: (ground.place / "new").touch(), ground.place, abi=abi) == "done"
