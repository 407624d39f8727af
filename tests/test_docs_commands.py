"""docs/working-with-policies.md is true: its commands are run, and say what stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[1] / "docs" / "working-with-policies.md").read_text(encoding="utf-8")
POLICY = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)[0]
CHANGED = POLICY.replace('["GET", "HEAD"]', '["GET", "HEAD", "POST"]').replace(
    '[[egress]]\nname = "api"\ndestination = "api.example.com"\n', ""
)
SRT = '{"network": {"allowedDomains": ["api.example.com"]}}'


def find_commands() -> Iterator[tuple[str, str]]:
    """Each command of the page, with what it is said to print."""
    for block in re.findall(r"^```console\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, printed = part.partition("\n")
            yield command, printed


COMMANDS = list(find_commands())


def test_there_are_commands_to_run() -> None:
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize(("command", "printed"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command_prints_what_the_page_says(tmp_path: Path, command: str, printed: str) -> None:
    (tmp_path / "agent.toml").write_text(POLICY)
    (tmp_path / "changed.toml").write_text(CHANGED)
    (tmp_path / "srt-settings.json").write_text(SRT)
    program, *arguments = shlex.split(command)
    assert program == "trio-egress"
    ran = subprocess.run(
        [sys.executable, "-m", "trio_egress", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert re.sub("sha256:[0-9a-f]{64}", "sha256:…", ran.stdout) == printed
    assert ran.returncode in (0, 1)
