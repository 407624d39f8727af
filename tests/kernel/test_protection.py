"""Which protected files become mount points."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from trio_egress.errors import SandboxError
from trio_egress.kernel import guard, protection
from trio_egress.kernel.protection import find_points, plan_guard


def make(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def points(root: Path, *patterns: str) -> list[tuple[str, str]]:
    found = find_points(plan_guard(patterns, [str(root)]), [str(root)])
    return [(path.removeprefix(f"{root}/"), "read-only" if only else "way") for path, only in found.mounts]


def test_what_is_there_is_read_only_and_what_is_not_is_no_mount_point(tmp_path: Path) -> None:
    make(tmp_path, ".npmrc")
    assert points(tmp_path, ".npmrc", ".netrc", "missing/a") == [(".npmrc", "read-only")]


def test_the_way_to_it_is_a_mount_point_too_so_that_it_cannot_be_moved(tmp_path: Path) -> None:
    make(tmp_path, ".github/workflows/ci.yml", "a/b/c")
    assert points(tmp_path, ".github/workflows", "a/b/c") == [
        (".github", "way"),
        (".github/workflows", "read-only"),
        ("a", "way"),
        ("a/b", "way"),
        ("a/b/c", "read-only"),
    ]


def test_behind_a_double_star_only_dotted_directories_on_the_way_are(tmp_path: Path) -> None:
    make(tmp_path, ".git/config", "deps/lib/.git/config")
    assert points(tmp_path, "**/.git/config", "**/.git") == [
        (".git", "way"),
        (".git/config", "read-only"),
        ("deps/lib/.git", "way"),
        ("deps/lib/.git/config", "read-only"),
    ]


def test_what_is_in_a_protected_directory_needs_no_mount_of_its_own(tmp_path: Path) -> None:
    make(tmp_path, "a/b/c")
    assert points(tmp_path, "a", "a/b/c", "**/c") == [("a", "read-only")]


def test_a_link_is_protected_where_it_leads_in_the_same_directory(tmp_path: Path) -> None:
    make(tmp_path, "root/real/hooks/x", "outside")
    for name, target in (("in", "real/hooks"), ("out", "../outside"), ("nowhere", "missing")):
        (tmp_path / "root" / name).symlink_to(target)
    assert points(tmp_path / "root", "in", "out", "nowhere") == [("real", "way"), ("real/hooks", "read-only")]


def test_a_git_file_is_protected_and_a_git_directory_is_not(tmp_path: Path) -> None:
    make(tmp_path, ".git/index", "sub/.git")
    assert points(tmp_path, "**/.git") == [("sub/.git", "read-only")]


def test_each_root_has_the_patterns_that_lead_into_it(tmp_path: Path) -> None:
    roots = [str(tmp_path / "one"), str(tmp_path / "two")]
    assert plan_guard(["a", f"{roots[1]}/b", "/etc/x"], roots) == ((roots[0], ("a",)), (roots[1], ("a", "b")))
    assert plan_guard(["/etc/x"], roots) == ()


def test_too_many_are_refused_with_the_name_of_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a", "b", "c")
    monkeypatch.setattr(protection, "POINTS_MAX", 3)
    assert len(points(tmp_path, "*")) == 3
    make(tmp_path, "d")
    with pytest.raises(
        SandboxError, match=r"^\[files\] protect: 4 files and directories match, and 3 can be"
    ):
        points(tmp_path, "*")


def test_a_socket_that_is_somebodys_is_found_however_deep_and_by_whatever_name(tmp_path: Path) -> None:
    make(tmp_path, "a/b/c")
    with socket.socket(socket.AF_UNIX) as live, socket.socket(socket.AF_UNIX) as ended:
        live.bind(str(tmp_path / "bound"))
        (tmp_path / "bound").rename(tmp_path / "a/b/live")
        ended.bind(str(tmp_path / "a/dead"))
        ended.close()
        assert find_points((), [str(tmp_path)]).sockets == (str(tmp_path / "a/b/live"),)


def test_what_runs_as_its_owner_is_protected_where_that_is_lent(tmp_path: Path) -> None:
    make(tmp_path, "in/a/user", "in/a/group", "in/a/plain", "out/user")
    for name, mode in (("in/a/user", 0o4755), ("in/a/group", 0o2755), ("out/user", 0o4755)):
        (tmp_path / name).chmod(mode)
    (tmp_path / "in/a").chmod(0o2755)
    roots = [str(tmp_path)]
    expected = tuple((str(tmp_path / name), True) for name in ("in/a/group", "in/a/user"))
    assert find_points((), roots, str(tmp_path / "in")).mounts == expected
    assert find_points((), roots).mounts == ()


def test_what_is_too_large_to_look_through_is_not_lent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "a", "b", "c")
    find_points((), [str(tmp_path)], str(tmp_path))
    monkeypatch.setattr(
        protection, "Search", lambda patterns, notice: guard.Search(patterns, 2, notice=notice)
    )
    find_points((), [str(tmp_path)])
    with pytest.raises(SandboxError, match="too large to be lent"):
        find_points((), [str(tmp_path)], str(tmp_path))
