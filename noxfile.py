"""The same checks as `./check`, one at a time and on each Python: `nox -l` lists them.

Interpreters are found, never downloaded; where one is missing its session is skipped with a word. Backend: uv or pip.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import shutil
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
def integrations(session: nox.Session) -> None:
    """Every adapter against the newest package of its framework; arguments after -- go to pytest."""
    extras = "autogen,claude,deepagents,inspect,mcp,openai-agents,pydantic-ai,smolagents"
    session.install(f".[{extras}]", *nox.project.dependency_groups(PROJECT, "integrations"))
    session.env["WITH_FRAMEWORKS"] = "true"
    session.run(
        "python", "-m", "pytest", "--no-skips", "-o", "trio_mode=false", "tests/frameworks", *session.posargs
    )


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
def docs(session: nox.Session) -> None:
    """The site, in build/docs: README and docs/ as they lie here. A link or anchor that leads nowhere ends it."""
    session.install(*nox.project.dependency_groups(PROJECT, "docs"))
    place = Path(session.create_tmp()).resolve()
    shutil.rmtree(place / "pages", ignore_errors=True)
    for folder in ("docs", "examples"):
        shutil.copytree(folder, place / "pages" / folder)
    for page in Path().glob("*.md"):
        shutil.copy(page, place / "pages")
    shutil.rmtree(place / "src", ignore_errors=True)
    shutil.copytree("src", place / "src")  # whose docstrings docs/api.md shows
    shutil.copy("mkdocs.yml", place)
    site = Path("build/docs").resolve()
    build = ("mkdocs", "build", "--config-file", str(place / "mkdocs.yml"), "--site-dir", str(site))
    session.run(*build, env={"NO_MKDOCS_2_WARNING": "true"})
    for page in site.rglob("*.html"):
        if loaded := re.findall(r"<(?:script|link|img|iframe)[^>]+https?://[^>]*>", page.read_text("utf-8")):
            session.error(f"{page} loads from elsewhere: {loaded[0]}")
    session.log(f"{site}/index.html")


@nox.session
def release(session: nox.Session) -> None:
    """Wheel, sdist and SBOM of the last commit in dist/; refused where a second build differs. Publishes nothing."""
    session.install(*nox.project.dependency_groups(PROJECT, "release"))
    place = Path(session.create_tmp()).resolve()
    first, second = (build_commit(session, place / name) for name in ("one", "two"))
    for path in first.iterdir():
        if path.read_bytes() != (second / path.name).read_bytes():
            session.error(f"{path.name} differs from build to build")
    shutil.rmtree("dist", ignore_errors=True)
    shutil.copytree(first, "dist")
    (wheel,) = Path("dist").resolve().glob("*.whl")
    session.run("python", "-m", "venv", "--clear", "--without-pip", str(place / "clean"))
    python = str(place / "clean/bin/python")
    session.run("python", "-m", "pip", "--quiet", "--python", python, "install", str(wheel))
    about = ("--pyproject", "pyproject.toml", "--mc-type", "application", "--output-reproducible")
    session.run("cyclonedx-py", "environment", *about, "--output-file", "dist/sbom.cdx.json", python)
    session.log(f"{wheel.parent}: {', '.join(sorted(path.name for path in wheel.parent.iterdir()))}")


@nox.session(python=False)
def changelog(session: nox.Session) -> None:
    """CHANGELOG.md with the fragments of changes/ under the version that is the argument after --, of today."""
    if len(session.posargs) != 1:
        session.error("give the version: nox -s changelog -- 0.1.0")
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    session.run("python", "changes/collect.py", session.posargs[0], today)


def build_commit(session: nox.Session, place: Path) -> Path:
    """The directory with wheel and sdist of the last commit, dated as that is."""
    shutil.rmtree(place, ignore_errors=True)
    epoch = session.run("git", "log", "-1", "--format=%ct", external=True, silent=True)
    session.run("git", "clone", "--quiet", ".", str(place / "tree"), external=True)
    into = ("--outdir", str(place / "dist"), str(place / "tree"))
    session.run("python", "-m", "build", *into, env={"SOURCE_DATE_EPOCH": str(epoch).strip()})
    return place / "dist"


@nox.session
def fuzz(session: nox.Session) -> None:
    """Each target for FUZZ_SECONDS, or for as many seconds as the argument after -- says."""
    install(session, "fuzz")
    seconds = session.posargs[0] if session.posargs else str(FUZZ_SECONDS)
    for target in sorted(Path("fuzz").glob("fuzz_*.py")):
        session.run("python", str(target), seconds)


@nox.session
def autobahn(session: nox.Session) -> None:
    """Every case of the Autobahn test suite through the relay, in both roles: half an hour."""
    install(session, "test")
    session.env["AUTOBAHN_WHOLE"] = "true"
    options = ("-q", "-o", "faulthandler_timeout=0")  # a group of cases takes longer than a test may
    session.run("python", "-m", "pytest", *options, "tests/programs/test_autobahn.py", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """An hour of everything at once, which ends by itself; arguments after -- go to bench/soak.py."""
    install(session, "test")
    session.run("python", "-m", "bench.soak", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """What security costs, beside the peers that can be had; arguments after -- go to `python -m bench`."""
    install(session, "test")
    session.run("python", "-m", "bench", *session.posargs)


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
