"""Events appended to a file.

Rule 1: what can't be written is dropped and told once; each next event is tried again, on a line of its own.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from trio_egress.telemetry.feed import Patience, Say


class FileSink:
    """Takes over the descriptor, which is open for appending and at the beginning of a line."""

    def __init__(self, descriptor: int, say: Say) -> None:
        self._fd = descriptor
        self._say = say
        self._torn = False
        self._told = False

    def send(self, events: Sequence[bytes], patience: Patience) -> int:
        for number, event in enumerate(events):
            if patience.over or not self._write(event):
                return number
        return len(events)

    def close(self) -> None:
        os.close(self._fd)

    def _write(self, event: bytes) -> bool:
        raw = b"\n" + event if self._torn else event
        try:
            done = os.write(self._fd, raw)
        except OSError as error:
            self._tell(str(error.strerror))
            return False
        self._torn = done < len(raw) and (self._torn or done > 0)
        if done < len(raw):
            self._tell(f"wrote {done} of {len(raw)} bytes")
        return done == len(raw)

    def _tell(self, why: str) -> None:
        if not self._told:
            self._say(f"{why}: events are dropped until it can be written")
        self._told = True
