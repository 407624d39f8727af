"""Which files are looked through: those that git would have, none by a link, and none that is not a file."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest
from tests.static.kit import git, make_repository, scan, token, write


def found_in(place: Path, *arguments: str) -> list[str]:
    return sorted({path for path, *_ in scan(place, "--json", *arguments).places})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory outside of any repository."""
    place = tmp_path / "tree"
    place.mkdir()
    return place


def test_what_git_ignores_is_left_out_and_what_it_tracks_is_not(tree: Path) -> None:
    secret = token(1)
    make_repository(tree, {"tracked.env": secret, "plain.txt": secret})
    write(
        tree,
        {
            ".gitignore": "*.env\n!kept.env\nbuild/\n/only-here.txt\n",
            **dict.fromkeys(("new.env", "kept.env", "build/x.txt", "only-here.txt", "new.txt"), secret),
            "deep/.gitignore": "local.txt\n",
            **dict.fromkeys(("deep/local.txt", "deep/only-here.txt", "deep/a.env"), secret),
        },
    )
    ignored = ["build/x.txt", "deep/a.env", "deep/local.txt", "new.env", "only-here.txt"]
    kept = ["deep/only-here.txt", "kept.env", "new.txt", "plain.txt", "tracked.env"]
    assert sorted(git(tree, "ls-files", "-oi", "--exclude-standard").split()) == ignored
    assert found_in(tree) == kept
    assert found_in(tree, "--ignored") == sorted(ignored + kept)
    assert found_in(tree, "new.env") == ["new.env"]
    assert found_in(tree, "deep") == ["deep/only-here.txt"]


def test_outside_of_a_repository_everything_is_looked_through(tree: Path) -> None:
    write(tree, {".gitignore": "*.env\n", "a.env": token(1), "b/c.txt": token(2)})
    assert found_in(tree) == ["a.env", "b/c.txt"]


def test_without_git_nothing_is_left_out_and_that_is_told(tree: Path) -> None:
    make_repository(tree, {".gitignore": "*.env\n"})
    write(tree, {"a.env": token(1)})
    assert found_in(tree) == []
    ran = scan(tree, "--json", environment={"PATH": str(tree)})
    assert [path for path, *_ in ran.places] == ["a.env"]
    assert "git is not installed" in ran.err


def test_a_git_beside_what_is_scanned_is_never_run(tree: Path) -> None:
    make_repository(tree, {"a.txt": token(1)})
    write(tree, {"git": "#!/bin/sh\ntouch ran\n"})
    (tree / "git").chmod(0o755)
    ran = scan(tree, "--json", environment={"PATH": f".:{os.pathsep}:bin"})
    assert [path for path, *_ in ran.places] == ["a.txt"]
    assert not (tree / "ran").exists()


def test_git_s_own_directory_is_not_looked_through(tree: Path) -> None:
    make_repository(tree, {"a.txt": "nothing"})
    write(tree, {".git/description": token(1)})
    assert found_in(tree) == []
    assert found_in(tree, "--ignored") == []


def test_no_link_is_followed(tree: Path, tmp_path: Path) -> None:
    write(tmp_path, {"outside/secret.txt": token(1), "outside/deep/secret.txt": token(2)})
    make_repository(tree, {"dir/secret.txt": "nothing", "file.txt": "nothing"})
    (tree / "to-file").symlink_to(tmp_path / "outside" / "secret.txt")
    (tree / "to-dir").symlink_to(tmp_path / "outside")
    # Tracked below a directory that has become a link.
    (tree / "dir" / "secret.txt").unlink()
    (tree / "dir").rmdir()
    (tree / "dir").symlink_to(tmp_path / "outside")
    assert (tree / "dir" / "secret.txt").read_text() == token(1)
    assert found_in(tree) == found_in(tree, "--ignored") == found_in(tree, "--diff", "HEAD") == []
    assert found_in(tree, "to-file") == [str(tmp_path / "outside" / "secret.txt")]


def test_what_is_no_file_is_not_opened(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(tree / "socket"))
        write(tree, {"a.txt": token(1)})
        assert found_in(tree) == ["a.txt"]
        ran = scan(tree, "pipe")
    assert ran.code == 2
    assert "pipe was not looked through: it is neither a file nor a directory" in ran.err


def test_repositories_in_the_tree_are_looked_through_by_their_own_rules(tree: Path) -> None:
    make_repository(tree, {"a.txt": "nothing", ".gitignore": "*.log\n"})
    make_repository(tree / "inner", {"b.txt": token(1), ".gitignore": "*.tmp\n"})
    write(tree, {"inner/c.tmp": token(2), "inner/d.log": token(3)})
    make_repository(tree / "module", {"e.txt": token(4)})
    git(tree, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "./module", "module")
    assert git(tree, "ls-files", "--stage", "module").startswith("160000")
    assert found_in(tree) == ["inner/b.txt", "inner/d.log", "module/e.txt"]


def test_a_submodule_that_was_not_fetched_is_empty(tree: Path) -> None:
    make_repository(tree, {"a.txt": token(1)})
    made = git(tree, "rev-parse", "HEAD").strip()
    git(tree, "update-index", "--add", "--cacheinfo", f"160000,{made},module")
    (tree / "module").mkdir()
    assert found_in(tree) == ["a.txt"]


def test_paths_are_told_from_the_top_wherever_it_is_started(tree: Path) -> None:
    make_repository(tree, {"deep/er/a.txt": token(1)})
    assert found_in(tree / "deep") == ["deep/er/a.txt"]
    assert found_in(tree / "deep", "..") == ["deep/er/a.txt"]
    assert found_in(tree, "deep/er/a.txt", "deep", ".") == ["deep/er/a.txt"]


def test_globs_leave_paths_out(tree: Path) -> None:
    write(tree, {name: token(1) for name in ("a.txt", "tests/b.txt", "tests/deep/c.txt", "d.md")})
    assert found_in(tree, "--exclude", "tests/*", "--exclude", "*.md") == ["a.txt"]


def test_a_path_that_is_not_there_is_told(tree: Path) -> None:
    write(tree, {"a.txt": token(1)})
    ran = scan(tree, "nowhere")
    assert (ran.code, ran.err) == (
        2,
        "trio-egress scan: nowhere was not looked through: no such file or directory\n",
    )
    assert scan(tree, "nowhere", "a.txt").code == 1


def test_a_tree_of_any_depth_is_looked_through_or_told(tree: Path) -> None:
    here = os.open(tree, os.O_RDONLY)
    try:
        for _ in range(1200):
            os.mkdir("d", dir_fd=here)
            deeper = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        with open(os.open("a.txt", os.O_WRONLY | os.O_CREAT, dir_fd=here), "w") as file:
            file.write(token(1))
    finally:
        os.close(here)
    ran = scan(tree, "--json")
    # Deeper than Python's own way to remove it goes.
    subprocess.run(["rm", "-r", str(tree / "d")], check=True)
    assert ran.code in (1, 2)
    assert ran.places or ran.document["unread"]


def test_a_name_that_is_no_text_is_told_as_one(tree: Path) -> None:
    name = b"odd\n::error::\x1b[31m\xff.txt"
    with open(os.path.join(os.fsencode(tree), name), "w") as file:
        file.write(token(1))
    out = scan(tree).out
    assert "odd\\n:\\x3aerror:\\x3a\\x1b[31m\\xff.txt:1:1: error: A made-up token" in out
    assert out.isascii()
