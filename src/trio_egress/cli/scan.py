"""`trio-egress scan`: files, a change or standard input looked through, findings out, an exit status.

Rule 1: what could not be looked through is said, and is no clean bill: 2, unless something was found.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trio_egress.cli.plain_file import open_output
from trio_egress.errors import PolicyError, UsageError
from trio_egress.model import Action
from trio_egress.static.annotations import render_annotations
from trio_egress.static.baseline import Baseline, read_baseline, write_baseline
from trio_egress.static.change import open_staged, open_tree
from trio_egress.static.choose import (
    OpenScanner,
    decide_by,
    decide_by_detector,
    make_scanner,
    read_rule_file,
    read_rules_of,
)
from trio_egress.static.diff import read_diff
from trio_egress.static.document import render_document
from trio_egress.static.excerpt import escape_name
from trio_egress.static.git import GitError, Repository, find_git, find_top
from trio_egress.static.outcome import Decide, Outcome, State
from trio_egress.static.sarif import render_sarif
from trio_egress.static.scan import Scan
from trio_egress.static.source import PIECE_BYTES, Source, Unread
from trio_egress.static.text import render_text
from trio_egress.static.walk import Walk

if TYPE_CHECKING:
    from trio_egress.policy.rule import Policy

STDIN = "-"
STDIN_SHOWN = "<stdin>"


def main(options: argparse.Namespace) -> int:
    """0 nothing, 1 findings, 2 could not look, 64 usage."""
    outcome = Outcome()
    try:
        known = read_baseline(options.baseline) if options.baseline else Baseline()
        files = [read_rule_file(place) for place in options.rules]
        decide: Decide = decide_by_detector
        if options.policy:
            policy = _read_policy(options.policy)
            files = [*read_rules_of(policy), *files]
            decide = decide_by(policy, time.time_ns() // 1000)
        scanner, warnings = make_scanner(files, _find_opener())
        for warning in warnings:
            print(warning, file=sys.stderr)
        comments = not options.no_allow_comments
        scan = Scan(scanner, decide, known, comments=comments, archives=options.archives)
        scan.run(_open_sources(options, outcome), outcome)
        return _report(options, outcome, known)
    except UsageError as error:
        print(f"trio-egress scan: {error}", file=sys.stderr)
        return 64 if _is_usage(error) else 2
    except PolicyError as error:
        print(error, file=sys.stderr)
        return 2


def _find_opener() -> OpenScanner:
    """Compiled detectors are kept between scans, where a cache can be told to be this user's alone."""
    try:
        from trio_egress.runtime.scan_cache import open_scanner
    except ImportError:  # Windows has no `pwd`
        from trio_egress.content.scanner import Scanner

        return Scanner
    return open_scanner


def _read_policy(place: str) -> Policy:
    from trio_egress.runtime.policy_file import read_policy

    return read_policy(Path(place))[1]


def _is_usage(error: UsageError) -> bool:
    return isinstance(error, _Usage)


class _Usage(UsageError):
    """The arguments contradict each other."""


def _open_sources(options: argparse.Namespace, outcome: Outcome) -> Iterator[Source | Unread]:
    here = os.path.realpath(os.getcwd())
    top = find_top(here)
    paths: list[str] = options.paths or ["."]
    walk = Walk(top or here, tuple(options.exclude), ignored=options.ignored, note=outcome.notes.append)
    if options.diff == STDIN:
        if options.paths:
            raise _Usage("--diff - takes no PATH: leave it out, or give --diff a commit")
        return _open_diff(walk)
    if options.diff is not None or options.staged:
        if STDIN in paths:
            raise _Usage("standard input is no change: pipe a unified diff into `--diff -`")
        return _open_change(options, walk, top)
    if STDIN in paths:
        if len(paths) > 1:
            raise _Usage("standard input is looked through alone: leave the other PATHs out")
        return iter([Source(STDIN_SHOWN, _read_stdin())])
    return walk.open_paths(paths)


def _open_diff(walk: Walk) -> Iterator[Source | Unread]:
    for hunk in read_diff(_read_stdin()):
        if not walk.is_excluded(hunk.path):
            yield Source(hunk.path, [hunk.text], first_line=hunk.first_line, added=hunk.added, whole=False)


def _open_change(options: argparse.Namespace, walk: Walk, top: str | None) -> Iterator[Source | Unread]:
    if top is None:
        raise GitError(f"{os.getcwd()} is in no git repository, and has no changes")
    program = find_git()
    if program is None:
        raise GitError("git is not installed: pipe a unified diff into `--diff -`, or scan files")
    walk.limit(options.paths)
    if options.staged:
        repository = Repository(program, top, committing=True)
        return open_staged(repository, walk, repository.find_head())
    repository = Repository(program, top)
    return open_tree(repository, walk, repository.find_base(options.diff))


def _read_stdin() -> Iterator[bytes]:
    while piece := sys.stdin.buffer.read(PIECE_BYTES):
        yield piece


def _report(options: argparse.Namespace, outcome: Outcome, known: Baseline) -> int:
    for note in outcome.notes:
        print(f"trio-egress scan: {note}", file=sys.stderr)
    for unread in outcome.unread:
        print(
            f"trio-egress scan: {escape_name(unread.path)} was not looked through: {unread.reason}",
            file=sys.stderr,
        )
    for entry in outcome.stale:
        place = escape_name(entry.path)
        print(
            f"trio-egress scan: the baseline knows of {entry.detector} in {place}, where it no longer is",
            file=sys.stderr,
        )
    if options.sarif:
        _write_sarif(options.sarif, outcome)
    _print(options, outcome)
    if options.write_baseline:
        hits = [told.hit for told in outcome.told if told.state is not State.ALLOWED]
        count = write_baseline(options.write_baseline, hits, known)
        print(f"{options.write_baseline}: {count} {'entry' if count == 1 else 'entries'}", file=sys.stderr)
        return 2 if outcome.unread else 0
    if outcome.fails(Action(options.fail_on)):
        return 1
    return 2 if outcome.unread else 0


def _print(options: argparse.Namespace, outcome: Outcome) -> None:
    annotated = options.github or os.environ.get("GITHUB_ACTIONS") == "true"
    if options.json:
        print(render_document(outcome))
    else:
        for line in render_text(outcome, quiet=options.quiet):
            print(line)
    if annotated and (options.github or not options.json):
        # The runner reads commands from both streams; a document stays one.
        for line in render_annotations(outcome):
            print(line, file=sys.stderr if options.json else sys.stdout)


def _write_sarif(place: str, outcome: Outcome) -> None:
    try:
        with open(open_output(place), "w", encoding="utf-8") as file:
            file.writelines(render_sarif(outcome))
    except OSError as error:
        raise UsageError(f"cannot write {place}: {error.strerror}") from None
