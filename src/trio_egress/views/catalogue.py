"""A directory of packets as a list: when each run was, how its agent ended, what was allowed and denied.

Looks for words in the lines and at what packet.json says of itself, and checks nothing: that is quick, and no proof.

Rule 1: every text is printable ASCII and bounded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from trio_egress.errors import EvidenceError
from trio_egress.evidence.attempts import Told, tell
from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.container import Folder, Packet, find_packet
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.session import INTERCEPTED
from trio_egress.values import frozen
from trio_egress.views.source import read_claim, read_claims

CHARS = 128
_INTENT = b'"decision_phase":"intent"'
_BLOCK = b'"verdict":"block"'
_PARENT = b'"parent_action_id":'
"""Of a receipt of findings: the outcome of its attempt counts."""

_INTERCEPTED = f'"tls":"{INTERCEPTED}"'.encode()
"""A text in a line can't hold these: its quotes would be escaped."""


@frozen
class Entry:
    """One packet. `says`: the verdict that its packet.json claims, or how far the run got where there is none."""

    path: Path
    run_id: str
    started_at: str
    ended_at: str
    agent_exit_code: int | None
    allowed: int
    denied: int
    says: str


def find_packets(path: Path) -> list[Path]:
    """The packet at `path`, zips too, or those in the directory, by name. Raises EvidenceError where it is neither."""
    if _is_packet(path):
        return [path]
    try:
        return [path / name for name in sorted(os.listdir(path)) if _is_packet(path / name)]
    except OSError as error:
        raise EvidenceError(f"cannot read {path}: {error.strerror}") from None


def _is_packet(path: Path) -> bool:
    packet = find_packet(path)
    return packet is not None and EVIDENCE_NAME in packet


def read_entry(path: Path) -> Entry:
    """Raises EvidenceError where the evidence can't be read."""
    first = last = b""
    allowed = denied = 0
    packet = find_packet(path) or Folder(path)
    for raw in _read_lines(packet, path):
        first, last = first or raw, raw
        allowed += _INTENT in raw and _INTERCEPTED not in raw
        denied += _BLOCK in raw and _PARENT not in raw
    opened, ended = tell(first, 1), tell(last, 1)
    claims = read_claims(packet)
    verdict, code = read_claim(claims, "verifier", "verdict"), read_claim(claims, "run", "agent_exit_code")
    return Entry(
        path=path,
        run_id=opened.word("session_id")[:CHARS] if opened else "",
        started_at=opened.time[:CHARS] if opened else "",
        ended_at=ended.time[:CHARS] if ended else "",
        agent_exit_code=code if type(code) is int else None,
        allowed=allowed,
        denied=denied,
        says=escape_text(verdict, CHARS) if isinstance(verdict, str) else _say_how_far(ended),
    )


def _say_how_far(ended: Told | None) -> str:
    if ended is None:
        return "nothing recorded"
    return "closed, no packet.json" if ended.step == "session_close" else "not closed"


def _read_lines(packet: Packet, path: Path) -> Iterator[bytes]:
    """Whole lines without their LF; a torn one and one that is too long are left out."""
    with packet.open(EVIDENCE_NAME) as stream:
        try:
            while raw := stream.readline(LINE_BYTES):
                if raw.endswith(b"\n"):
                    yield raw[:-1]
        except OSError as error:
            raise EvidenceError(f"cannot read {path}: {error.strerror or error}") from None
