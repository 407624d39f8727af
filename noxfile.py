"""The same checks as `./check`, one at a time and on each Python: `nox -l` lists them.

Interpreters are found, never downloaded; where one is missing its session is skipped with a word. Backend: uv or pip.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path

import nox

os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")
if "PYENV_ROOT" in os.environ:  # pyenv's shims start only the versions that are switched on; its own first
    installed = [path.name for path in Path(os.environ["PYENV_ROOT"], "versions").glob("3.1[0-3].*")]
    installed.sort(key=lambda version: version != platform.python_version())
    os.environ.setdefault("PYENV_VERSION", ":".join(installed) or "system")

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]
FUZZ_SECONDS = 60
MUTANTS = ("--own", "--sample", "400", "--at-least", "90")
REPORT = ("--show-missing", "--skip-covered", "--fail-under=100")

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.error_on_missing_interpreters = False


def install(session: nox.Session, *groups: str) -> None:
    session.install(".", *nox.project.dependency_groups(PROJECT, *groups))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The whole suite as the current user; arguments after -- go to pytest."""
    install(session, "test")
    session.run("python", "-m", "pytest", "--no-skips", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    install(session, "dev")
    session.run("mypy")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Each target for FUZZ_SECONDS, or for as many seconds as the argument after -- says."""
    install(session, "fuzz")
    seconds = session.posargs[0] if session.posargs else str(FUZZ_SECONDS)
    for target in sorted(Path("fuzz").glob("fuzz_*.py")):
        session.run("python", str(target), seconds)


@nox.session
def autobahn(session: nox.Session) -> None:
    """Every case of the Autobahn test suite through the relay, in both roles: up to an hour."""
    install(session, "test")
    session.env["AUTOBAHN_WHOLE"] = "true"
    options = ("-q", "-o", "faulthandler_timeout=0")  # a group of cases takes longer than a test may
    session.run("python", "-m", "pytest", *options, "tests/programs/test_autobahn.py", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Changes one thing at a time in policy/, by sample; arguments after -- go to fuzz/mutants.py."""
    install(session, "test")
    session.run("python", "fuzz/mutants.py", *(session.posargs or MUTANTS))


@nox.session
def coverage(session: nox.Session) -> None:
    """Every branch of policy/ is run by the tests of policy/."""
    install(session, "test")
    session.run("coverage", "run", "-m", "pytest", "-q", "tests/policy")
    session.run("coverage", "report", "--include=*/trio_egress/policy/*", *REPORT)
