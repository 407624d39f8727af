"""A runner of one's own for each test, on a machine where the action is installed already."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.action.runner import Runner
from tests.runs.launch import ENVIRONMENT, SEEN

ROOT = Path(__file__).parents[2]


@pytest.fixture
def runner() -> Iterator[Runner]:
    runner = make_runner()
    runner.given["install"] = {"python": sys.executable}
    yield runner
    remove(runner)


def make_runner() -> Runner:
    home = Path(tempfile.mkdtemp(prefix="trio-egress-runner-", dir=SEEN))
    home.chmod(0o755)
    environment = {
        name: value
        for name, value in ENVIRONMENT.items()
        if not name.startswith(("GITHUB_", "RUNNER_", "CI_", "TRIO_", "PYTEST_", "SUDO_"))
    }
    return Runner(home, {"./": ROOT, "OWNER/trio-egress": ROOT}, environment)


def remove(runner: Runner) -> None:
    for folder, names, _ in os.walk(runner.home):  # what a test made read-only
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755)
    shutil.rmtree(runner.home)
