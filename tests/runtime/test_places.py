"""`[files]` as paths of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_egress.errors import SandboxError
from trio_egress.policy.files import Files
from trio_egress.runtime.places import find_places


def places(tmp_path: Path, files: Files, home: str | None = None) -> Files:
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    return find_places(files, str(work), str(tmp_path / "home") if home is None else home)


def test_paths_are_found_from_home_and_working_directory(tmp_path: Path) -> None:
    for name in ("home/.cache", "work/build", "else"):
        (tmp_path / name).mkdir(parents=True)
    files = Files(
        write=("~/.cache", "build", f"{tmp_path}/else", ".", "/dev/shm"),
        hide=("~", f"{tmp_path}/else"),
        protect=("~/x", "*.mk", "/abs/*"),
    )
    found = places(tmp_path, files)
    assert found.write == (
        f"{tmp_path}/home/.cache",
        str(tmp_path / "work" / "build"),
        f"{tmp_path}/else",
        f"{tmp_path}/work",
        "/dev/shm",
    )
    assert found.hide == (f"{tmp_path}/home", f"{tmp_path}/else")
    assert found.protect == (f"{tmp_path}/home/x", "*.mk", "/abs/*")


@pytest.mark.parametrize("home", ["", "relative"])
def test_a_home_that_is_none_cannot_be_meant(tmp_path: Path, home: str) -> None:
    with pytest.raises(SandboxError, match=r"^\[files\] hide: ~/x is in the agent's HOME, and it has none$"):
        places(tmp_path, Files(hide=("~/x",)), home)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (Files(write=("missing",)), r"^\[files\] write: missing does not exist: make it before the run \(/"),
        (Files(write=("/missing",)), r"^\[files\] write: /missing does not exist: make it before the run$"),
        (Files(write=("/etc/passwd",)), r"^\[files\] write: /etc/passwd is no directory$"),
        (Files(write=("root",)), r"^\[files\] write: root can't be made writable for the agent \(/\)$"),
        (Files(write=("/proc",)), r"^\[files\] write: /proc can't be made writable for the agent$"),
        (Files(write=("/dev/pts",)), r"^\[files\] write: /dev/pts can't be made writable for the agent$"),
        (Files(hide=("missing",)), r"^\[files\] hide: missing does not exist \(/"),
        (Files(hide=("~/..",)), r"holds the working directory, in which the agent starts$"),
    ],
)
def test_what_cannot_be_is_refused_with_the_name_of_the_key(tmp_path: Path, files: Files, said: str) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/root").symlink_to("/")
    with pytest.raises(SandboxError, match=said):
        places(tmp_path, files)


def test_a_read_only_file_system_cannot_be_written(tmp_path: Path) -> None:
    with open("/proc/self/mounts", encoding="utf-8") as file:
        found = [line.split()[1] for line in file if line.split()[3].split(",")[0] == "ro"]
    folders = [
        path for path in found if Path(path).is_dir() and not path.startswith(("/sys", "/proc", "/run"))
    ]
    for path in folders:
        with pytest.raises(SandboxError, match=r"is on a read-only file system$"):
            places(tmp_path, Files(write=(path,)))
