"""Where there is no sandbox: a refusal with its reason before anything is loaded, and a verifier that works.

Another system is made of this one by taking away what that one lacks.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY
from tests.evidence.test_packet import make_packet

import trio_egress
from trio_egress.cli.platforms import SANDBOXED, explain_absence

SOURCE = Path(trio_egress.__file__).parents[1]

MODULES = {"darwin": (), "win32": ("fcntl", "grp", "pwd", "resource", "termios", "pty", "tty")}
CALLS = {
    "darwin": ("pidfd_open", "memfd_create", "splice", "O_PATH", "getresuid", "setresuid"),
    "win32": (
        *(
            "pidfd_open",
            "memfd_create",
            "splice",
            "O_PATH",
            "getresuid",
            "setresuid",
            "fork",
            "getuid",
            "geteuid",
        ),
        *(
            "getgid",
            "O_NOFOLLOW",
            "O_CLOEXEC",
            "O_DIRECTORY",
            "O_NONBLOCK",
            "fchmod",
            "chown",
            "killpg",
            "setsid",
        ),
    ),
}


def run_on(platform: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line in a Python that says it is there."""
    prelude = f"""
import os, sys
sys.path[:0] = [{str(SOURCE)!r}]
import subprocess  # by its own platform, which it looks at when it is loaded
sys.platform = {platform!r}
for name in {MODULES[platform]!r}: sys.modules[name] = None
for name in {CALLS[platform]!r}: delattr(os, name) if hasattr(os, name) else None
from trio_egress.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
    command = [sys.executable, "-c", prelude, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("platform", MODULES)
@pytest.mark.parametrize("command", [["run", "--", "true"], ["learn", "--", "true"], ["demo"]], ids=" ".join)
def test_no_command_runs_without_a_sandbox(platform: str, command: list[str]) -> None:
    ran = run_on(platform, *command)
    assert (ran.returncode, ran.stdout) == (125, "")
    assert ran.stderr == f"trio-egress {command[0]}: {explain_absence(platform)}\n"


@pytest.mark.parametrize("platform", MODULES)
@pytest.mark.parametrize(("options", "code"), [([], 1), (["--attack"], 125)])
def test_the_doctor_says_why(platform: str, options: list[str], code: int) -> None:
    ran = run_on(platform, "doctor", *options)
    assert (ran.returncode, ran.stdout) == (code, f"fail  platform: {explain_absence(platform)}\n")


@pytest.mark.parametrize("platform", MODULES)
def test_the_verifier_works(platform: str, tmp_path: Path) -> None:
    make_packet(tmp_path)
    ran = run_on(platform, "verify", tmp_path, "--public-key", KEY.public_hex)
    assert ran.returncode == 0, ran.stderr
    with (tmp_path / "evidence.jsonl").open("ab") as file:
        file.write(b"{}\n")
    assert run_on(platform, "verify", tmp_path, "--public-key", KEY.public_hex).returncode == 1


@pytest.mark.parametrize(
    ("platform", "word"), [("darwin", "macOS"), ("win32", "Windows"), ("freebsd14", "freebsd14")]
)
def test_the_reason_names_the_system_and_what_it_lacks(platform: str, word: str) -> None:
    reason = explain_absence(platform)
    assert word in reason
    assert "namespaces" in reason
    assert "`trio-egress verify` works everywhere" in reason


def test_linux_has_it_all() -> None:
    assert explain_absence("linux") == ""
    assert SANDBOXED == ("run", "learn", "mcp", "demo", "signer", "recover", "serve")
