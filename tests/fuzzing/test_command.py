"""`python -m trio_egress.fuzzing`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

POLICY = 'version = "1.0"\ndefault_deny = true\n[[egress]]\ndestination = "*.corp.internal"\n'
OWN = """
from trio_egress.fuzzing import invariant
from trio_egress.policy.engine import decide

@invariant("only TLS")
def only_tls(policy, attempt):
    return attempt.protocol.name != "HTTP" or not decide(policy, attempt).allowed

not_one = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "agent.toml").write_text(POLICY)
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def run(folder: Path, *arguments: str, policy: str = "agent.toml") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trio_egress.fuzzing", "--policy", policy, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_a_policy_of_which_everything_holds_gives_0(folder: Path) -> None:
    ended = run(folder, "--examples", "10")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "held    two spellings of one URL get one decision (10 cases)" in ended.stdout


def test_what_is_never_to_be_allowed_is_found_and_gives_1(folder: Path) -> None:
    ended = run(folder, "--examples", "60", "--never", "*.internal")
    assert ended.returncode == 1
    assert "BROKEN  nothing at *.internal is ever allowed" in ended.stdout
    assert "is allowed: egress[0] '*.corp.internal' (line 3) allows" in ended.stdout


def test_an_invariant_of_ones_own_is_found_by_its_name(folder: Path) -> None:
    ended = run(folder, "--examples", "60", "--invariant", "own:only_tls", "--json")
    assert ended.returncode == 1
    report = json.loads(ended.stdout)
    assert report["held"] is False
    assert [found["claim"] for found in report["counterexamples"]] == ["only TLS"]
    assert report["tried"]["two spellings of one URL get one decision"] == 60


def test_seconds_bound_the_search(folder: Path) -> None:
    ended = run(folder, "--seconds", "0.1", "--seed", "5")
    assert ended.returncode == 0
    assert ended.stdout.rstrip().endswith("seed 5")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--never", "*"], 2, "--never *: a rule can't allow every host"),
        (
            ["--invariant", "own:nothing"],
            2,
            "--invariant own:nothing: module 'own' has no attribute 'nothing'",
        ),
        (["--invariant", "own:not_one"], 2, "must be `module:name` of an Invariant"),
        (["--invariant", "own"], 2, "must be `module:name` of an Invariant"),
        (["--invariant", "none:x"], 2, "No module named 'none'"),
        (["--seconds", "x"], 64, "invalid float value"),
    ],
)
def test_what_cannot_be_run_is_told(folder: Path, arguments: list[str], code: int, said: str) -> None:
    ended = run(folder, *arguments)
    assert ended.returncode == code
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("policy", "said"),
    [("none.toml", "cannot read the policy none.toml: No such file"), ("own.py", "own.py:2:")],
)
def test_a_policy_that_cannot_be_read_gives_2(folder: Path, policy: str, said: str) -> None:
    ended = run(folder, policy=policy)
    assert ended.returncode == 2
    assert said in ended.stderr


def test_without_hypothesis_the_package_says_what_to_install(folder: Path) -> None:
    program = "import sys; sys.modules['hypothesis'] = None; import trio_egress.fuzzing"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.stderr.rstrip().endswith("needs Hypothesis: pip install 'trio-egress[fuzz]'")
