"""Receipts as OCSF events, as they come: each attempt when it has ended, those that never did when the run has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trio_egress.evidence.attempts import Attempt, Joining, tell
from trio_egress.views.ocsf import Origin, render_events

LIVE = "live"
"""What stands for the verifier's word while there is none."""


class Ocsf:
    """`place`: what the packet is called in the events."""

    def __init__(self, place: str, run_id: str) -> None:
        self._origin = Origin(place, run_id, LIVE)
        self._joining = Joining()
        self._lines = 0
        self._key = 1

    def feed(self, line: bytes) -> Sequence[bytes]:
        self._lines += 1
        told = tell(line.removesuffix(b"\n"), self._lines, self._key)
        if told is None:
            return ()
        self._key = told.key
        return self._render(self._joining.take(told))

    def finish(self) -> Sequence[bytes]:
        return self._render(self._joining.finish())

    def _render(self, attempts: Iterable[Attempt]) -> list[bytes]:
        return [text.encode() for attempt in attempts for text in render_events(self._origin, attempt)]
