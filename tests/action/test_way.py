"""How the sandbox is had: without root where that works, by sudo where it does not, and never silently by neither."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.action.runner import Runner
from tests.action.steps import HEAD, KEY_TEXT, use
from tests.runs.launch import ENVIRONMENT, PATIENCE_SECONDS, Ended, Place, wait_until, write_policy

pytestmark = pytest.mark.sandbox

ACTION = (sys.executable, "-I", "-m", "trio_egress.integrations.github")
SUDO = '#!/bin/sh\n[ "$*" = "-n true" ] && exit 0\nfor word; do echo "sudo got <$word>"; done\nexit 125\n'


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()


def nest(place: Place, **variables: str) -> Ended:
    """The action where no namespace can be made: in a sandbox of ours, where sudo has no power either."""
    (place.work / "trio-egress.toml").write_text(HEAD)
    inputs = {"GITHUB_WORKSPACE": str(place.work), "RUNNER_TEMP": "/tmp", "INPUT_RUN": "touch ran"}
    more = '[files]\nprotect = ["!trio-egress.toml"]\n'
    return place.run(write_policy(more=more), *ACTION, environment={**inputs, **variables})


@pytest.mark.programs
def test_where_it_can_be_had_by_no_means_nothing_runs_and_the_cure_is_told(place: Place) -> None:
    ended = nest(place)
    assert (ended.code, (place.work / "ran").exists()) == (125, False)
    (told,) = [line for line in ended.text.splitlines() if line.startswith("::error")]
    assert "no sandbox can be had here. namespaces: " in told
    assert "sudo asks for a password, or is not there" in told


def test_by_sudo_it_says_why_and_hands_everything_over_as_arguments(place: Place) -> None:
    tools = place.path / "tools"
    tools.mkdir()
    (tools / "sudo").write_text(SUDO)
    (tools / "sudo").chmod(0o755)
    path = f"{tools}:{ENVIRONMENT['PATH']}"
    ended = nest(
        place,
        PATH=path,
        INPUT_RUN="echo '$(id)'; exit",
        INPUT_AGENT_IDENTITY="-n --evil",
        INPUT_SUMMARY="false",
    )
    assert ended.code == 125
    assert "the sandbox is built by sudo, as it can't be had without root (namespaces: " in ended.text
    given = [
        line[len("sudo got <") : -1] for line in ended.text.splitlines() if line.startswith("sudo got <")
    ]
    assert given[:6] == ["-n", "-E", "--", "env", f"PATH={path}", sys.executable]
    assert given[given.index("run") :][:2] == ["run", "--mode=enforce"]
    assert "--agent=-n --evil" in given
    assert given[-3:] == ["-c", "echo '$(id)'; exit", "run"]


@pytest.mark.root
def test_of_a_run_that_sudo_started_all_is_written_where_its_proxy_may_not_go() -> None:
    """A home of mode 0750, as GitHub's runners have it."""
    nobody = pwd.getpwnam("nobody")
    home = Path(tempfile.mkdtemp(prefix="trio-egress-runner-", dir="/srv"))
    work = home / "work"
    work.mkdir()
    (work / "trio-egress.toml").write_text(HEAD)
    for path in (home, work, work / "trio-egress.toml"):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    home.chmod(0o750)
    try:
        names = ("summary", "sarif", "junit", "annotations", "status-file")
        files = [f"--{name}={home / name}" for name in names]
        behind = {"SUDO_USER": "nobody", "SUDO_UID": str(nobody.pw_uid), "SUDO_GID": str(nobody.pw_gid)}
        command = [sys.executable, "-m", "trio_egress", "run", *files, "--mode", "observe", "--", "ls"]
        ran = subprocess.run(
            command, cwd=work, env={**ENVIRONMENT, **behind}, capture_output=True, text=True, check=False
        )
        status = json.loads((home / "status-file").read_text())
        assert (ran.returncode, status["verdict"]) == (0, "observed_only"), ran.stderr
        assert "## The policy that would have allowed it" in (home / "summary").read_text()
        assert all((home / name).stat().st_size for name in names)
    finally:
        shutil.rmtree(home)


def test_a_step_that_is_cancelled_ends_its_agent_and_keeps_its_packet(runner: Runner) -> None:
    (runner.workspace / "trio-egress.toml").write_text(HEAD)
    output = runner.home / "output"
    inputs = {
        "INPUT_RUN": "trap 'exit 7' INT; touch ready; while :; do sleep 0.1; done",
        "INPUT_PRIVATE_KEY": KEY_TEXT,
        "GITHUB_OUTPUT": str(output),
    }
    process = subprocess.Popen(
        ACTION, cwd=runner.workspace, env={**runner.environment, **inputs}, stdout=subprocess.DEVNULL
    )
    try:
        wait_until((runner.workspace / "ready").exists, "the agent works")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 7
    finally:
        process.kill()
        process.wait()
    assert "\nvalid\n" in output.read_text()
    assert [path for path in runner.temp.iterdir() if path.name.startswith("trio-egress")] == []


def test_where_it_works_without_sudo_that_is_said(runner: Runner) -> None:
    words = "as root, which the run gives up" if os.geteuid() == 0 else "as this user, without root"
    assert f"the sandbox is built {words}" in use(runner, run="true").log.text
