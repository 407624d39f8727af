"""`trio-egress packet ls`: the runs in directories of packets, a line each."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from trio_egress.cli.packet.places import AUDIT_DIRECTORY
from trio_egress.errors import EvidenceError, UsageError
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.receipt import parse_timestamp
from trio_egress.views.catalogue import Entry, find_packets, read_entry

NOT_VERIFIED = "nothing was verified: the last column is what each packet says of itself; --verify looks"
_HEAD = ("PACKET", "STARTED", "EXIT", "ALLOWED", "DENIED")
_NUMBERS = range(2, 5)
_SECONDS = 19


def main(options: argparse.Namespace) -> int:
    """0 listed; 1 there is none, or with --verify one that is not valid; 2 one can't be read; 64 usage."""
    try:
        paths = [packet for given in options.directories or _choose() for packet in find_packets(Path(given))]
        entries, failed = _read_all(paths)
        verdicts = [_verify(entry, options.public_key) if options.verify else "" for entry in entries]
    except UsageError as error:
        print(f"trio-egress packet ls: {error}", file=sys.stderr)
        return 64
    except EvidenceError as error:
        print(f"trio-egress packet ls: {escape_text(str(error))}", file=sys.stderr)
        return 2
    _print(entries, verdicts, as_json=options.json)
    if failed:
        return 2
    return 1 if not entries or set(verdicts) - {"valid", ""} else 0


def _choose() -> list[str]:
    """Where runs leave their packets, when one stands above it."""
    return [AUDIT_DIRECTORY] if os.path.isdir(AUDIT_DIRECTORY) and not find_packets(Path()) else ["."]


def _verify(entry: Entry, keys: Sequence[str]) -> str:
    from trio_egress.review import review

    return review(entry.path, keys).verdict.value


def _read_all(paths: Sequence[Path]) -> tuple[list[Entry], bool]:
    """Those that can be read, the oldest first, and whether one could not: what of it is told on standard error."""
    entries, failed = [], False
    for path in paths:
        try:
            entries.append(read_entry(path))
        except EvidenceError as error:
            print(f"trio-egress packet ls: {escape_text(str(error))}", file=sys.stderr)
            failed = True
    return sorted(
        entries, key=lambda entry: (parse_timestamp(entry.started_at) or 0, str(entry.path))
    ), failed


def _print(entries: Sequence[Entry], verdicts: Sequence[str], *, as_json: bool) -> None:
    """`verdicts` are empty texts where nothing was verified."""
    verified = any(verdicts)
    paired = [*zip(entries, verdicts, strict=True)]
    if as_json:
        told = [
            {**attrs.asdict(entry), "path": str(entry.path), "verdict": verdict or None}
            for entry, verdict in paired
        ]
        print(json.dumps(told, indent=2))
        return
    if not entries:
        print("no packet", file=sys.stderr)
        return
    head = (*_HEAD, "VERDICT" if verified else "SAYS")
    for line in _align([head, *(_render_row(entry, verdict) for entry, verdict in paired)]):
        print(line)
    if not verified:
        print(NOT_VERIFIED, file=sys.stderr)


def _align(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if column in _NUMBERS else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _render_row(entry: Entry, verdict: str) -> tuple[str, ...]:
    code = "" if entry.agent_exit_code is None else str(entry.agent_exit_code)
    started = f"{entry.started_at[:_SECONDS]}Z" if entry.started_at else ""
    return (
        escape_text(str(entry.path)),
        started,
        code,
        str(entry.allowed),
        str(entry.denied),
        verdict or entry.says,
    )
