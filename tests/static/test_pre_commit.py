"""The hooks that this repository offers, by pre-commit itself: a commit that adds a secret is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.static.kit import RULES, git, make_repository, token, write

OFFERED = Path(__file__).parents[2] / ".pre-commit-hooks.yaml"


def run_pre_commit(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pre_commit", *arguments],
        cwd=place,
        env={**os.environ, "PRE_COMMIT_HOME": str(place.parent / "home"), "PRE_COMMIT_COLOR": "never"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A repository that uses both: by the program that is installed, instead of installing it anew."""
    hooks = yaml.safe_load(OFFERED.read_text())
    for hook in hooks:
        hook["language"] = "system"
        hook["entry"] = hook["entry"].replace(
            "trio-egress scan", f"{sys.executable} -m trio_egress scan --rules {RULES}"
        )
    config = yaml.safe_dump({"repos": [{"repo": "local", "hooks": hooks}]})
    return make_repository(tmp_path / "tree", {".pre-commit-config.yaml": config, "a.txt": "one\n"})


def test_pre_commit_takes_what_is_offered(tmp_path: Path) -> None:
    ran = run_pre_commit(tmp_path, "validate-manifest", str(OFFERED))
    assert (ran.returncode, ran.stdout) == (0, "")


def test_a_commit_that_adds_a_secret_is_stopped_and_one_that_does_not_is_made(place: Path) -> None:
    assert run_pre_commit(place, "install").returncode == 0
    write(place, {"a.txt": f"one\n{token(1)}\n", "unstaged.txt": token(2)})
    git(place, "add", "a.txt")
    before = git(place, "rev-parse", "HEAD")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        git(place, "commit", "-q", "-m", "more")
    said = (caught.value.stdout + caught.value.stderr).decode()
    assert "a.txt:2:1: error: A made-up token (made-up)" in said
    assert "unstaged.txt" not in said
    assert git(place, "rev-parse", "HEAD") == before
    write(place, {"a.txt": "one\ntwo\n"})
    git(place, "add", "a.txt")
    git(place, "commit", "-q", "-m", "more")
    assert git(place, "rev-parse", "HEAD") != before


def test_whole_files_are_looked_through_by_the_other(place: Path) -> None:
    write(place, {"b.txt": token(1)})
    git(place, "add", "-A")
    git(place, "commit", "-q", "-m", "more")
    ran = run_pre_commit(place, "run", "--all-files", "trio-egress-scan-files")
    assert ran.returncode == 1
    assert "b.txt:1:1: error: A made-up token (made-up)" in ran.stdout
    assert run_pre_commit(place, "run", "--all-files", "trio-egress-scan").returncode == 0
