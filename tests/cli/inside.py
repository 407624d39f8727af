"""The command line called in this process: as a program of its own it says the same, and takes ten times as long."""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

import attrs

from trio_egress.cli.main import main


@attrs.frozen
class Called:
    returncode: int
    stdout: str
    stderr: str


def call(*arguments: object, cwd: Path, **environment: str) -> Called:
    """`trio-egress ARGUMENTS` in this directory, with `environment` added."""
    out, err = io.StringIO(), io.StringIO()
    before, variables = Path.cwd(), {name: os.environ.get(name) for name in environment}
    os.chdir(cwd)
    os.environ.update(environment)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([*map(str, arguments)])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    finally:
        os.chdir(before)
        for name, value in variables.items():
            os.environ.pop(name)
            os.environ.update({} if value is None else {name: value})
    return Called(code, out.getvalue(), err.getvalue())
