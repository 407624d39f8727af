"""Which working directories are lent to the agent: somebody's work, and only where the agent couldn't write."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from trio_egress.kernel.lending import find_lent, is_set_id, may_write

OTHER = 54321
NEIGHBOUR = 54322


def lent(directory: str | Path, uid: int = OTHER, *, root: bool = True) -> str:
    return find_lent(str(directory), root, uid, uid)


@pytest.mark.parametrize(
    "place",
    [
        "/",
        "/etc",
        "/usr",
        "/usr/bin",
        "/usr/src",
        "/bin",
        "/home",
        "/root",
        "/var",
        "/var/log",
        "/proc",
        "/usr/lib",
    ],
)
def test_the_systems_own_directories_are_never_lent(place: str) -> None:
    assert lent(place) == ""


def test_a_directory_of_the_system_is_known_by_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    assert lent(tmp_path / "link") == ""


def test_the_work_of_somebody_else_is_lent_by_root_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert lent(tmp_path) == os.path.realpath(tmp_path)
    assert lent(tmp_path, root=False) == ""
    assert lent(tmp_path, os.getuid()) == ""


@pytest.mark.parametrize(("mode", "expected"), [(0o777, True), (0o773, True), (0o776, False), (0o755, False)])
def test_the_mode_tells_where_there_is_no_acl(mode: int, expected: bool, tmp_path: Path) -> None:
    tmp_path.chmod(mode)
    assert may_write(str(tmp_path), OTHER, OTHER) == expected


@pytest.mark.parametrize(("mode", "expected"), [(0o775, True), (0o757, False)])
def test_whoever_is_in_the_group_has_the_groups_rights(mode: int, expected: bool, tmp_path: Path) -> None:
    tmp_path.chmod(mode)
    assert may_write(str(tmp_path), OTHER, os.stat(tmp_path).st_gid) == expected


@pytest.mark.skipif(shutil.which("setfacl") is None, reason="no setfacl on this machine")
@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([f"u:{OTHER}:rwx"], True),
        ([f"u:{OTHER}:rwx", "m::rx"], False),
        ([f"u:{OTHER}:rx", "o::rwx"], False),
        ([f"g:{OTHER}:rwx"], True),
        ([f"g:{OTHER}:rx", "o::rwx"], False),
        ([f"u:{NEIGHBOUR}:rwx"], False),
    ],
)
def test_an_acl_is_read_as_the_kernel_reads_it(
    entries: Sequence[str], expected: bool, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    subprocess.run(["setfacl", "-m", ",".join(entries), tmp_path], check=True)
    assert may_write(str(tmp_path), OTHER, OTHER) == expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(0o104755, True), (0o102755, True), (0o100755, False), (0o042755, False), (0o124755, False)],
)
def test_only_a_file_runs_as_its_owner(mode: int, expected: bool) -> None:
    assert is_set_id(mode) == expected
