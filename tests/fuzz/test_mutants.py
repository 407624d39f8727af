"""The mutation of policy/: what is changed, and that a change is noticed by tests that fail and by nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from pathlib import Path
from changes import compile_mutant, find_mutants
for mutant in find_mutants(Path(sys.argv[1])):
    compile_mutant(mutant)
    where = mutant.line if mutant.line == mutant.statement else f"{mutant.line} of {mutant.statement}"
    print(f"{where}: {mutant.was} -> {mutant.becomes}")
"""


def mutate(tmp_path: Path, source: str) -> list[str]:
    path = tmp_path / "module.py"
    path.write_text(source)
    command = [sys.executable, "-c", PROGRAM, str(path)]
    ended = subprocess.run(command, cwd=ROOT / "fuzz", capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("x = a < 1", ["1: 1 -> 2", "1: a < 1 -> a <= 1"]),
        (
            "x = a is not b in c",
            ["1: a is not b in c -> a is b in c", "1: a is not b in c -> a is not b not in c"],
        ),
        ("x = a and b", ["1: a and b -> a or b"]),
        ("x = not a", ["1: not a -> a"]),
        ("x = a + b", ["1: a + b -> a - b"]),
        ("x = a if b else c", ["1: a if b else c -> c if b else a"]),
        ("if a: f()", ["1: f() -> pass", "1: a -> not a"]),
        ("x = [a for a in b if a]", ["1: a -> not a"]),
        ("x = True", ["1: True -> False"]),
        ("x = 'a'", ["1: 'a' -> ''"]),
        ("def f():\n    return a", ["2: return a -> return None"]),
        ("raise a", ["1: raise a -> pass"]),
        ("x = (\n  'a',\n)", ["2 of 1: 'a' -> ''"]),
        ("if a:\n  x = (\n    'b',\n  )", ["3 of 2: 'b' -> ''", "1: a -> not a"]),
        ("for a in b:\n    break", ["2: break -> continue"]),
        ("match a:\n    case b if c: pass", ["2: c -> not c"]),
    ],
)
def test_each_kind_of_change_is_made(tmp_path: Path, source: str, changes: list[str]) -> None:
    assert mutate(tmp_path, source + "\n") == changes


def test_what_decides_nothing_is_left_alone(tmp_path: Path) -> None:
    source = '"""A docstring."""\ndef f(a: "int" = b) -> "str":\n    """Another."""\n    c: "list" = a\n    return\n'
    assert mutate(tmp_path, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "if TYPE_CHECKING:\n    import a",
        "@a.b(True)\nclass C:\n    pass",
        "T = TypeVar('T')",
        "a = attrs.field(repr=False, kw_only=True, init=False)",
        "match a:\n    case _:\n        assert_never(a)",
    ],
)
def test_what_nobody_asks_for_is_left_alone(tmp_path: Path, source: str) -> None:
    assert mutate(tmp_path, source + "\n") == []


def test_beside_what_nobody_asks_for_all_is_changed(tmp_path: Path) -> None:
    assert mutate(tmp_path, "a = attrs.field(repr=False, eq=False)\n") == ["1: False -> True"]


def test_tests_that_look_kill_and_tests_that_do_not_kill_nothing() -> None:
    assert run("test_times.py") == 1
    assert run("test_starter.py") == 0


def run(tests: str) -> int:
    """Of the mutants of starter.py, judged by these tests: whether at least nine of ten die."""
    command = [sys.executable, "fuzz/mutants.py", "src/trio_egress/policy/starter.py", "--at-least", "90"]
    command += ["--tests", f"tests/policy/{tests}"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(ran.stdout, ran.stderr)  # for whoever reads of a failure
    return ran.returncode
