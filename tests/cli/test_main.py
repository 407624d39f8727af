"""The command line as a process: what it prints, where, and the codes of its own mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trio_egress", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=cwd)


def test_without_a_command_the_help_goes_to_standard_error() -> None:
    done = run()
    assert (done.returncode, done.stdout) == (64, "")
    assert "run a command in the sandbox" in done.stderr


@pytest.mark.parametrize(
    "command", ["run", "verify", "packet", "doctor", "demo", "init", "keygen", "recover"]
)
def test_every_command_has_a_help(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: trio-egress {command}")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run"], 125),
        (["run", "--timeout", "0", "true"], 125),
        (["run", "--proxy-port", "80", "true"], 125),
        (["verify"], 64),
        (["keygen"], 64),
        (["recover"], 64),
        (["nonsense"], 64),
        (["verify", "x", "--public-key", ""], 64),
    ],
)
def test_a_usage_error_is_neither_an_agents_code_nor_a_verdict(
    arguments: list[str], code: int, tmp_path: Path
) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_init_writes_a_policy_that_loads_and_never_over_anything(tmp_path: Path) -> None:
    assert run("init", cwd=tmp_path).returncode == 0
    first = (tmp_path / "trio-egress.toml").read_text()
    again = run("init", cwd=tmp_path)
    assert (again.returncode, "exists already" in again.stderr) == (2, True)
    assert (tmp_path / "trio-egress.toml").read_text() == first


def test_init_writes_yaml_where_the_name_says_so(tmp_path: Path) -> None:
    assert run("init", "trio-egress.yaml", cwd=tmp_path).returncode == 0
    assert 'version: "1.0"' in (tmp_path / "trio-egress.yaml").read_text()
    assert run("policy", "check", cwd=tmp_path).returncode == 0


def test_keygen_makes_a_pair_and_never_over_anything(tmp_path: Path) -> None:
    assert run("keygen", "ci.key", cwd=tmp_path).returncode == 0
    assert (tmp_path / "ci.key").stat().st_mode & 0o777 == 0o600
    first = (tmp_path / "ci.key").read_bytes()
    assert run("keygen", "ci.key", cwd=tmp_path).returncode == 2
    assert (tmp_path / "ci.key").read_bytes() == first


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    script = f"{sys.executable} -m trio_egress run --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stderr


def test_verifying_what_is_not_there_is_exit_2(tmp_path: Path) -> None:
    done = run("verify", str(tmp_path / "missing"))
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
