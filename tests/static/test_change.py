"""The lines that a change adds, held against git's own diff of honest repositories."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from tests.static.kit import Ran, commit, git, make_repository, scan, token, write

from trio_egress.static import change
from trio_egress.static.change import hash_lines


def lines(ran: Ran) -> list[tuple[str, int]]:
    return [(path, line) for path, line, *_ in ran.places]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return make_repository(
        tmp_path / "tree",
        {
            "old.txt": f"{token(1)}\nplain\n",
            "gone.txt": token(2),
            "moved.txt": f"a\n{token(3)}\nb\nc\nd\ne\n",
        },
    )


def test_only_what_was_added_counts_committed_or_not(place: Path) -> None:
    git(place, "checkout", "-q", "-b", "branch")
    write(place, {"old.txt": f"{token(1)}\nplain\n{token(4)}\n", "new.txt": f"\n{token(5)}\n"})
    (place / "gone.txt").unlink()
    commit(place)
    write(place, {"staged.txt": token(6)})
    git(place, "add", "-A")
    write(place, {"unstaged.txt": token(7), "old.txt": f"{token(8)}\n{token(1)}\nplain\n{token(4)}\n"})
    assert lines(scan(place, "--json", "--diff", "main")) == [
        ("new.txt", 2),
        ("old.txt", 1),
        ("old.txt", 4),
        ("staged.txt", 1),
        ("unstaged.txt", 1),
    ]
    assert lines(scan(place, "--json", "--diff", "HEAD")) == [
        ("old.txt", 1),
        ("staged.txt", 1),
        ("unstaged.txt", 1),
    ]
    assert lines(scan(place, "--json", "--staged")) == [("staged.txt", 1)]
    assert len(lines(scan(place, "--json"))) == 7


def test_what_the_other_side_added_meanwhile_is_not_ours(place: Path) -> None:
    git(place, "checkout", "-q", "-b", "branch")
    write(place, {"ours.txt": token(4)})
    commit(place)
    git(place, "checkout", "-q", "main")
    write(place, {"old.txt": "all gone\n"})
    commit(place)
    git(place, "checkout", "-q", "branch")
    assert lines(scan(place, "--json", "--diff", "main")) == [("ours.txt", 1)]


def test_a_line_that_was_moved_or_renamed_is_not_new(place: Path) -> None:
    git(place, "mv", "moved.txt", "renamed.txt")
    write(place, {"renamed.txt": f"a\nb\nc\nd\n{token(3)}\ne\n", "old.txt": f"plain\r\n{token(1)}\r\n"})
    git(place, "add", "-A")
    for way in (["--staged"], ["--diff", "HEAD"]):
        assert lines(scan(place, "--json", *way)) == []
    write(place, {"renamed.txt": f"a\nb\nc\nd\n{token(3)}\ne\n{token(3)}\n"})
    assert lines(scan(place, "--json", "--diff", "HEAD")) == [("renamed.txt", 7)]


def test_what_began_in_an_old_line_is_found(place: Path) -> None:
    write(place, {"old.txt": "BEGIN MADE UP\nbody\n"})
    commit(place)
    write(place, {"old.txt": "BEGIN MADE UP\nbody\nEND MADE UP\n"})
    assert [place[1:] for place in scan(place, "--json", "--diff", "HEAD").places] == [
        (1, 1, "block-of-lines")
    ]


def test_the_first_commit_adds_everything(tmp_path: Path) -> None:
    place = tmp_path / "tree"
    place.mkdir()
    git(place, "init", "-q")
    write(place, {"a.txt": token(1)})
    assert lines(scan(place, "--json", "--staged")) == []
    git(place, "add", "-A")
    assert lines(scan(place, "--json", "--staged")) == [("a.txt", 1)]


def test_staged_is_what_is_staged_and_not_what_stands_in_the_file(place: Path) -> None:
    write(place, {"old.txt": f"plain\n{token(4)}\n"})
    git(place, "add", "old.txt")
    write(place, {"old.txt": "plain\n"})
    assert lines(scan(place, "--json", "--staged")) == [("old.txt", 2)]


def test_the_index_of_the_commit_that_is_made_is_the_one(place: Path) -> None:
    """`git commit -a` has one of its own, and its hook is told which."""
    write(place, {"old.txt": f"plain\n{token(4)}\n"})
    seen = place.parent / "seen.json"
    hook = place / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\necho "$GIT_INDEX_FILE" > {seen}\n')
    hook.chmod(0o755)
    git(place, "commit", "-q", "-a", "-m", "more")
    assert seen.read_text().strip()
    index = place.parent / "index"
    write(place, {"other.txt": token(5)})
    index.write_bytes((place / ".git" / "index").read_bytes())
    subprocess.run(
        ["git", "add", "other.txt"],
        cwd=place,
        env={"GIT_INDEX_FILE": str(index), "PATH": "/usr/bin:/bin"},
        check=True,
    )
    given = {"GIT_INDEX_FILE": str(index)}
    assert lines(scan(place, "--json", "--staged", environment=given)) == [("other.txt", 1)]


def test_paths_limit_a_change(place: Path) -> None:
    write(place, {"a/new.txt": token(4), "b/new.txt": token(5), "ab.txt": token(6)})
    assert lines(scan(place, "--json", "--diff", "HEAD", "a")) == [("a/new.txt", 1)]
    assert lines(scan(place / "b", "--json", "--diff", "HEAD", ".")) == [("b/new.txt", 1)]
    assert lines(scan(place, "--json", "--diff", "HEAD", ".", "--exclude", "a*")) == [("b/new.txt", 1)]


def test_a_conflict_a_link_and_an_intent_to_add_are_looked_at_as_they_stand(place: Path) -> None:
    git(place, "checkout", "-q", "-b", "branch")
    write(place, {"old.txt": f"{token(4)}\n"})
    commit(place)
    git(place, "checkout", "-q", "main")
    write(place, {"old.txt": f"{token(5)}\n"})
    commit(place)
    with pytest.raises(subprocess.CalledProcessError):
        git(place, "merge", "branch")
    write(place, {"intended.txt": token(6)})
    git(place, "add", "-N", "intended.txt")
    (place / "link").symlink_to("old.txt")
    git(place, "add", "link")
    assert lines(scan(place, "--json", "--diff", "HEAD")) == [("intended.txt", 1), ("old.txt", 4)]


def test_where_there_is_no_repository_or_no_such_commit_it_says_so(place: Path, tmp_path: Path) -> None:
    ran = scan(tmp_path, "--diff", "main")
    assert (ran.code, "is in no git repository" in ran.err) == (2, True)
    ran = scan(place, "--diff", "origin/main")
    assert (ran.code, "'origin/main' is no commit here" in ran.err) == (2, True)
    git(place, "checkout", "-q", "--orphan", "other")
    write(place, {"old.txt": "of another history\n"})
    commit(place)
    ran = scan(place, "--diff", "main")
    assert (ran.code, "nothing in common with HEAD" in ran.err) == (2, True)


@pytest.mark.parametrize("seed", range(4))
def test_what_git_calls_added_is_added_unless_it_was_only_moved(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    before = [f"line {dice.randrange(30)} {token(dice.randrange(20))}" for _ in range(40)]
    after = list(before)
    for _ in range(12):
        at = dice.randrange(len(after))
        match dice.randrange(3):
            case 0:
                del after[at]
            case 1:
                after.insert(at, f"added {dice.randrange(1000)} {token(100 + dice.randrange(50))}")
            case _:
                after[at] = f"changed {dice.randrange(1000)} {token(200 + dice.randrange(50))}"
    place = make_repository(tmp_path / "tree", {"a.txt": "\n".join(before)})
    write(place, {"a.txt": "\n".join(after)})
    added = [
        line[1:] for line in git(place, "diff", "-U0", "HEAD").splitlines() if line[:1] == "+" != line[1:2]
    ]
    assert added
    found = [after[line - 1] for _, line in lines(scan(place, "--json", "--diff", "HEAD"))]
    assert set(added) - set(before) <= set(found) <= set(added)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_lines_are_the_same_in_whatever_pieces_they_come(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change, "LINE_BYTES", 5)
    text = b"one\ntwo is longer than that\r\n\r\n\nsixsix\r\nfives\r\nlast one"
    numbers = list(hash_lines([text]))
    assert len(numbers) == 7
    assert numbers[2] == numbers[3]
    assert len(set(numbers)) == 6
    assert list(hash_lines(text[at : at + size] for at in range(0, len(text), size))) == numbers
    assert list(hash_lines([text.replace(b"\r\n", b"\n")])) == numbers
