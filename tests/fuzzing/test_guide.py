"""docs/fuzzing.md: its example runs, and its names are those of the package."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import trio_egress.fuzzing

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "fuzzing.md").read_text(encoding="utf-8")


def test_the_invariant_of_a_team_is_found_broken(tmp_path: Path) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    (tmp_path / "own.py").write_text(program)
    ended = subprocess.run(
        [sys.executable, "own.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("BROKEN  nothing under *.internal is ever allowed\n")


def test_every_target_is_listed_with_its_invariant() -> None:
    targets = {
        path.name: ast.get_docstring(ast.parse(path.read_text()))
        for path in (ROOT / "fuzz").glob("fuzz_*.py")
    }
    assert dict(re.findall(r"^\| `(fuzz_\w+\.py)` \| (.+) \|$", TEXT, re.MULTILINE)) == targets


def test_every_strategy_that_is_named_is_there() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| `")]
    names = re.findall(r"`([a-z_]+)\(", "".join(rows))
    assert len(names) > 12
    assert set(names) <= set(trio_egress.fuzzing.__all__)
