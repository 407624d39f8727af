"""docs/start.md: its commands, one after the other, do what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runs.launch import ENVIRONMENT, Place, read_receipts

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```sh\n(.*?)^```$", (ROOT / "docs/start.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
)
INSTALL, *STEPS = BLOCKS
PIN = '\n[resolve]\n"example.com:443" = "127.0.0.1:1"\n'
"""So that nothing leaves this machine for a test."""


def run_block(place: Place, block: str) -> subprocess.CompletedProcess[str]:
    programs = place.path / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "trio-egress").write_text(f'#!/bin/sh\nexec {sys.executable} -m trio_egress "$@"\n')
    (programs / "trio-egress").chmod(0o755)
    environment = {**ENVIRONMENT, "PATH": f"{programs}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-c", block],
        cwd=place.path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_it_installs_as_the_readme_does() -> None:
    """Which the check runs, in a tree and a venv of its own."""
    (line,) = [
        line
        for line in (ROOT / "README.md").read_text("utf-8").splitlines()
        if line.startswith("python3 -m venv")
    ]
    assert INSTALL.split(" && ")[:2] == line.split(" && ")[:2]


def test_its_steps_do_what_it_says(place: Place) -> None:
    doctor, write, first, look, allow, second, verify = STEPS
    assert "namespaces" in run_block(place, doctor).stdout
    assert run_block(place, f"set -e\n{write}").returncode == 0
    ran = run_block(place, first)
    assert ran.returncode == 6, ran.stderr  # curl's own, for a name that there is not
    assert "denied dns:example.com: no rule allows example.com" in ran.stderr
    looked = run_block(place, look).stdout
    assert "no rule allows example.com" in looked
    assert '[[egress]]\ndestination = "example.com"' in looked
    assert run_block(place, f"set -e\n{allow}").returncode == 0
    with (place.path / "trio-egress.toml").open("a") as policy:
        policy.write(PIN)
    run_block(place, second)
    receipts = read_receipts(place.path / "second")
    assert ("allow", "tls://example.com:443") in {(one.verdict, one.target) for one in receipts}
    verified = run_block(place, f"set -e\n{verify}")
    assert (verified.returncode, verified.stdout.count("VALID: ")) == (0, 2)
