"""`trio-egress packet diff`: two runs, compared by what they did."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from trio_egress.errors import EvidenceError
from trio_egress.evidence.facts import escape_text
from trio_egress.views.compare import Change, Run, Subject, compare, read_run

NOT_VERIFIED = "compared, not verified: `trio-egress verify` says what each is worth"
_SHORT = 19
"""As much of a hash as tells two apart: `sha256:` and 12 digits."""


def main(options: argparse.Namespace) -> int:
    """0 no difference; 1 one; 2 one of them can't be read."""
    try:
        old, new = read_run(Path(options.old)), read_run(Path(options.new))
    except EvidenceError as error:
        print(f"trio-egress packet diff: {escape_text(str(error))}", file=sys.stderr)
        return 2
    changes = [change for change in compare(old, new) if change.subject.value not in options.ignore]
    if options.json:
        print(json.dumps(_describe(old, new, changes), indent=2))
    else:
        for line in _render(old, new, changes):
            print(line)
        print(NOT_VERIFIED, file=sys.stderr)
    return 1 if changes else 0


def _describe(old: Run, new: Run, changes: Sequence[Change]) -> dict[str, object]:
    runs = [{"run_id": run.run_id, "started_at": run.started_at} for run in (old, new)]
    return {
        "old": runs[0],
        "new": runs[1],
        "changes": [{**attrs.asdict(change), "subject": change.subject.value} for change in changes],
    }


def _render(old: Run, new: Run, changes: Sequence[Change]) -> list[str]:
    lines = [f"old  {old.run_id}  {old.started_at}", f"new  {new.run_id}  {new.started_at}"]
    lines += [_render_change(change) for change in changes]
    return lines if changes else [*lines, "no difference"]


def _render_change(change: Change) -> str:
    match change.subject, change.old, change.new:
        case Subject.PLACES, None, counts:
            return f"+ {change.what}  {_say_counts(counts)}"
        case Subject.PLACES, counts, _:
            return f"- {change.what}  {_say_counts(counts)}"
        case Subject.COMMAND, list() as gone, list() as come:
            said = [*(f"-{name}" for name in gone), *(f"+{name}" for name in come)]
            return f"~ {change.what}  {' '.join(said)}"
        case Subject.DENIALS, list() as gone, list() as come:
            said = [
                *(f"no longer denied: {what}" for what in gone),
                *(f"denied now: {what}" for what in come),
            ]
            return f"~ {change.what}  {'; '.join(said)}"
        case Subject.FINDINGS, list() as gone, list() as come:
            said = [*(f"no longer found: {what}" for what in gone), *(f"found now: {what}" for what in come)]
            return f"~ {change.what}  {'; '.join(said)}"
        case Subject.COUNTS | Subject.BYTES, Mapping() as before, Mapping() as after:
            said = [
                f"{name} {before[name]} -> {after[name]}" for name in before if before[name] != after[name]
            ]
            bytes_ = "bytes " if change.subject is Subject.BYTES else ""
            return f"~ {change.what}  {bytes_}{', '.join(said)}"
    subject = change.subject.value
    what = change.what if change.what.startswith(subject) else f"{subject}: {change.what}"
    return f"~ {what}  {_say(change.old)} -> {_say(change.new)}"


def _say_counts(counts: object) -> str:
    assert isinstance(counts, Mapping)
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "nothing"


def _say(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(item)[:_SHORT] for item in value) or "none"
    return "nothing" if value is None else str(value)
