"""Judges the mutants of one file: a process with pytest set up forks itself for each, and the child runs the tests.

Rule 1: the process is forked from one that has nothing of the package loaded; it loads what the mutated file imports,
        never the file itself, so each child loads the mutant and all that is built on it.
Rule 2: a child's time and memory are bounded; whatever ends it but tests that passed, is a death.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import os
import resource
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType
from typing import Final

import pytest
from changes import Mutant, compile_mutant

CPU_SECONDS: Final = 3
"""What a child may use beside three times what all the tests use of a file that is unchanged."""

CONTROL_SECONDS: Final = 600
MEMORY_BYTES: Final = 2 << 30
SURVIVED: Final = (0, 5)
"""All tests passed; or none was found, as its name is made of what was changed."""
_OPTIONS: Final = (
    *("-x", "-q", "-p", "no:cacheprovider", "-W", "ignore:Module already imported"),
    "--assert=plain",  # else pytest itself loads what is installed with a plugin of its own, as this package is
)

Contexts = dict[str, dict[str, list[str]]]
"""Of each file, of each line, the tests that run it."""


class Unfit(Exception):
    """The tests fail although nothing was changed."""


def judge(path: Path, mutants: Sequence[Mutant], contexts: Contexts, root: Path) -> Iterator[bool]:
    """Of each mutant of the file whether it is killed, as soon as that is known. Raises Unfit."""
    lines = contexts[str(path)]
    with tempfile.TemporaryDirectory() as folder:
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(reading)
            _serve(_Judge(path, mutants, lines, root, writing), folder)
        os.close(writing)
        with open(reading, "rb", buffering=0) as answers:
            if answers.read(1) != b"=":
                raise Unfit
            for mutant in mutants:
                answer = answers.read(1)
                if not answer:
                    raise RuntimeError(f"the judge ended without a word about {mutant}")
                yield answer == b"+"
        os.waitpid(process, 0)


def _serve(judge: _Judge, folder: str) -> None:
    """In the process of one file: answers, and ends."""
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        _load_below(judge.path)
        options = [*_OPTIONS, f"--rootdir={judge.root}", f"--basetemp={folder}/tests"]
        pytest.main([*options, *judge.find_files(judge.all)], plugins=[judge])
    finally:
        os._exit(70)


def _load_below(path: Path) -> None:
    """Loads what of the package the file imports: that is the same with each mutant."""
    for statement in ast.parse(path.read_text("utf-8")).body:
        if isinstance(statement, ast.ImportFrom) and statement.module and "trio_egress" in statement.module:
            importlib.import_module(statement.module)
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    if str(path) in loaded:
        raise RuntimeError(f"{path.name} is imported by what it imports")


class _Judge:
    """A plugin of pytest: where tests would be collected, it forks for each mutant, and only the children go on."""

    def __init__(
        self, path: Path, mutants: Sequence[Mutant], lines: dict[str, list[str]], root: Path, answers: int
    ) -> None:
        self.path = path
        self.mutants = mutants
        self.lines = lines
        self.root = root
        self.answers = answers
        self.status = 0
        self.all = sorted({test for mutant in mutants for test in self.find_tests(mutant)})
        self.chosen: dict[str, int] = {}

    def find_tests(self, mutant: Mutant) -> list[str]:
        return self.lines.get(str(mutant.line)) or self.lines.get(str(mutant.statement), [])

    def find_files(self, tests: Sequence[str]) -> list[str]:
        return sorted({str(self.root / test.partition("::")[0]) for test in tests})

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        if self.all and self._in_child(session, None, self.all, CONTROL_SECONDS):
            return
        if self.status not in SURVIVED:
            os._exit(0)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = CPU_SECONDS + 3 * int(used.ru_utime + used.ru_stime)
        os.write(self.answers, b"=")
        for mutant in self.mutants:
            tests = self.find_tests(mutant)
            own = f"test_{self.path.stem}.py"
            first = [test for test in tests if own in test]
            rest = [test for test in tests if own not in test]
            for some in (first, rest):
                if some and self._in_child(session, mutant, some, seconds):
                    return
                if some and self.status not in SURVIVED:
                    os.write(self.answers, b"+")
                    break
            else:
                os.write(self.answers, b"-")
        os._exit(0)

    def _in_child(
        self, session: pytest.Session, mutant: Mutant | None, tests: Sequence[str], seconds: int
    ) -> bool:
        """True in the child, which then runs the tests; False here, when it has ended, with `status`."""
        child = os.fork()
        if child:
            _, ended = os.waitpid(child, 0)
            self.status = os.waitstatus_to_exitcode(ended)
            return False
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            if mutant is not None:
                _put_in_place(mutant)
            self.chosen = {test: place for place, test in enumerate(tests)}
            session.config.args[:] = self.find_files(tests)
        except BaseException:
            os._exit(70)
        return True

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """The shortest first: one is enough to kill."""
        items[:] = [item for item in items if item.nodeid in self.chosen]
        items.sort(key=lambda item: self.chosen[item.nodeid])

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """What has to be said is said: nothing is put in order."""
        os._exit(exitstatus)


def _put_in_place(mutant: Mutant) -> None:
    code = compile_mutant(mutant)
    usual = importlib.machinery.SourceFileLoader.get_code

    def get_code(loader: importlib.machinery.SourceFileLoader, fullname: str) -> CodeType | None:
        return code if loader.path == str(mutant.path) else usual(loader, fullname)

    importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]
