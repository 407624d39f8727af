"""The check checks: a skip fails it, its demo is the README's, and its interpreters are what it takes them for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

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
    assert run_suite(tmp_path, SKIPS["call"], CI="true").returncode == 1


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
