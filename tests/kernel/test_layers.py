"""How a directory is shown, by what is mounted in it and by who mounts."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from trio_egress.kernel import layers
from trio_egress.kernel.layers import Host, plan_folder
from trio_egress.kernel.mountinfo import HostMount
from trio_egress.kernel.steps import STAGE

KEPT = f"{STAGE}/host/1"


def shown(
    folder: Path, *mounts: tuple[str, str], root: bool, made_anew: list[str] | None = None
) -> list[tuple[str, str, str]]:
    """The steps, with paths as they are in the folder; `mounts` are names in it and kinds."""
    known = [HostMount("/", "/", "8:1", "ext4")]
    known += [
        HostMount(f"{folder}/{name}" if name else str(folder), "/", "8:2", kind) for name, kind in mounts
    ]
    places = [f"{folder}/{name}" for name in made_anew or ()]
    host = Host(known, root, os.geteuid(), os.getegid(), places, [])
    return [
        (
            step.kind,
            step.target.replace(str(folder), "F"),
            step.source.replace(str(folder), "F").replace(KEPT, "KEPT"),
        )
        for step in plan_folder(str(folder), host)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/b", "c"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "socket"))
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.mark.parametrize("root", [True, False])
def test_a_directory_without_mounts_is_one_layer(folder: Path, root: bool) -> None:
    assert shown(folder, root=root) == [("layer", "F", "F")]


def test_for_root_what_is_mounted_is_put_over_the_layer(folder: Path) -> None:
    assert shown(folder, ("a/b", "ext4"), ("c", "vfat"), ("file", "ext4"), root=True) == [
        ("keep", KEPT, "F"),
        ("layer", "F", "F"),
        ("layer", "F/a/b", "KEPT/a/b"),
        ("bind", "F/c", "KEPT/c"),
        ("layer", "F/file", "KEPT/file"),
    ]


def test_for_root_what_the_agent_can_not_reach_is_left_out(folder: Path) -> None:
    os.chmod(folder / "a", 0o600)
    known = [HostMount("/", "/", "8:1", "ext4"), HostMount(f"{folder}/a/b", "/", "8:2", "ext4")]
    stranger = Host(known, True, 54321, 54321, [], [])
    steps = list(plan_folder(str(folder), stranger))
    os.chmod(folder / "a", 0o700)  # who cleans up must get in
    assert [step.target for step in steps] == [KEPT, str(folder)]


def test_for_an_ordinary_user_a_directory_with_mounts_is_made_anew(folder: Path) -> None:
    assert sorted(shown(folder, ("a/b", "ext4"), root=False)) == sorted(
        [
            ("keep", KEPT, "F"),
            ("tmpfs", "F", ""),
            ("directory", "F/a", ""),
            ("directory", "F/a/b", ""),
            ("layer", "F/a/b", "KEPT/a/b"),
            ("directory", "F/c", ""),
            ("layer", "F/c", "KEPT/c"),
            ("keep", "F/file", "KEPT/file"),
            ("link", "F/link", "file"),
        ]
    )


@pytest.mark.parametrize("root", [True, False])
def test_a_second_proc_is_not_shown(folder: Path, root: bool) -> None:
    steps = shown(folder, ("c", "proc"), root=root)
    assert [step for step in steps if step[1] == "F/c" and step[0] != "directory"] == [("tmpfs", "F/c", "")]


@pytest.mark.parametrize("root", [True, False])
def test_what_is_made_anew_by_others_is_left_to_them(folder: Path, root: bool) -> None:
    steps = shown(folder, ("a/b", "ext4"), root=root, made_anew=["a"])
    assert [step for step in steps if step[1].startswith("F/a") and step[0] != "directory"] == []


def test_what_is_too_much_to_be_made_anew_stays_as_it_is_and_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "NAMES_MAX", 5)
    assert shown(folder, ("a/b", "ext4"), root=False) == [("bare", "F", "")]


def test_a_file_system_without_sockets_that_may_refuse_is_not_asked(folder: Path) -> None:
    assert shown(folder, ("", "vfat"), root=True) == []


@pytest.mark.ordinary  # root can list everything
def test_of_a_directory_that_can_not_be_listed_what_is_mounted_is_there(folder: Path) -> None:
    os.chmod(folder, 0o311)
    try:
        steps = shown(folder, ("a/b", "ext4"), root=False)
    finally:
        os.chmod(folder, 0o755)
    assert ("layer", "F/a/b", "KEPT/a/b") in steps
    assert not [step for step in steps if step[1] == "F/c"]
