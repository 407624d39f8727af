"""`trio-egress policy fmt`: policies in the usual layout, in place."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from trio_egress.errors import PolicyError, UsageError
from trio_egress.policy.part import YAML_ENDINGS
from trio_egress.runtime.policy_file import find_policy, read_policy


def main(options: argparse.Namespace) -> int:
    """0 laid out; 1 with --check, it is not, or it is no policy; 2 a file could not be read or written."""
    answers = [_lay_out(given, check=options.check) for given in options.files or [None]]
    if options.json:
        print(json.dumps([{"file": file, "state": state} for file, state in answers], indent=2))
    return max([_CODES[state] for _, state in answers])


_CODES = {"unchanged": 0, "laid_out": 0, "to_lay_out": 1, "no_policy": 1, "error": 2}


def _lay_out(given: str | None, *, check: bool) -> tuple[str, str]:
    """The file, and what came of it: a key of _CODES. What a person should know is told on standard error."""
    file = given or ""
    try:
        path = find_policy(given, os.environ)
        file = str(path)
        text, _ = read_policy(path)
        laid_out = _find_layout(path)(text, file)
        if laid_out == text:
            return file, "unchanged"
        if check:
            print(f"{path}: not laid out; `trio-egress policy fmt {path}` does it", file=sys.stderr)
            return file, "to_lay_out"
        _replace(path, laid_out)
    except PolicyError as error:
        print(error, file=sys.stderr)
        return file, "no_policy"
    except UsageError as error:
        print(f"trio-egress policy fmt: {error}", file=sys.stderr)
        return file, "error"
    print(f"{path}: laid out", file=sys.stderr)
    return file, "laid_out"


def _find_layout(path: Path) -> Callable[[str, str], str]:
    if not path.name.lower().endswith(YAML_ENDINGS):
        from trio_egress.policy.format import format_policy

        return format_policy
    from trio_egress.policy.format_yaml import format_yaml

    return format_yaml


def _replace(path: Path, text: str) -> None:
    """Whole or not at all, and a link stays one."""
    real = path.resolve()
    beside = real.with_name(f".{real.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.chmod(real.stat().st_mode & 0o7777)
        beside.replace(real)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
