"""A repository whose settings, attributes and directories are an attacker's: nothing of it is run by a scan.

Each trap is shown to work, by plain git, in a repository made the same way.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.static.kit import commit, git, make_repository, scan, token, write

COMMANDS = {
    "core.fsmonitor": "{}",
    "core.hooksPath": "{hooks}",
    "diff.external": "{}",
    "diff.trap.command": "{}",
    "diff.trap.textconv": "{}",
    "filter.trap.clean": "{}; cat",
    "filter.trap.smudge": "{}; cat",
    "filter.trap.process": "{}",
    "core.pager": "{}",
    "core.sshCommand": "{}",
    "core.gitProxy": "{}",
    "core.editor": "{}",
    "core.askPass": "{}",
    "gpg.program": "{}",
    "alias.ls-files": "!{}",
    "extensions.partialClone": "origin",
    "remote.origin.promisor": "true",
    "remote.origin.url": "ext::{}",
    "protocol.ext.allow": "always",
}
WAYS = [["."], ["--diff", "HEAD"], ["--diff", "main~1"], ["--staged"]]


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Two commits, something staged, something changed, and each command that git could run leaves a mark."""
    place = make_repository(tmp_path / "tree", {"a.txt": "one\n", "b.txt": "one\n"})
    write(place, {".gitattributes": "* filter=trap diff=trap\n", "a.txt": "two\n"})
    commit(place)
    write(place, {"b.txt": f"two\n{token(1)}\n"})
    git(place, "add", "b.txt")
    write(place, {"a.txt": f"three\n{token(2)}\n", "c.txt": f"{token(3)}\n"})
    trap = place / ".git" / "trap"
    trap.write_text('#!/bin/sh\nprintf "%s\\n" "$0 $*" >> "$(dirname "$0")/ran"\n')
    trap.chmod(0o755)
    hooks = place / ".git" / "trapped"
    hooks.mkdir()
    for name in ("post-index-change", "post-checkout", "reference-transaction"):
        (hooks / name).symlink_to(trap)
    for key, value in COMMANDS.items():
        git(place, "config", key, value.format(trap, hooks=hooks))
    return place


def has_run(place: Path) -> bool:
    ran = place / ".git" / "ran"
    existed = ran.exists()
    ran.unlink(missing_ok=True)
    return existed


@pytest.mark.parametrize(
    "command", [["diff", "HEAD"], ["status", "--short"], ["diff", "--no-ext-diff", "--no-textconv"]]
)
def test_plain_git_runs_what_the_repository_says(hostile: Path, command: list[str]) -> None:
    subprocess.run(["git", *command], cwd=hostile, capture_output=True, check=False)
    assert has_run(hostile)


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_a_scan_runs_none_of_it(hostile: Path, way: list[str]) -> None:
    ran = scan(hostile, "--json", *way)
    assert not has_run(hostile)
    assert {path for path, *_ in ran.places} == (
        {"b.txt"} if way == ["--staged"] else {"a.txt", "b.txt", "c.txt"}
    )


def test_a_missing_object_is_not_fetched(hostile: Path) -> None:
    digest = git(hostile, "-c", "core.fsmonitor=false", "rev-parse", "main:a.txt").strip()
    (hostile / ".git" / "objects" / digest[:2] / digest[2:]).unlink()
    subprocess.run(["git", "cat-file", "-p", digest], cwd=hostile, capture_output=True, check=False)
    assert has_run(hostile)
    ran = scan(hostile, "--diff", "HEAD")
    assert not has_run(hostile)
    assert ran.code in (1, 2)
    assert digest in ran.err


@pytest.mark.parametrize(
    "attributes", ["* -diff", "* binary", "* -text diff=none working-tree-encoding=UTF-16"]
)
def test_attributes_hide_nothing(tmp_path: Path, attributes: str) -> None:
    place = make_repository(tmp_path / "tree", {"a.txt": "one\n"})
    write(place, {".gitattributes": f"{attributes}\n", "a.txt": f"one\n{token(1)}\n"})
    (place / ".git" / "info").mkdir(exist_ok=True)
    (place / ".git" / "info" / "attributes").write_text(f"{attributes}\n")
    assert [path for path, *_ in scan(place, "--json", "--diff", "HEAD").places] == ["a.txt"]


def test_a_work_tree_elsewhere_is_not_looked_through(tmp_path: Path) -> None:
    write(tmp_path, {"outside/secret.txt": token(1)})
    place = make_repository(tmp_path / "tree", {"a.txt": token(2)})
    git(place, "config", "core.worktree", str(tmp_path / "outside"))
    assert "secret.txt" in git(place, "ls-files", "-o")
    for way in WAYS[:2]:
        assert {path for path, *_ in scan(place, "--json", *way).places} <= {"a.txt"}


def test_the_environment_names_no_other_repository(tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other", {".gitignore": "*.txt\n"})
    place = make_repository(tmp_path / "tree", {"a.txt": "nothing"})
    write(place, {"b.txt": token(1)})
    given = {
        "GIT_DIR": str(other / ".git"),
        "GIT_WORK_TREE": str(other),
        "GIT_INDEX_FILE": str(other / ".git/index"),
    }
    assert [path for path, *_ in scan(place, "--json", environment=given).places] == ["b.txt"]


def test_a_bare_repository_in_the_tree_is_a_directory(tmp_path: Path) -> None:
    """What looks like one below a place would be one to git, with settings of its own."""
    place = tmp_path / "tree"
    write(tmp_path, {"tree/bare/a.txt": token(1)})
    git(place, "init", "-q", "--bare", "bare")
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    trap.chmod(0o755)
    git(place / "bare", "config", "core.bare", "false")
    git(place / "bare", "config", "core.worktree", "..")
    git(place / "bare", "config", "core.fsmonitor", str(trap))
    subprocess.run(["git", "status"], cwd=place / "bare", capture_output=True, check=False)
    assert (tmp_path / "ran").exists()
    (tmp_path / "ran").unlink()
    assert [path for path, *_ in scan(place / "bare", "--json").places] == ["a.txt"]
    assert not (tmp_path / "ran").exists()


def test_a_linked_work_tree_is_one(tmp_path: Path) -> None:
    place = make_repository(tmp_path / "tree", {"a.txt": "one\n", ".gitignore": "*.log\n"})
    git(place, "worktree", "add", "-q", "-b", "other", "../linked")
    write(tmp_path / "linked", {"a.txt": f"one\n{token(1)}\n", "b.log": token(2)})
    assert (tmp_path / "linked" / ".git").is_file()
    for way in WAYS[:2]:
        assert [path for path, *_ in scan(tmp_path / "linked", "--json", *way).places] == ["a.txt"]


def test_a_work_tree_of_somebody_else_is_one(tmp_path: Path) -> None:
    """git refuses it, so that nothing of its settings is run; here nothing is, whoever's it is."""
    place = make_repository(tmp_path / "tree", {".gitignore": "*.log\n"})
    write(place, {"a.txt": token(1), "b.log": token(2)})
    given = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"}
    refused = subprocess.run(
        ["git", "status"],
        cwd=place,
        env={**os.environ, **given, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        check=False,
    )
    assert b"dubious ownership" in refused.stderr
    assert [path for path, *_ in scan(place, "--json", environment=given).places] == ["a.txt"]


def test_a_git_that_is_too_old_is_told_and_nothing_is_left_out(tmp_path: Path) -> None:
    place = make_repository(tmp_path / "tree", {".gitignore": "*.log\n"})
    write(place, {"b.log": token(2)})
    write(tmp_path, {"bin/git": "#!/bin/sh\necho git version 2.30.9\n"})
    (tmp_path / "bin" / "git").chmod(0o755)
    path = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}
    ran = scan(place, "--json", environment=path)
    assert [path for path, *_ in ran.places] == ["b.log"]
    assert "git 2.30.9 would run what a repository's settings say; 2.31 and later need not" in ran.err
    assert scan(place, "--diff", "HEAD", environment=path).code == 2


def test_a_commit_s_name_is_no_option(tmp_path: Path) -> None:
    place = make_repository(tmp_path / "tree", {"a.txt": "one\n"})
    ran = scan(place, "--diff=--output=made")
    assert ran.code == 2
    assert "'--output=made' is no commit here" in ran.err
    assert not (place / "made").exists()
