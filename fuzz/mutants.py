"""Changes one thing at a time in a package, and lists the changes that its tests do not notice.

`python fuzz/mutants.py [FILE…] [--own] [--sample N] [--seed N]`: every mutant of the files, or N of them by chance.

Rule 1: a mutant is judged by the tests that run its line (one run with coverage tells them), those of its own file
        first; the first that fails kills it. One that does not end, or ends by a signal, is dead, too.
Rule 2: all is tried unchanged first: tests that fail then would kill everything.
Rule 3: nothing is written: each mutant is compiled in memory, in a process of its own, forked from one that has
        pytest set up and loaded what the file imports (judge.py).
Rule 4: what decides nothing is left alone (changes.py says what that is).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

from changes import find_mutants
from judge import Contexts, Unfit, judge

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCE: Final = ROOT / "src"
PACKAGE: Final = SOURCE / "trio_egress" / "policy"
TESTS: Final = ROOT / "tests" / "policy"


def main() -> int:
    """0 whatever survived: the report is for people, and `--at-least` for machines."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help="default: all of policy/")
    parser.add_argument("--tests", type=Path, default=TESTS)
    parser.add_argument(
        "--own", action="store_true", help="judge each file by the tests of its own name alone"
    )
    parser.add_argument("--sample", type=int, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--at-least", type=float, default=0, metavar="PERCENT", help="else the status is 1")
    wanted = parser.parse_args()
    files = [path.resolve() for path in wanted.files] or sorted(PACKAGE.rglob("*.py"))
    mutants = [mutant for path in files for mutant in find_mutants(path)]
    if wanted.sample is not None and wanted.sample < len(mutants):
        mutants = sorted(random.Random(wanted.seed).sample(mutants, wanted.sample))
    started = time.monotonic()
    tried = sorted({mutant.path for mutant in mutants})
    contexts = (
        learn_own_contexts(tried, wanted.tests) if wanted.own else learn_contexts(tried, [wanted.tests])
    )
    preload()
    killed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for path, group in itertools.groupby(mutants, key=lambda mutant: mutant.path):
        name, those = str(path.relative_to(path.parents[1])), list(group)
        try:
            for mutant, dies in zip(those, judge(path, those, contexts, ROOT), strict=True):
                total[name] += 1
                killed[name] += dies
                if not dies:
                    print(f"survives  {mutant}", flush=True)
        except Unfit:
            print(f"the tests of {name} fail without any change", file=sys.stderr)
            return 2
    for name, count in sorted(total.items()):
        print(f"{name:28} {killed[name]:5} of {count:5} killed  {100 * killed[name] / count:5.1f} %")
    percent = 100 * killed.total() / max(1, total.total())
    print(
        f"{killed.total()} of {total.total()} mutants killed, {percent:.1f} %, {time.monotonic() - started:.0f} s"
    )
    return 0 if percent >= wanted.at_least else 1


def learn_own_contexts(files: list[Path], tests: Path) -> Contexts:
    """Each file's by the tests of its name (test_engine*.py for engine.py), else by those of its folder."""
    found: Contexts = {}
    for file in files:
        folder = tests / file.parent.relative_to(PACKAGE)
        found |= learn_contexts([file], sorted(folder.glob(f"test_{file.stem}*.py")) or [folder])
    return found


def learn_contexts(files: list[Path], tests: list[Path]) -> Contexts:
    """One run of the tests with coverage, in a process of its own: none of the package may be loaded in this one."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "contexts.json"
        program = [sys.executable, str(Path(__file__).with_name("contexts.py")), str(answer)]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        command = [*program, *map(str, files), "--", *map(str, tests)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT, env=environment)
        contexts: Contexts = json.loads(answer.read_text())
        return contexts


def preload() -> None:
    """What every child needs, but not a module of the package: those are what is changed."""
    import attrs  # noqa: F401
    import cattrs.gen  # noqa: F401
    import hypothesis
    import idna  # noqa: F401
    import pytest  # noqa: F401
    import tomli  # noqa: F401

    hypothesis.settings.register_profile(
        "mutants", derandomize=True, max_examples=20, deadline=None, database=None
    )
    hypothesis.settings.load_profile("mutants")
    sys.path.insert(0, str(SOURCE))


if __name__ == "__main__":
    sys.exit(main())
