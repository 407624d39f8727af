"""The check checks: a skip fails it, its demo is the README's, and its interpreters are what it takes them for."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
from tests.conftest import SKIPPED

ROOT = Path(__file__).parents[1]


def load_check() -> ModuleType:
    loader = SourceFileLoader("trio_egress_check", str(ROOT / "check"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    dont_write, sys.dont_write_bytecode = (
        sys.dont_write_bytecode,
        True,
    )  # or `checkc` would stand beside `check`
    loader.exec_module(module)
    sys.dont_write_bytecode = dont_write
    return module


check = load_check()


def run_suite(folder: Path, source: str, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a made-up suite under this suite's conftest.py."""
    shutil.copy(ROOT / "tests/conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    root: r\n    ordinary: o\n")
    (folder / "test_it.py").write_text(f"import pytest\n{source}\n")
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={**environment, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


SKIPS = {
    "call": "def test_a(): pytest.skip()\ndef test_b(): pass",
    "mark": "@pytest.mark.skipif(True, reason='r')\ndef test_a(): pass\ndef test_b(): pass",
    "import": "import os\npytest.importorskip('no_such_module')",
    "fixture": "@pytest.fixture\ndef f(): pytest.skip()\ndef test_a(f): pass\ndef test_b(): pass",
}


@pytest.mark.parametrize("source", SKIPS.values(), ids=SKIPS)
def test_a_skipped_test_fails_the_run(tmp_path: Path, source: str) -> None:
    ran = run_suite(tmp_path, source, "--no-skips")
    assert "1 skipped: nothing may be skipped here" in ran.stdout
    assert ran.returncode != 0


def test_a_skipped_test_fails_the_run_in_ci(tmp_path: Path) -> None:
    assert run_suite(tmp_path, SKIPS["call"], CI="true").returncode == SKIPPED


def test_a_skip_beside_a_failure_is_told_by_its_own_code(tmp_path: Path) -> None:
    """So that what may be chance for a failed test never covers a skipped one."""
    source = f"{SKIPS['call']}\ndef test_c(): assert False"
    assert run_suite(tmp_path, source, "--no-skips").returncode == SKIPPED


def test_a_skipped_test_passes_elsewhere(tmp_path: Path) -> None:
    ran = run_suite(tmp_path, SKIPS["call"])
    assert (ran.returncode, "1 passed, 1 skipped" in ran.stdout) == (0, True)


def test_a_run_without_skips_passes(tmp_path: Path) -> None:
    assert run_suite(tmp_path, "def test_b(): pass", "--no-skips", CI="true").returncode == 0


def test_what_needs_root_or_its_absence_runs_where_it_belongs(tmp_path: Path) -> None:
    source = (
        "@pytest.mark.root\ndef test_r(): pass\n@pytest.mark.ordinary\ndef test_o(): pass\ndef test_b(): pass"
    )
    ran = run_suite(tmp_path, source, "--no-skips", "-vv")
    assert ran.returncode == 0
    assert "2 passed, 1 deselected" in ran.stdout
    assert ("test_r" in ran.stdout) == (os.geteuid() == 0)


def test_the_demo_is_the_readme_line() -> None:
    demo = check.find_demo()
    assert demo in (ROOT / "README.md").read_text("utf-8").splitlines()


def test_each_program_that_is_installed_is_driven_by_a_test() -> None:
    tests = "".join(
        path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)
    )
    assert [program for program in check.PROGRAMS if not re.search(rf"\b{program}\b", tests)] == []


def test_what_is_named_is_there() -> None:
    named = (*check.EVERYWHERE, *check.PURE, *check.AS_ROOT_ALONE)
    assert [path for path in named if not (ROOT / path).exists()] == []
    assert set(check.AT_THE_ENDS) < set(check.EVERYWHERE)


def test_version_is_that_of_the_interpreter_started() -> None:
    assert check.version_of(Path(sys.executable)) == ".".join(map(str, sys.version_info[:2]))


def test_what_is_no_python_has_no_version(tmp_path: Path) -> None:
    assert check.version_of(Path("/bin/true")) == ""
    assert check.version_of(tmp_path / "python3") == ""


def test_a_file_below_a_private_folder_is_not_readable_by_all(tmp_path: Path) -> None:
    python = tmp_path / "private" / "python"
    python.parent.mkdir()
    python.touch()
    python.chmod(0o755)
    python.parent.chmod(0o700)
    assert not check.readable_by_all(python)
    assert check.readable_by_all(Path("/bin/sh"))


def test_a_program_of_a_home_is_missing_to_root_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only-here").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check.has_program("only-here", root=False)
    assert not check.has_program("only-here", root=True)
    assert check.has_program("true", root=True)


def test_it_stops_before_anything_when_a_program_is_missing(tmp_path: Path) -> None:
    text = (ROOT / "check").read_text("utf-8")
    script = tmp_path / "check"
    script.write_text(
        text.replace("PROGRAMS = {", 'PROGRAMS = {"no-such-program": ("its-package", "why"),', 1)
    )
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/apt-get").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "bin/apt-get").chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    ran = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "no-such-program its-package why" in " ".join(ran.stdout.split())
    assert "check stopped: " in ran.stdout
    assert not (tmp_path / ".venv").exists()


COUNT = """
from pathlib import Path
def count(name):
    file = Path(name)
    file.write_text(f"{file.read_text() if file.exists() else ''}1")
    return len(file.read_text())
"""
"""For tests that fail in some of their turns: how many there have been."""


def try_suite(tree: Path, file: str, source: str) -> bool:
    """Run a made-up suite as a step of the check, which fails, and then what failed alone."""
    (tree / file).parent.mkdir(parents=True)
    (tree / file).write_text(f"{COUNT}\n{source}\n")
    shutil.copy(ROOT / "tests/conftest.py", tree)
    (tree / "pytest.ini").write_text("[pytest]\n")
    command = [*check.run_pytest(Path(sys.executable).parent.parent), "tests"]
    step = check.Step("made up", pwd.getpwuid(os.geteuid()), tree, command)
    assert check.run_steps([step]) == {"made up": check.TESTS_FAILED}
    tried: bool = check.try_alone(step)
    return tried


ONCE = "def test_once(): assert count('once') > 1"
FOUR = "import pytest\n@pytest.mark.parametrize('n', range(4))\ndef test_it(n): assert count(f'n{n}') > 1"


def test_a_test_that_fails_once_and_passes_alone_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert try_suite(tmp_path, "tests/runs/test_it.py", f"{ONCE}\ndef test_b(): count('other')")
    assert "FAILED ONCE and passed 3 times alone" in (out := capfd.readouterr().out)
    assert out.splitlines()[-1] == "tests/runs/test_it.py::test_once"
    assert (tmp_path / "once").read_text() == "1111"
    assert (tmp_path / "other").read_text() == "1"


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("tests/runs/test_it.py", "def test_it(): assert False"),
        ("tests/runs/test_it.py", "def test_it(): assert count('it') in (2, 3)"),
        ("tests/runs/test_it.py", f"{ONCE}\ndef test_it(): assert False"),
        (
            "tests/runs/test_it.py",
            f"{ONCE}\n" + ONCE.replace("once", "{0}") * 0 + "import pytest\n"
            "@pytest.mark.parametrize('n', range(4))\ndef test_four(n): assert count(f'n{n}') > 1",
        ),
        ("tests/escapes/test_it.py", ONCE),
        ("tests/attack/test_it.py", ONCE),
    ],
    ids=["always", "the third time alone", "another always", "more than a few", "an escape", "an attack"],
)
def test_a_failure_that_is_no_chance_stays_one(tmp_path: Path, file: str, source: str) -> None:
    assert not try_suite(tmp_path, file, source)


@pytest.mark.root
def test_an_ordinary_user_gets_ids_that_nobody_else_has(tmp_path: Path) -> None:
    """In an /etc of the test's own: usermod writes there."""
    code = f"""
import pwd, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.test_check import check
for _ in range(2):
    check.provide_ranges(pwd.getpwnam("daemon"), root=True)
for file in ("subuid", "subgid"):
    print(open(f"/etc/{{file}}").read(), end="")
"""
    mount = (
        f"mount -t overlay overlay -o lowerdir=/etc,upperdir={tmp_path}/upper,workdir={tmp_path}/work /etc"
    )
    script = f"mount -t tmpfs tmpfs {tmp_path} && mkdir {tmp_path}/upper {tmp_path}/work && {mount} && "
    script += f'rm -f /etc/subgid && echo somebody:200000:65536 >/etc/subuid && exec {sys.executable} -c "$1"'
    ran = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script, "sh", code], capture_output=True, text=True
    )
    assert ran.stdout.split() == ["somebody:200000:65536", "daemon:265536:65536", "daemon:100000:65536"], (
        ran.stderr
    )
