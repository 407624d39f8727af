"""Made-up tokens with a rule file of their own, git repositories, and the command as a person meets it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import attrs
import pytest

from trio_egress.cli.main import main

RULES = Path(__file__).with_name("made-up.toml")

PREFIX = "mu" + "_"
HINT = "hint" + "_"


def token(number: int, prefix: str = PREFIX) -> str:
    """One of many, each of another value, at no place in this repository."""
    return prefix + hashlib.sha256(b"%d" % number).hexdigest()[:24]


@attrs.frozen
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document

    @property
    def places(self) -> list[tuple[str, int, int, str]]:
        """Of findings that count: path, line, column, detector."""
        return [
            (each["path"], each["line"], each["column"], each["detector"])
            for each in self.document["findings"]
            if each["state"] == "new"
        ]


def scan(place: Path, *arguments: str, text: bytes = b"", environment: dict[str, str] | None = None) -> Ran:
    """`trio-egress scan` there, with the made-up rules, in this process."""
    return run(place, "scan", "--rules", str(RULES), *arguments, text=text, environment=environment)


def run(place: Path, *arguments: str, text: bytes = b"", environment: dict[str, str] | None = None) -> Ran:
    """`trio-egress` with these arguments, there and in this process."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITHUB_"))}
    out, err = io.StringIO(), io.StringIO()
    here = os.getcwd()
    with pytest.MonkeyPatch.context() as changed, redirect_stdout(out), redirect_stderr(err):
        changed.setattr(os, "environ", {**given, **(environment or {})})
        changed.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        os.chdir(place)
        try:
            code = main(list(arguments))
        except SystemExit as error:
            code = int(error.code or 0)
        finally:
            os.chdir(here)
    return Ran(code, out.getvalue(), err.getvalue())


def scan_apart(place: Path, *arguments: str, before: Callable[[], None] | None = None) -> Ran:
    """The same in a process of its own."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITHUB_"))}
    ran = subprocess.run(
        [sys.executable, "-m", "trio_egress", "scan", "--rules", str(RULES), *arguments],
        cwd=place,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=given,
        preexec_fn=before,
        timeout=300,
        check=False,
    )
    told = Ran(ran.returncode, ran.stdout.decode(), ran.stderr.decode())
    assert "Traceback" not in told.err, told.err
    return told


def git(place: Path, *arguments: str) -> str:
    """git by its settings alone, and nobody's name."""
    settings = ("user.name=Nobody", "user.email=nobody@example.com", "commit.gpgsign=false", "gc.auto=0")
    given = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    ran = subprocess.run(
        ["git", *(part for setting in settings for part in ("-c", setting)), *arguments],
        cwd=place,
        capture_output=True,
        env={**given, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"},
        check=True,
    )
    return ran.stdout.decode()


def make_repository(place: Path, files: dict[str, str | bytes]) -> Path:
    """One commit with these files."""
    place.mkdir(exist_ok=True)
    git(place, "init", "-q", "-b", "main")
    write(place, files)
    commit(place)
    return place


def commit(place: Path) -> None:
    git(place, "add", "-A")
    git(place, "commit", "-q", "--allow-empty", "-m", "more")


def write(place: Path, files: dict[str, str | bytes]) -> None:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(text.encode() if isinstance(text, str) else text)
