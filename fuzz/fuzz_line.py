"""Bytes are a receipt whose only stored bytes these are, or come back as misfits; replaying them never raises."""

from __future__ import annotations

import hashlib
import json

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.evidence.findings import CODES, Findings
    from trio_egress.evidence.line import Line, read_line
    from trio_egress.evidence.replay import Replay


def check(raw: bytes) -> None:
    line = read_line(raw)
    misfits = line.misfits if isinstance(line, Line) else line
    assert all(misfit.code in CODES for misfit in misfits)
    if isinstance(line, Line) and not misfits:
        check_spelling(raw, line)
    findings = Findings()
    replay = Replay(findings, "evidence.jsonl")
    for part in raw.split(b"\n"):
        replay.feed(part)
    replay.feed_torn(raw)
    assert all(finding.message.isascii() for finding in findings.kept)


def check_spelling(raw: bytes, line: Line) -> None:
    """By another road: Python's own dump, and Go's escapes put in by hand."""
    receipt = json.loads(raw)
    stored = json.dumps(receipt, separators=(",", ":"))
    canonical = json.dumps(receipt["action_record"], separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        stored = stored.replace(character, f"\\u{ord(character):04x}")
        canonical = canonical.replace(character, f"\\u{ord(character):04x}")
    assert raw == stored.encode()
    assert line.digest == hashlib.sha256(canonical.encode()).digest()


fuzz(check, "line")
