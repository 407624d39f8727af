"""Every example of a workflow, and of other systems' jobs, does what it says: run here, step by step."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.action.conftest import ROOT, make_runner, remove
from tests.action.runner import Runner
from tests.action.steps import KEY, KEY_TEXT
from tests.runs.launch import ENVIRONMENT

from trio_egress.evidence.sign import render_public_key

pytestmark = pytest.mark.sandbox

EXAMPLES = ROOT / "examples" / "ci"
POLICY = 'version = "1.0"\ndefault_deny = true\n\n[[egress]]\ndestination = "api.example.com"\n'
QUIET = '#!/bin/sh\ngetent hosts api.example.com\necho "title: $ISSUE_TITLE"\n'
CURIOUS = f"{QUIET}getent hosts elsewhere.example || true\n"
SECRETS = {"EGRESS_KEY": KEY_TEXT, "MODEL_API_KEY": "0123456789"}


def fill_workspace(runner: Runner, agent: str = QUIET) -> None:
    folder = runner.workspace / "ci"
    folder.mkdir(exist_ok=True)
    (folder / "egress.pub").write_bytes(render_public_key(KEY.public_hex))
    for name in ("agent", "triage"):
        (folder / f"{name}.toml").write_text(POLICY)
        (folder / f"{name}.sh").write_text(agent)
        (folder / f"{name}.sh").chmod(0o755)


def read_jobs(name: str) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load((EXAMPLES / "github" / name).read_text())["jobs"]
    return jobs


def run_job(runner: Runner, job: dict[str, Any], **contexts: Any) -> None:
    runner.run_job(
        job, {"secrets": SECRETS, "github": {"event": {"issue": {"title": "::error::$(id)"}}}, **contexts}
    )
    for ended in runner.ended:
        print(ended.name, ended.code, ended.log.text)  # for whoever reads of a failure


def find(runner: Runner, name: str) -> Any:
    return next(ended for ended in runner.ended if ended.name == name)


def test_a_triage_agent_is_signed_and_its_packet_is_kept_also_where_it_was_denied(runner: Runner) -> None:
    fill_workspace(runner, CURIOUS)
    run_job(runner, read_jobs("triage.yml")["triage"])
    action = find(runner, "OWNER/trio-egress")
    assert (action.code, action.outputs["verifier-verdict"]) == (121, "valid")
    assert "title: ::error::$(id)" in action.log.text
    assert (runner.artifacts / "audit-packet" / "manifest.json").exists()


def test_what_was_observed_is_the_policy_that_is_then_enforced(runner: Runner) -> None:
    fill_workspace(runner, CURIOUS)
    job = read_jobs("observe.yml")["agent"]
    run_job(runner, job, inputs={"mode": "observe"})
    first = find(runner, "OWNER/trio-egress")
    assert (first.code, first.outputs["verifier-verdict"]) == (0, "observed_only")
    (learnt,) = re.findall(
        r"## The policy that would have allowed it\n\n```toml\n(.*?)```\n", first.summary, re.DOTALL
    )
    (runner.workspace / "trio-egress.toml").write_text(learnt)
    runner.ended.clear()
    run_job(runner, job, inputs={"mode": "enforce"})
    second = find(runner, "OWNER/trio-egress")
    assert second.outputs["verifier-verdict"] == "self_consistent_only"
    assert "title: " in second.log.text


PIP = ".venv/bin/python -m pip install --quiet --require-hashes --only-binary :all:"
INSTALL = ["python3 -m venv .venv", f"{PIP} -r trio-egress/action/requirements.txt"]
"""What test_install.py tries; where it stands in an example, an environment that is there already takes its place."""


def take_installed(workspace: Path, step: dict[str, Any]) -> None:
    *install, verify = step["run"].splitlines()
    assert install == INSTALL
    step["run"] = verify
    (workspace / ".venv").symlink_to(sys.prefix)


@pytest.fixture
def other() -> Iterator[Runner]:
    """Another machine."""
    runner = make_runner()
    yield runner
    remove(runner)


def test_the_packet_verifies_on_another_machine_and_a_changed_one_does_not(
    runner: Runner, other: Runner
) -> None:
    fill_workspace(runner)
    jobs = read_jobs("verify.yml")
    run_job(runner, jobs["agent"])
    action = find(runner, "OWNER/trio-egress")
    needs = {"agent": {"outputs": {"sha256": action.outputs["packet-sha256"]}}}
    shutil.copytree(runner.artifacts, other.artifacts, dirs_exist_ok=True)
    fill_workspace(other)
    (other.workspace / "trio-egress").mkdir()
    for name in ("action", "src"):
        (other.workspace / "trio-egress" / name).symlink_to(ROOT / name)
    take_installed(other.workspace, jobs["verify"]["steps"][-1])
    run_job(other, jobs["verify"], needs=needs)
    assert not other.failed
    assert "VALID" in find(other, "it verifies").log.text
    manifest = other.artifacts / "audit-packet" / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(manifest.read_bytes() + b" ")
    shutil.rmtree(other.workspace / "packet")
    other.ended.clear()
    steps = [step for step in jobs["verify"]["steps"] if step.get("name") != "it verifies"]
    run_job(other, {"steps": steps}, needs=needs)
    assert find(other, "the packet is the one that the agent's job made").code == 1


def test_denials_go_to_code_scanning(runner: Runner) -> None:
    fill_workspace(runner, CURIOUS)
    run_job(runner, read_jobs("scanning.yml")["agent"])
    assert '"ruleId": "denied/default_deny"' in (runner.scanned / "egress.sarif").read_text()
    assert (runner.artifacts / "audit-packet-1234" / "packet.json").exists()


def test_a_system_without_a_sandbox_says_that_nothing_ran_there(runner: Runner) -> None:
    fill_workspace(runner)
    job = read_jobs("matrix.yml")["agent"]
    assert job["strategy"]["matrix"]["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    runner.system = "macOS"
    run_job(runner, job)
    assert [ended.name for ended in runner.ended] == ["actions/checkout", "the agent did not run"]
    assert "did **not** run on macOS" in runner.ended[-1].summary
    assert runner.ended[-1].log.count("notice") == 1


# Other systems


@pytest.fixture
def project() -> Iterator[Path]:
    """A project with trio-egress as a submodule, where another CI's job begins."""
    runner = make_runner()
    fill_workspace(runner, CURIOUS)
    (runner.workspace / "trio-egress").symlink_to(ROOT)
    key = runner.home / "egress.key"
    key.touch(mode=0o600)
    key.write_text(KEY_TEXT)
    yield runner.workspace
    remove(runner)


def run_lines(lines: list[str], project: Path, **variables: str) -> int:
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    home = str(project.parents[2])
    environment = {**ENVIRONMENT, **pip, "HOME": home, "PYTHONPATH": "", "CI": "true", **variables}
    script = "\n".join(["set -eo pipefail", *lines])
    ran = subprocess.run(
        ["bash", "-c", script], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    print(ran.stdout, ran.stderr)  # for whoever reads of a failure
    return ran.returncode


def test_gitlabs_jobs_keep_a_report_of_tests_and_verify_the_packet(project: Path) -> None:
    jobs = yaml.safe_load((EXAMPLES / "gitlab.yml").read_text())
    known = {
        "GITLAB_CI": "true",
        "CI_PROJECT_DIR": str(project),
        "EGRESS_KEY": str(project.parents[2] / "egress.key"),
    }
    given = {name: value for name, value in jobs["agent"]["variables"].items() if name.startswith("EGRESS")}
    assert run_lines(jobs["agent"]["script"], project, **known, **given) == 121
    report = jobs["agent"]["artifacts"]["reports"]["junit"]
    assert "elsewhere.example" in (project / report).read_text()
    assert all((project / path).exists() for path in jobs["agent"]["artifacts"]["paths"])
    *install, verify = jobs["verify"]["script"]
    assert install == INSTALL
    (project / ".venv").symlink_to(sys.prefix)
    assert run_lines([verify], project) == 0


def test_buildkites_steps_do_the_same_by_the_same_script() -> None:
    first, second = yaml.safe_load((EXAMPLES / "buildkite.yml").read_text())["steps"]
    gitlab = yaml.safe_load((EXAMPLES / "gitlab.yml").read_text())
    assert [first["command"]] == gitlab["agent"]["script"]
    assert second["commands"][1:] == gitlab["verify"]["script"]
    assert first["env"].items() <= gitlab["agent"]["variables"].items()


def test_the_documentation_names_every_example() -> None:
    page = (ROOT / "docs" / "ci.md").read_text()
    assert [
        path.name for path in EXAMPLES.rglob("*.*") if f"examples/ci/{path.relative_to(EXAMPLES)}" not in page
    ] == []
