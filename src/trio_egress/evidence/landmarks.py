"""Landmarks: states of a log that stand outside it (its checkpoint, an older one, an anchor), held against its lines.

Reads a stream that it is given, a chunk at a time, and knows nothing of receipts.

Rule 1: a line counts when it has its LF; what a crash left of a last one is in no state.
Rule 2: the packet's own checkpoint is of every line, unless the log was cut off: then it is of the first ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import BinaryIO

from trio_egress.evidence.anchor import parse_anchors
from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.checkpoint import Checkpoint, parse_checkpoint, render_origin
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.merkle import Tree
from trio_egress.evidence.replay import Replay
from trio_egress.values import frozen

_CHUNK_BYTES = 1 << 16


@frozen
class Landmark:
    """What a file says of the log. `line`: where in it, 0 where it says nothing else. `own`: the packet says it."""

    file: str
    line: int
    state: Checkpoint
    own: bool = False


def split_lines(stream: BinaryIO) -> Iterator[bytes]:
    """The lines of a log, without LF. One that no log can have ends it. Raises OSError."""
    rest = b""
    while chunk := stream.read(_CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
        if len(rest) > LINE_BYTES:
            return


def read_roots(stream: BinaryIO, sizes: Collection[int]) -> dict[int, bytes]:
    """The root at each of these sizes that the log reaches, in one pass. Raises OSError."""
    waiting = sorted(set(sizes), reverse=True)
    roots: dict[int, bytes] = {}
    tree = Tree()
    lines = split_lines(stream)
    while waiting:
        if tree.size == waiting[-1]:
            roots[waiting.pop()] = tree.root
            continue
        line = next(lines, None)
        if line is None:
            break
        tree.append(line)
    return roots


def read_checkpoint(raw: bytes, file: str, replay: Replay, findings: Findings) -> Landmark | None:
    """The landmark of a checkpoint; what is wrong with its form or signature is found. No receipt, no key: nothing."""
    try:
        signed = parse_checkpoint(raw)
    except ValueError as error:
        findings.add("checkpoint.form", file, 0, str(error), "a signed checkpoint")
        return None
    origin = render_origin(str(replay.opening.get("recorder_session", "")))
    state = signed.checkpoint
    key = replay.segments.find_key(state.size)
    if key is not None and not (state.origin == origin and signed.is_signed(key)):
        found = f"one of {escape_text(state.origin, 256)} without a signature of it by this key"
        if state.origin != origin:
            found = f"one of {escape_text(state.origin, 256)}"
        findings.add("checkpoint.key", file, 0, found, f"one of {origin}, signed by {key}")
        return None
    return Landmark(file, 0, state)


def read_landmarks(raw: bytes, file: str, replay: Replay, findings: Findings) -> list[Landmark]:
    """Those of this log in a file of anchors, or of one checkpoint; that there is none is found."""
    if not raw.startswith(b"{"):
        found = read_checkpoint(raw, file, replay, findings)
        return [] if found is None else [found]
    origin = render_origin(str(replay.opening.get("recorder_session", "")))
    own = [Landmark(file, number, state) for number, state in parse_anchors(raw) if state.origin == origin]
    if not own:
        findings.add("anchor.none", file, 0, "anchors of other logs, or none", f"one of {origin} at least")
    return own


def check_landmarks(
    landmarks: Collection[Landmark],
    open_evidence: Callable[[], BinaryIO],
    lines: int,
    findings: Findings,
    *,
    whole: bool,
) -> None:
    """Each state is one that the log of so many lines was in. `whole`: the packet's own must be its last.

    Raises OSError.
    """
    if not landmarks:
        return
    with open_evidence() as stream:
        roots = read_roots(stream, {landmark.state.size for landmark in landmarks})
    for landmark in landmarks:
        state = landmark.state
        told = f"{state.size} lines with the root {state.root.hex()}"
        root = roots.get(state.size)
        if root is None:
            found = f"{lines} lines"
        elif root != state.root:
            found = f"the root {root.hex()} over the first {state.size} lines"
        elif whole and landmark.own and state.size != lines:
            found = f"{lines} lines"
        else:
            continue
        findings.add("checkpoint.lines", landmark.file, landmark.line, told, found)
