"""Changes one thing at a time in a package, and lists the changes that its tests do not notice.

`python fuzz/mutants.py [FILE…] [--own] [--sample N] [--seed N]`: every mutant of the files, or N of them by chance.

Rule 1: a mutant is judged by the tests that run its line (one run with coverage tells them), those of its own file
        first; the first that fails kills it. One that does not end, or ends by a signal, is dead, too.
Rule 2: all is tried unchanged first: tests that fail then would kill everything.
Rule 3: nothing is written: each mutant is compiled in memory, in a process of its own.
Rule 4: annotations and docstrings are left alone: they decide nothing.
"""

from __future__ import annotations

import argparse
import ast
import importlib.machinery
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCE: Final = ROOT / "src"
PACKAGE: Final = SOURCE / "trio_egress" / "policy"
TESTS: Final = ROOT / "tests" / "policy"
CPU_SECONDS: Final = (15, 90)
"""For the tests of the file itself, and for all others."""
CONTROL_SECONDS: Final = 600
MEMORY_BYTES: Final = 2 << 30
PASSED: Final = 0

_COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.Pow: ast.Mult,
}

Contexts = dict[str, dict[str, list[str]]]
"""Of each file, of each line, the tests that run it."""


class Mutant(NamedTuple):
    """The `number`th change that can be made to a file, and how its line reads then."""

    path: Path
    number: int
    line: int
    was: str
    becomes: str

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}: {self.was}  →  {self.becomes}"


class Changer(ast.NodeTransformer):
    """Walks a module and makes its `number`th change; with -1 none, and counts them. `found` is what was changed."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.count = 0
        self.found: tuple[int, str, str] | None = None

    def offer(self, node: ast.AST, *replacements: ast.AST) -> ast.AST:
        for replacement in replacements:
            if self.count == self.number:
                line = getattr(node, "lineno", 0)
                self.found = (line, _shorten(node), _shorten(replacement))
                self.count += 1
                return ast.copy_location(replacement, node)
            self.count += 1
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        others = []
        for place, operator in enumerate(node.ops):
            ops = [*node.ops]
            ops[place] = _COMPARISONS[type(operator)]()
            others.append(ast.Compare(node.left, ops, node.comparators))
        return self.offer(node, *others)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        return self.offer(
            node, ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        )

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return self.offer(node, node.operand)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        operator = _OPERATORS.get(type(node.op))
        return node if operator is None else self.offer(node, ast.BinOp(node.left, operator(), node.right))

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        return self.offer(node, ast.IfExp(node.test, node.orelse, node.body))

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        node.test = self.negate(node.test)
        return node

    def visit_While(self, node: ast.While) -> ast.AST:
        self.generic_visit(node)
        node.test = self.negate(node.test)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        self.generic_visit(node)
        node.ifs = [self.negate(test) for test in node.ifs]
        return node

    def visit_match_case(self, node: ast.match_case) -> ast.AST:
        self.generic_visit(node)
        if node.guard is not None:
            node.guard = self.negate(node.guard)
        return node

    def negate(self, test: ast.expr) -> ast.expr:
        """A comparison alone has its own opposite already."""
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) not in (ast.Lt, ast.Gt):
            return test
        changed = self.offer(test, ast.UnaryOp(ast.Not(), test))
        assert isinstance(changed, ast.expr)
        return changed

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        match node.value:
            case bool():
                return self.offer(node, ast.Constant(not node.value))
            case int():
                return self.offer(node, ast.Constant(node.value + 1))
            case str():
                return self.offer(node, ast.Constant("" if node.value else "XX"))
            case _:
                return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        if node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None):
            return node
        return self.offer(node, ast.Return(ast.Constant(None)))

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        self.generic_visit(node)
        return self.offer(node, ast.Pass())

    def visit_Break(self, node: ast.Break) -> ast.AST:
        return self.offer(node, ast.Continue())

    def visit_Continue(self, node: ast.Continue) -> ast.AST:
        return self.offer(node, ast.Break())

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        if isinstance(node.value, ast.Constant):  # a docstring
            return node
        self.generic_visit(node)
        return (
            self.offer(node, ast.Pass())
            if isinstance(node.value, (ast.Call, ast.Yield, ast.YieldFrom))
            else node
        )

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        node.defaults = [self.visit(default) for default in node.defaults]
        node.kw_defaults = [default and self.visit(default) for default in node.kw_defaults]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.args = self.visit(node.args)
        node.body = [self.visit(statement) for statement in node.body]
        return node


def _shorten(node: ast.AST) -> str:
    text = " ".join(ast.unparse(ast.fix_missing_locations(node)).split())
    return text if len(text) <= 90 else text[:89] + "…"


def find_mutants(path: Path) -> Iterator[Mutant]:
    """Every mutant of a file."""
    source = path.read_text("utf-8")
    counter = Changer(-1)
    counter.visit(ast.parse(source))
    for number in range(counter.count):
        changer = Changer(number)
        changer.visit(ast.parse(source))
        assert changer.found is not None
        yield Mutant(path, number, *changer.found)


def compile_mutant(mutant: Mutant) -> CodeType:
    tree = Changer(mutant.number).visit(ast.parse(mutant.path.read_text("utf-8")))
    return compile(ast.fix_missing_locations(tree), str(mutant.path), "exec", dont_inherit=True)


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
    if not pass_unchanged(mutants, contexts):
        print("the tests fail without any change", file=sys.stderr)
        return 2
    for mutant in mutants:
        total[mutant.path.name] += 1
        if is_killed(mutant, contexts):
            killed[mutant.path.name] += 1
        else:
            print(f"survives  {mutant}", flush=True)
    for name, count in sorted(total.items()):
        print(f"{name:24} {killed[name]:5} of {count:5} killed  {100 * killed[name] / count:5.1f} %")
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


def pass_unchanged(mutants: list[Mutant], contexts: Contexts) -> bool:
    """In the very way in which mutants are tried."""
    chosen = {test for mutant in mutants for test in contexts[str(mutant.path)].get(str(mutant.line), [])}
    unchanged = Mutant(Path(__file__), -1, 0, "", "")
    return not chosen or run_tests(unchanged, sorted(chosen), CONTROL_SECONDS) == PASSED


def is_killed(mutant: Mutant, contexts: Contexts) -> bool:
    """Whether a test notices."""
    chosen = contexts[str(mutant.path)].get(str(mutant.line), [])
    own = f"test_{mutant.path.stem}.py"
    first = [test for test in chosen if own in test]
    rest = [test for test in chosen if own not in test]
    return any(
        some and run_tests(mutant, some, seconds) != PASSED
        for some, seconds in zip((first, rest), CPU_SECONDS, strict=True)
    )


def run_tests(mutant: Mutant, chosen: list[str], seconds: int) -> int:
    """In a child: its exit status, or 128 and more where a signal ended it."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            status = _run_in_child(mutant, chosen)
        finally:
            os._exit(status)
    _, ended = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(ended) & 0xFF


def _run_in_child(mutant: Mutant, chosen: list[str]) -> int:
    import pytest

    code = compile_mutant(mutant)
    usual = importlib.machinery.SourceFileLoader.get_code

    def get_code(loader: importlib.machinery.SourceFileLoader, fullname: str) -> CodeType | None:
        return code if loader.path == str(mutant.path) else usual(loader, fullname)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]
    wanted = set(chosen)

    class Chooser:
        def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
            items[:] = [item for item in items if item.nodeid in wanted]

    files = sorted({str(ROOT / test.partition("::")[0]) for test in chosen})
    options = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-W",
        "ignore:Module already imported",
        f"--rootdir={ROOT}",
    ]
    return int(pytest.main([*options, *files], plugins=[Chooser()]))


if __name__ == "__main__":
    sys.exit(main())
