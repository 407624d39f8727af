"""`trio-egress packet export`: a packet in another program's format, with what the verifier says of it."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

from trio_egress.errors import EvidenceError, UsageError
from trio_egress.evidence.facts import escape_text
from trio_egress.review import review
from trio_egress.views.picture import Picture, take_picture

ROOTS = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR")
"""Where a CI says that the repository is (GitHub, GitLab)."""

Render = Callable[[Picture], Iterator[str]]


def main(options: argparse.Namespace) -> int:
    """The verifier's exit code: 0 valid, 1 invalid, 2 could not run, 3 not proven, 64 usage."""
    path = Path(options.packet)
    try:
        report = review(
            path,
            options.public_key,
            policy_hash=options.policy_hash,
            expect_run=options.expect_run,
            expect_head=options.expect_head,
        )
        picture = take_picture(path, report, find_root(options.source_root, os.environ))
        render: Render = getattr(
            import_module(f"trio_egress.views.{options.format}"), f"render_{options.format}"
        )
        _write(render(picture), options.output)
    except UsageError as error:
        print(f"trio-egress packet export: {error}", file=sys.stderr)
        return 64
    except EvidenceError as error:
        print(f"trio-egress packet export: {escape_text(str(error))}", file=sys.stderr)
        return 2
    if picture.warning:
        print(f"trio-egress packet export: {picture.warning}", file=sys.stderr)
        for said in (report.error, *(f"[{finding.code}] {finding.message}" for finding in report.findings)):
            print(f"  {said}", file=sys.stderr) if said else None
    return report.exit_code


def find_root(given: str | None, environment: Mapping[str, str]) -> Path:
    """The repository that paths are given from."""
    return Path(given or next((environment[name] for name in ROOTS if environment.get(name)), "."))


def _write(pieces: Iterator[str], output: str | None) -> None:
    if output is None:
        sys.stdout.writelines(pieces)
        return
    try:
        with open(output, "x", encoding="ascii", newline="\n") as file:
            try:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                os.unlink(output)
                raise
    except FileExistsError:
        raise EvidenceError(f"{output} is already there; nothing is written over") from None
    except OSError as error:
        raise EvidenceError(f"cannot write {output}: {error.strerror}") from None
