"""Who is asked, as the command line says it: what can't be meant is told before anything runs."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ask", "--ask-fd", "3"], "--ask and --ask-fd: give one of them"),
        (["--ask-fd", "999"], "--ask-fd 999: not a stream socket of this process"),
        (["--ask-fd", "-1"], "--ask-fd -1: not a stream socket of this process"),
    ],
)
def test_what_cannot_be_meant_is_refused(options: list[str], message: str) -> None:
    command = [sys.executable, "-m", "trio_egress", "run", "--allow", "a.example", *options, "--", "true"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 125
    assert message in ended.stderr
