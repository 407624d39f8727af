"""A file fed to a replay, batch by batch: lines are read, their signatures checked, and then each is judged in order.

In batches, because signatures can be checked elsewhere (a Checker with processes of its own) while more is read, and
because one kind of work at a time is kinder to a processor's caches.

Rule 1: what is found, and in what order, does not depend on who checks the signatures.
Rule 2: bounded: BATCH_LINES or BATCH_BYTES or one line in a batch, and beside the last UNDER_WAY_BYTES.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, Protocol

from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.line import Line, read_line
from trio_egress.evidence.members import Misfit
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.sign import is_signed

BATCH_LINES = 128
BATCH_BYTES = 64 * 1024

UNDER_WAY_BYTES = 512 * 1024
"""Of lines that were read and not judged yet: parsed, hostile ones take thirty times as much."""

Claim = tuple[bytes, bytes, bytes]
"""A public key, what was signed, and the signature."""

Answers = Callable[[], Sequence[bool]]
"""Waits for what was started: for each claim whether it is true."""


class Checker(Protocol):
    """Who checks signatures. Raises EvidenceError where it can't."""

    depth: int
    """How many batches are started before the first is asked for."""

    def start(self, claims: Sequence[Claim]) -> Answers: ...


class CheckHere:
    """Checks signatures when it is asked for them."""

    depth = 1

    def start(self, claims: Sequence[Claim]) -> Answers:
        return lambda: [is_signed(*claim) for claim in claims]


Item = Line | tuple[Misfit, ...] | None | bytes
"""A line, why it is none, one that was too long to be read, or a torn one."""


def replay_stream(stream: BinaryIO, replay: Replay, checker: Checker | None = None) -> None:
    """Feed a whole file in bounded memory. Raises OSError where it cannot be read."""
    checker = checker or CheckHere()
    under_way: deque[tuple[int, list[Item], Answers]] = deque()
    for size, batch in _read_batches(stream):
        claims = [
            (bytes.fromhex(item.signer_key), item.digest, item.signature)
            for item in batch
            if type(item) is Line
        ]
        under_way.append((size, batch, checker.start(claims)))
        while len(under_way) >= checker.depth or sum(size for size, _, _ in under_way) > UNDER_WAY_BYTES:
            _take(replay, *under_way.popleft()[1:])
    while under_way:
        _take(replay, *under_way.popleft()[1:])


def _take(replay: Replay, batch: Sequence[Item], answers: Answers) -> None:
    signed = iter(answers())
    for item in batch:
        match item:
            case Line():
                replay.take(item, next(signed))
            case None:
                replay.take_overlong()
            case bytes():
                replay.feed_torn(item)
            case misfits:
                replay.take_misfits(misfits)


def _read_batches(stream: BinaryIO) -> Iterator[tuple[int, list[Item]]]:
    batch: list[Item] = []
    size = 0
    while raw := stream.readline(LINE_BYTES):
        size += len(raw)
        if len(raw) == LINE_BYTES:
            while raw and not raw.endswith(b"\n"):
                raw = stream.readline(LINE_BYTES)
            batch.append(None)
        elif raw.endswith(b"\n"):
            batch.append(read_line(raw[:-1]))
        else:
            batch.append(raw)
        if size >= BATCH_BYTES or len(batch) >= BATCH_LINES:
            yield size, batch
            batch, size = [], 0
    yield size, batch
