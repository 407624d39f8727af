"""The attempts in an evidence file, as the receipts tell them, for whoever learns from what was seen.

Checks nothing: `verify` does. What a line does not say, or says in another form, is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs

from trio_egress.errors import EvidenceError
from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.facts import EXT_NAME
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.line import Line, read_line


@attrs.frozen
class Told:
    """One receipt of an attempt, `count` of them where it sums them up. `observed`: allowed, and against the policy."""

    host: str
    port: int
    protocol: str
    method: str
    allowed: bool
    observed: bool
    reason: str
    count: int


def read_attempts(path: Path) -> Iterator[Told]:
    """Those of a packet's directory, or of an evidence file, in order. Raises EvidenceError where it can't be read."""
    file = path / EVIDENCE_NAME if path.is_dir() else path
    try:
        with file.open("rb") as stream:
            while raw := stream.readline(LINE_BYTES):
                line = read_line(raw.rstrip(b"\n"))
                if isinstance(line, Line) and (told := _read(line)) is not None:
                    yield told
    except OSError as error:
        raise EvidenceError(f"cannot read {file}: {error.strerror}") from None


def _read(line: Line) -> Told | None:
    record = line.record
    facts = (line.ext or {}).get(EXT_NAME)
    if (
        not isinstance(facts, dict)
        or "session_control" in record
        or record.get("decision_phase") == "outcome"
    ):
        return None
    host, port, protocol = facts.get("host"), facts.get("port"), facts.get("proto")
    if not isinstance(host, str) or type(port) is not int or not isinstance(protocol, str):
        return None
    count = facts.get("count", 1)
    return Told(
        host=host,
        port=port,
        protocol=protocol,
        method=str(record.get("method", "")),
        allowed=record.get("verdict") == "allow",
        observed=record.get("layer") == "observe",
        reason=str(facts.get("reason", "")),
        count=count if type(count) is int and count > 0 else 1,
    )
