"""The whole action, with its installation, from a checkout that the agent may write to (`uses: ./`)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from tests.action.conftest import ROOT, make_runner, remove
from tests.action.runner import Runner
from tests.action.steps import HEAD, KEY_TEXT

pytestmark = pytest.mark.sandbox

EVIL = "print('forged'); raise SystemExit(0)"


@pytest.fixture
def bare() -> Iterator[Runner]:
    """A machine where nothing is installed, with pip's own settings, and the project as the workspace."""
    runner = make_runner()
    runner.environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    runner.environment["PYTHONPATH"] = ""
    for name in ("action", "action.yml", "src"):
        source = ROOT / name
        target = runner.workspace / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    runner.actions = {"./": runner.workspace}
    yield runner
    remove(runner)


def test_it_installs_its_own_checkout_by_hash_and_an_agent_that_changes_it_changes_nothing(
    bare: Runner,
) -> None:
    (bare.workspace / "trio-egress.toml").write_text(HEAD)
    script = f"""
    for file in $(find src action -name '*.py' -o -name '*.sh'); do echo "{EVIL}" >"$file" || true; done
    find src -name '*.py' -exec head -c 5 {{}} + | grep -c print
    """
    step = {"id": "egress", "uses": "./", "with": {"run": script, "private-key": KEY_TEXT, "debug": "true"}}
    (ended,) = bare.run_job({"steps": [step]})
    assert ended.code == 0, ended.log.text
    assert (bare.workspace / "src" / "trio_egress" / "__main__.py").read_text().startswith("print('forged')")
    assert ended.outputs["verifier-verdict"] == "valid"
    assert "forged" not in ended.log.text
    (python,) = bare.temp.glob("trio-egress-*/bin/python")
    listed = subprocess.run([python, "-I", "-m", "trio_egress", "--version"], capture_output=True, check=True)
    assert listed.stdout.startswith(b"trio-egress ")


def test_what_has_another_hash_is_not_installed(bare: Runner) -> None:
    path = bare.workspace / "action" / "requirements.txt"
    path.write_text(f"idna==3.10 \\\n    --hash=sha256:{'0' * 64}\n")
    (ended,) = bare.run_job({"steps": [{"uses": "./", "with": {"run": "touch ran"}}]})
    assert (ended.code, (bare.workspace / "ran").exists()) == (125, False)
    assert "could not be installed" in ended.log.annotations[-1].message


def test_on_another_system_it_fails_with_the_reason(bare: Runner) -> None:
    tools = bare.home / "bin"
    tools.mkdir()
    uname = tools / "uname"
    uname.write_text("#!/bin/sh\necho Darwin\n")
    uname.chmod(0o755)
    bare.environment["PATH"] = f"{tools}:{bare.environment['PATH']}"
    (ended,) = bare.run_job({"steps": [{"uses": "./", "with": {"run": "touch ran"}}]})
    assert (ended.code, (bare.workspace / "ran").exists()) == (125, False)
    assert "this runner is Darwin" in ended.log.annotations[0].message
