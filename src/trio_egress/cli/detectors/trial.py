"""`trio-egress detectors test`: what is found in a text, and where; values in their first characters alone."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence

from trio_egress.cli.detectors.rules import read_detectors
from trio_egress.content.detector import Finding, Way
from trio_egress.content.fingerprint import fingerprint
from trio_egress.content.matcher import Matcher
from trio_egress.content.re2_matcher import Re2Matcher
from trio_egress.content.scanner import Scanner
from trio_egress.errors import PolicyError, UsageError

SHOWN_CHARS = 4
"""Of a value of at least three times as many; they are its prefix, or what it is recognised by."""


def main(options: argparse.Namespace) -> int:
    """0 nothing found; 1 something; 2 a rule file can't be read, or has an error."""
    try:
        scanner = Scanner(read_detectors(options.rules, options.kind), engine=_open_re2)
    except PolicyError as error:
        print(error, file=sys.stderr)
        return 2
    except UsageError as error:
        print(f"trio-egress detectors test: {error}", file=sys.stderr)
        return 2
    text = sys.stdin.buffer.read() if options.text == "-" else options.text.encode(errors="surrogateescape")
    found = _find(scanner, text, options.way)
    if options.json:
        print(json.dumps([_render(finding, text) for finding in found], indent=2))
    else:
        for finding in found:
            print(_tell(finding, text))
        if not found:
            print("nothing found")
    return 1 if found else 0


def _open_re2(patterns: Sequence[str], database: bytes = b"") -> Matcher:
    """For one text: it finds the same, and is there at once."""
    return Re2Matcher(patterns)


def _find(scanner: Scanner, text: bytes, way: str | None) -> list[Finding]:
    ways: Iterable[Way] = (Way.OUT, Way.IN) if way is None else (Way[way.upper()],)
    found = {
        (finding.start, finding.end, finding.detector.name, finding.via): finding
        for each in ways
        for finding in scanner.scan(text, each)
    }
    return [found[key] for key in sorted(found, key=lambda key: key[:3])]


def _tell(finding: Finding, text: bytes) -> str:
    line, column = _count_place(text, finding.start)
    detector = finding.detector
    via = f", as {', '.join(finding.via)}" if finding.via else ""
    return (
        f"{line}:{column}: {detector.name} ({detector.action.value}): {detector.description}\n"
        f"    {shorten(finding.value)}, {len(finding.value)} bytes{via}\n"
        f"    {fingerprint(detector.name, finding.value)}"
    )


def _render(finding: Finding, text: bytes) -> dict[str, object]:
    line, column = _count_place(text, finding.start)
    return {
        "detector": finding.detector.name,
        "kind": finding.detector.kind.value,
        "action": finding.detector.action.value,
        "severity": finding.detector.severity.value,
        "start": finding.start,
        "end": finding.end,
        "line": line,
        "column": column,
        "via": list(finding.via),
        "shown": shorten(finding.value),
        "bytes": len(finding.value),
        "fingerprint": fingerprint(finding.detector.name, finding.value),
    }


def shorten(value: bytes) -> str:
    """The first characters of a value, fit for a terminal; none of one so short that they would tell it."""
    shown = value[:SHOWN_CHARS] if len(value) >= 3 * SHOWN_CHARS else b""
    return "".join(chr(byte) if 32 < byte < 127 else "." for byte in shown) + "…"


def _count_place(text: bytes, offset: int) -> tuple[int, int]:
    """From 1; a column is a byte."""
    return text.count(b"\n", 0, offset) + 1, offset - text.rfind(b"\n", 0, offset)
