"""git without any network, in a working directory that is a repository: what a day's work does to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.programs.jobs import run_job, run_outside
from tests.programs.test_git import SETTINGS
from tests.runs.launch import AGENT, Place, read_lines

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]


MAKE = """
git init -q -b main
commit() { seq 1000 | sed "s/$/ $1/" >$1; git add .; git commit -qm $1; }
commit one; commit two; git checkout -qb side; commit side; git checkout -q main
"""


@pytest.fixture
def repository(place: Place) -> Path:
    """The agent's working directory, with two commits on main and one beside them."""
    run_outside(place, MAKE, environment=SETTINGS)
    return place.work


WORK = """
echo three >three; git add .; git commit -qm three
git rebase -q main side; git checkout -q main; git merge -q --ff-only side
sed -i 1s/one/1/ one; git stash -q; git stash pop -q; git commit -qam edited
git bisect start HEAD HEAD~3 >/dev/null; git bisect run true >/dev/null; git bisect reset >/dev/null 2>&1
git tag -a v1 -m v1; git gc -q --prune=now; git repack -adq
git clone -q . copy; git -C copy pull -q; git archive HEAD | tar -t >/dev/null
rm -r copy; git fsck --strict; git status --porcelain
"""


def test_commit_rebase_stash_bisect_and_gc(place: Place, repository: Path) -> None:
    ended = run_job(place, WORK, environment=SETTINGS)
    assert (ended.code, ended.text) == (0, ""), ended.err
    log = run_outside(place, "git log --format=%s", environment=SETTINGS)
    assert log.split() == ["edited", "side", "three", "two", "one"]
    assert "count: 0\n" in run_outside(place, "git count-objects -v", environment=SETTINGS)
    assert (repository / "three").stat().st_uid == AGENT.pw_uid
    assert ended.receipts == []
    assert ended.verify() == 0


def test_a_worktree_is_used_and_told(place: Place, repository: Path) -> None:
    """What links it to its repository is a file `.git`, which acts on whoever steps into it: so it is told."""
    script = """
    git worktree add -q -b feature tree; cd tree; echo more >more; git add .; git commit -qm more
    cd ..; git worktree list | wc -l
    """
    ended = run_job(place, script, environment=SETTINGS)
    assert (ended.code, ended.text.strip()) == (0, "2"), ended.err
    assert run_outside(place, "git log -1 --format=%s feature", environment=SETTINGS) == "more\n"
    protected = read_lines(ended.evidence)[-1]["ext"]["trio_egress"]["protected"]
    assert [os.path.relpath(path, ended.work) for path in protected["created"]] == [
        ".git/worktrees/tree/commondir",
        "tree/.git",
    ]
    assert "tree/.git" in ended.err


LINKED = """
git worktree add -q -b feature tree
git config extensions.worktreeConfig true
git init -q -b main inner; git -C inner commit -q --allow-empty -m one
git -c protocol.file.allow=always submodule --quiet add "$PWD/inner" sub
git commit -qm submodule
git worktree add -q -b other wood
git -C wood -c protocol.file.allow=always submodule --quiet update --init
rm -rf inner
"""
"""A worktree, a submodule, and a worktree with a submodule of its own."""

EVIL = """
mkdir -p own; cp -r .git/refs .git/objects own; cp .git/HEAD own
printf '[core]\\nrepositoryformatversion = 0\\nfsmonitor = "touch %s/ran; false"\\n' "$PWD" >own/config
"""
"""A directory whose `config` has git run a program."""


ATTACKS = [
    ('echo "$PWD/own" >.git/worktrees/tree/commondir', "tree"),
    ("cp own/config .git/worktrees/tree/config.worktree", "tree"),
    ("rm .git/worktrees/tree/commondir; cp -r own/* .git/worktrees/tree", "tree"),
    (
        "cd .git; cp -r worktrees w; mv worktrees v; mv w worktrees; echo ../../../own >worktrees/tree/commondir",
        "tree",
    ),
    ('echo "$PWD/own" >.git/modules/sub/commondir', "sub"),
    ("cat own/config >>.git/modules/sub/config", "sub"),
    ("mv .git/modules/sub s; cp -r s .git/modules/sub; cat own/config >>.git/modules/sub/config", "sub"),
    ('echo "$PWD/own" >.git/worktrees/wood/modules/sub/commondir', "wood/sub"),
    ("cat own/config >>.git/worktrees/wood/modules/sub/config", "wood/sub"),
]
"""Ways to have git run that program, and where its user must be for it."""


@pytest.mark.parametrize(("attack", "where"), ATTACKS)
def test_no_submodule_or_worktree_has_git_run_a_program_unsaid(
    place: Place, repository: Path, attack: str, where: str
) -> None:
    run_outside(place, LINKED, environment=SETTINGS)
    ended = run_job(place, f"{EVIL}\n( {attack} ) 2>/dev/null || true", environment=SETTINGS)
    assert ended.code == 0, ended.err
    assert not has_run(place, where) or ended.status["protected_touched"]


@pytest.mark.parametrize(("attack", "where"), ATTACKS)
def test_outside_each_of_them_has_git_run_it(place: Place, repository: Path, attack: str, where: str) -> None:
    """The control."""
    run_outside(place, f"{LINKED}\n{EVIL}\n{attack}", environment=SETTINGS)
    assert has_run(place, where)


def has_run(place: Place, where: str) -> bool:
    """Whether git runs the program when its user asks how the files stand."""
    run_outside(place, f"git -C {where} status >/dev/null 2>&1 || true", environment=SETTINGS)
    return (place.work / "ran").exists()


def test_a_setting_is_refused_in_the_repository_and_taken_beside_it(place: Place, repository: Path) -> None:
    """`.git/config` runs programs of everybody who comes later: it is protected. HOME's is the run's own."""
    script = """
    if git config user.name other; then exit 9; fi
    git config --global user.name agent; git config user.name
    git -c user.email=a@example.com commit -q --allow-empty -m by; git log -1 --format=%an
    """
    plain = {"GIT_CONFIG_NOSYSTEM": "1", "EMAIL": "agent@example.com"}
    ended = run_job(place, script, environment=plain)
    assert (ended.code, ended.text.split()) == (0, ["agent", "agent"]), ended.err
    assert "other" not in (repository / ".git/config").read_text()
