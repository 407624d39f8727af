"""The command line as a process: what it prints, where, and the codes of its own mistakes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trio_egress.cli.main import build_parser


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


def test_a_parser_of_one_command_is_that_of_all() -> None:
    _, commands = build_parser()
    for name, command in commands.items():
        _, alone = build_parser(name)
        assert alone[name].format_help() == command.format_help()


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


@pytest.mark.parametrize("arguments", [["--help"], ["policy", "schema"], ["verify", "nothing"]])
def test_a_standard_output_that_is_full_is_told_and_no_verdict(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "trio_egress", *arguments]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "trio-egress: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("arguments", [["--help"], ["policy", "schema"]])
def test_closed_streams_lead_nowhere(arguments: list[str]) -> None:
    shell = 'exec "$@" <&- >&- 2>&-'
    command = ["sh", "-c", shell, "sh", sys.executable, "-X", "dev", "-m", "trio_egress", *arguments]
    assert subprocess.run(command, timeout=120, check=False).returncode == 0


def test_what_is_made_with_closed_streams_gets_none_of_their_numbers(tmp_path: Path) -> None:
    program = (
        "import os, trio_egress.cli.main as main\n"
        "main.open_closed()\n"
        "print('x', flush=True)\n"
        "os.write(2, b'y')\n"
        "assert os.open('made', os.O_RDWR | os.O_CREAT) > 2\n"
    )
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", program]
    assert subprocess.run(command, cwd=tmp_path, timeout=120, check=False).returncode == 0
    assert (tmp_path / "made").read_bytes() == b""


def test_an_interrupted_command_ends_with_130_and_says_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "policy.toml")
    command = [sys.executable, "-m", "trio_egress", "policy", "check", "policy.toml"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, start_new_session=True)
    with open(tmp_path / "policy.toml", "w"):  # waits until the command reads it
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert (process.returncode, said) == (130, b"")


def test_a_command_that_needs_a_directory_says_that_it_is_gone(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('version = "1.0"\ndefault_deny = true\n')
    (gone := tmp_path / "gone").mkdir()
    started = [sys.executable, "-m", "trio_egress", "run", "--policy", str(policy), "--", "true"]
    shell = ["sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *started]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=120, check=False, cwd=gone)
    assert (done.returncode, "the working directory is gone" in done.stderr) == (125, True)


def test_a_key_that_is_not_there_is_told_with_what_makes_one(tmp_path: Path) -> None:
    (tmp_path / "trio-egress.toml").write_text('version = "1.0"\ndefault_deny = true\n')
    done = run("run", "--key", "ci.key", "--", "true", cwd=tmp_path)
    assert (done.returncode, "`trio-egress keygen ci.key` makes one" in done.stderr) == (125, True)


def test_to_learn_from_nothing_is_a_usage_error(tmp_path: Path) -> None:
    done = run("learn", cwd=tmp_path)
    assert (done.returncode, [*tmp_path.iterdir()]) == (125, [])
    assert done.stderr.startswith("trio-egress learn: nothing to learn from: trio-egress learn")


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
