"""Every fuzz target runs, holds for a bounded number of inputs, and says so when its invariant breaks."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[2] / "fuzz"
TARGETS = sorted(path.name for path in FUZZ.glob("fuzz_*.py"))
INPUTS = 3000
FEWER_INPUTS = dict.fromkeys(("fuzz_decide.py", "fuzz_forms.py", "fuzz_include.py", "fuzz_explain.py"), 100)
"""Each of these makes up a policy, loads it and makes up cases for it."""
FEWER_INPUTS["fuzz_scanner.py"] = 300
"""Each input is looked through three times, by all detectors."""


def run(*arguments: str, directory: Path = FUZZ.parent) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments, "60", "--no-atheris"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("target", TARGETS)
def test_the_invariant_holds(target: str) -> None:
    inputs = FEWER_INPUTS.get(target, INPUTS)
    ended = run(f"fuzz/{target}", "--inputs", str(inputs), "--seed", "1")
    assert ended.returncode == 0, ended.stderr
    assert f"{inputs} inputs, seed 1" in ended.stdout


@pytest.mark.parametrize("target", TARGETS)
def test_line_1_is_the_invariant_and_there_is_a_corpus(target: str) -> None:
    source = (FUZZ / target).read_text()
    invariant = ast.get_docstring(ast.parse(source))
    assert invariant
    assert source.splitlines()[0] == f'"""{invariant}"""'
    assert any((FUZZ / "corpus" / target.removeprefix("fuzz_").removesuffix(".py")).iterdir())


BROKEN = """
from driver import fuzz
def check(raw):
    assert len(raw) < 500 or raw[-1] != 255, "found"
fuzz(check, "tls_hello")
"""


def break_invariant(seed: int) -> str:
    ended = run("-c", BROKEN, "--seed", str(seed), directory=FUZZ)
    assert ended.returncode == 1
    assert "AssertionError: found" in ended.stderr
    return ended.stderr


def test_a_broken_invariant_is_found_and_its_input_shown() -> None:
    _, seed, literal = break_invariant(1).splitlines()[0].split(maxsplit=4)[2:]
    assert seed == "1:"
    raw = ast.literal_eval(literal)
    assert len(raw) >= 500
    assert raw[-1] == 255


def test_the_same_seed_gives_the_same_inputs() -> None:
    assert break_invariant(7) == break_invariant(7)
    assert break_invariant(7) != break_invariant(8)
