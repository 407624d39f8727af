"""docs/scanning.md: its commands in a repository with a branch, and what it says that they print."""

from __future__ import annotations

import lzma
import os
import re
import shlex
import subprocess
from pathlib import Path
from string import Template

import pytest
import yaml
from tests.blocks import ROOT, read_blocks, write_program
from tests.content.vectors import make_positives
from tests.evidence.found import COMMITMENT_KEY, TOKEN, write_found
from tests.static.kit import Ran, commit, git, make_repository, run, write
from tests.static.test_archives import make_tar

PAGE = "docs/scanning.md"
SCANS, HOSTILE = read_blocks(PAGE, "sh")
REVEAL, DETECT, PRINTED = read_blocks(PAGE, "")
RULES = next(block for block in read_blocks(PAGE, "toml") if block.startswith("[[rules]]"))
GITHUB, GITLAB, PRE_COMMIT = (yaml.safe_load(block) for block in read_blocks(PAGE, "yaml"))
SECRET = make_positives("github-token", 1)[0][1]
LINE = f"TOKEN = '{SECRET}'\n"
FOUND = "github-token"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A branch whose next commit adds a token to a file of main, which has a baseline."""
    before = "# a line\n" * 11
    tree = make_repository(tmp_path / "tree", {"config/dev.py": before})
    run(tree, "scan", "--write-baseline", "trio-egress-baseline.json")
    commit(tree)
    git(tree, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(tree, "checkout", "-q", "-b", "branch")
    write(tree, {"config/dev.py": before + LINE})
    git(tree, "add", "-A")
    write_program(tmp_path / "programs", "docker", f"#!/bin/sh\ncat <<'end'\n{LINE}end\n")
    return tree


def run_line(place: Path, line: str, **variables: str) -> Ran:
    """One command of ours as a shell would, with whatever feeds it."""
    feed, _, command = line.partition("#")[0].rpartition("|")
    path = f"{place.parent}/programs:{os.environ['PATH']}"
    fed = subprocess.check_output(["bash", "-c", feed or "true"], cwd=place, env={**os.environ, "PATH": path})
    program, *arguments = shlex.split(Template(command).substitute(variables))
    assert program == "trio-egress"
    return run(place, *arguments, text=fed)


def test_each_way_to_scan_finds_it(place: Path) -> None:
    tree, branch, staged, shown, logs, packed = SCANS.splitlines()
    assert FOUND in run_line(place, tree).out
    for line in (branch, staged):
        ran = run_line(place, line)
        assert (ran.code, ran.out + ran.err) == (1, PRINTED), line
    commit(place)
    assert run_line(place, staged).code == 0
    ran = run_line(place, shown)
    assert (ran.code, ran.out + ran.err) == (1, PRINTED)
    assert FOUND in run_line(place, logs).out
    (place / "dist").mkdir()
    (place / "dist" / "one.tar.xz").write_bytes(lzma.compress(make_tar({"dev.py": LINE.encode()})))
    assert run_line(place, packed.replace("--archives ", "")).code == 0, "the control"
    assert FOUND in run_line(place, packed).out


def test_a_change_allows_itself_nothing(place: Path) -> None:
    write(place, {"config/dev.py": f"{LINE[:-1]}  # trio-egress:allow {FOUND} of my own\n"})
    taken, scanned = HOSTILE.splitlines()
    environment = {**os.environ, "RUNNER_TEMP": str(place.parent)}
    subprocess.run(["bash", "-c", taken], cwd=place, env=environment, check=True)
    assert run_line(place, scanned.replace(" --no-allow-comments", ""), **environment).code == 0, (
        "the control"
    )
    assert run_line(place, scanned, **environment).code == 1


def test_jobs_of_ci_find_it(place: Path) -> None:
    given = {
        "GITHUB_BASE_REF": "main",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": git(place, "rev-parse", "main").strip(),
    }
    steps = [step["run"] for step in GITHUB["jobs"]["scan"]["steps"] if "run" in step]
    for install, line in (steps, GITLAB["scan"]["script"]):
        assert install == "pip install 'trio-egress[hyperscan]'"
        assert run_line(place, line, **given).code == 1
    assert FOUND in (place / "scan.sarif").read_text()


def test_pre_commit_has_the_hooks_that_are_named() -> None:
    offered = [hook["id"] for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())]
    (block,) = [block for block in read_blocks(PAGE, "yaml") if block.startswith("repos:")]
    assert re.findall(r"- id: (\S+)", block) == offered
    assert PRE_COMMIT["repos"][0]["hooks"] == [{"id": offered[0]}]


def test_a_rule_file_is_tried(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text(RULES)
    command, _, printed = DETECT.partition("\n")
    value = "Qw3Rt5Zu7Io9Pa1Sd2Fg4Hj6Kl8Yx0Cv"
    _, *arguments = shlex.split(command.removeprefix("$ ").replace("…", value))
    ran = run(tmp_path, *arguments)
    assert re.sub(r"sha256:[0-9a-f]{4}\w+", "sha256:0e2c…", ran.out) == printed
    assert (ran.code, ran.err) == (1, "")


def test_who_has_key_and_value_is_told_what_would_suppress_it(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "evidence.jsonl").write_bytes(b"".join(write_found()))
    (tmp_path / "run.key").write_text(f"{COMMITMENT_KEY.hex()}\n")
    (tmp_path / "run.key").chmod(0o600)
    (tmp_path / "value.txt").write_bytes(TOKEN)
    command, _, printed = REVEAL.partition("\n")
    words, _, name = command.partition(" <")
    ran = run(tmp_path, *shlex.split(words)[1:], text=(tmp_path / name).read_bytes())
    assert (ran.code, re.sub(r"(sha256:\w{4})\w+", r"\1…", ran.out)) == (0, printed)
