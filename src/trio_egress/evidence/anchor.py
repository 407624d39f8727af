"""Anchors: one line for each state that a log was in, for a file that stands elsewhere than the evidence.

Pure. A line is JSON: `log`, `root`, `size` and `time`, sorted, compact, ASCII; a file may hold the lines of many runs.

Rule 1: an anchor is not signed: it is worth what the place is worth where it was kept.
Rule 2: what says no state (what a crash left of another run's line) is passed over: it could as well be missing.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator

from trio_egress.evidence.canonical import parse_json
from trio_egress.evidence.checkpoint import NUMBER, Checkpoint
from trio_egress.evidence.receipt import render_timestamp
from trio_egress.values import frozen

_ROOT = re.compile(r"[0-9a-f]{64}")


@frozen
class Anchor:
    """A log's state at a time (Unix nanoseconds), and the hash of its newest receipt."""

    state: Checkpoint
    head: str
    now_ns: int


def render_anchor(anchor: Anchor) -> bytes:
    """The line, with its LF."""
    state = anchor.state
    value = {
        "log": state.origin,
        "root": state.root.hex(),
        "size": state.size,
        "time": render_timestamp(anchor.now_ns),
    }
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def parse_anchors(raw: bytes) -> Iterator[tuple[int, Checkpoint]]:
    """Number, from 1, and state of each line that says one."""
    for number, line in enumerate(io.BytesIO(raw), 1):
        state = _parse_line(line.removesuffix(b"\n"))
        if state is not None:
            yield number, state


def _parse_line(line: bytes) -> Checkpoint | None:
    try:
        value = parse_json(line)
    except ValueError:
        return None
    match value:
        case {"log": str(origin), "root": str(root), "size": int(size), "time": str(), **more} if not more:
            sound = _ROOT.fullmatch(root) is not None and NUMBER.fullmatch(str(size)) is not None
            return Checkpoint(origin, size, bytes.fromhex(root)) if sound else None
    return None
