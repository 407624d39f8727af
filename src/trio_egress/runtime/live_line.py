"""A line of status below what the agent writes at a terminal, where it is in nobody's way.

It is always the last line there, with the cursor at its beginning, and is taken away before anything else is written.

Rule 1: it stands only where a line has just ended.
Rule 2: whoever moves the cursor draws the screen, and from then on there is no such line.
Rule 3: nobody waits for it: what can't be written at once is not.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

ERASE = b"\x1b[K"
"""To the end of the line; ECMA-48 EL."""

UNFINISHED_BYTES = 4096
"""What a sequence of the agent's may have that is not at its end. Titles and links are shorter."""

_HARMLESS = re.compile(
    rb"\x1b\[[0-9;:]*m"  # colours
    rb"|\x1b\[[0-2]?K"  # the line that the cursor is in
    rb"|\x1b\[\?25[hl]|\x1b\(B"  # the cursor's look, and ASCII (tput sgr0)
    rb"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles and links
)
_SCREEN = re.compile(rb"\x1b\[\?(?:1049|1047|47)([hl])")
"""The other screen of a terminal: there, and back (xterm's ctlseqs)."""

_SCREEN_BYTES = 8
_UNFINISHED = re.compile(rb"\x1b(?:\(|\[[0-9;:?]*|\][^\x07\x1b]*\x1b?)?\Z")


class LiveLine:
    """Used by the thread of the run, and by the one that says messages (`aside`)."""

    def __init__(self) -> None:
        self.render: Callable[[int], str] = lambda columns: ""
        """What it says in so many columns; no more than that, and nothing where there is nothing to say."""

        self.draws = False
        """Whether the agent does."""

        self.covered = False
        """Whether the agent has the other screen, on which whoever writes spoils what it shows."""

        self._tail = b""
        self._lock = threading.Lock()
        self._shown = False
        self._ended = True
        self._unfinished = b""
        self._wake: Callable[[], object] | None = None

    # the thread of the run

    def arm(self, wake: Callable[[], object] | None) -> None:
        """What to call once when it should be drawn, or drawn anew, from whichever thread that is."""
        self._wake = wake

    def note(self) -> None:
        """What it says has changed."""
        wake, self._wake = self._wake, None
        if wake is not None:
            with suppress(RuntimeError):  # trio.RunFinishedError
                wake()

    def make_way(self, output: bytes) -> bytes:
        """What to write for the agent's `output`."""
        self._follow(output)
        self.note()
        return (self._lift() if output else b"") + output

    def draw(self, terminal: int, columns: int) -> None:
        """At the terminal, which is not waited for, if there is room."""
        if self.draws or not self._ended:
            return
        text = self.render(columns - 1)
        if not self._lock.acquire(blocking=False):
            return  # a message is being said, and calls again
        try:
            if text or self._shown:
                with suppress(OSError):
                    os.write(terminal, text.encode("ascii", "replace") + ERASE + b"\r")
            self._shown = bool(text)
        finally:
            self._lock.release()

    def take_away(self, terminal: int) -> None:
        if first := self._lift():
            with suppress(OSError):
                os.write(terminal, first)

    def _lift(self) -> bytes:
        if not self._lock.acquire(blocking=False):
            return b""  # a message is being said, and has done so
        try:
            first, self._shown = ERASE if self._shown else b"", False
        finally:
            self._lock.release()
        return first

    def _follow(self, output: bytes) -> None:
        recent = self._tail + output
        self._tail = recent[1 - _SCREEN_BYTES :]
        if switched := _SCREEN.findall(recent):
            self.covered = switched[-1] == b"h"
        if self.draws or not output:
            return
        self._ended = output.endswith(b"\n")
        raw, self._unfinished = self._unfinished + output, b""
        if b"\x1b" not in raw:
            return
        raw = _HARMLESS.sub(b"", raw)
        if found := _UNFINISHED.search(raw):
            raw, self._unfinished = raw[: found.start()], found[0]
        self._ended = self._ended and not self._unfinished
        self.draws = b"\x1b" in raw or len(self._unfinished) > UNFINISHED_BYTES

    # the thread that says messages

    @contextmanager
    def aside(self) -> Iterator[bytes]:
        """What to write before a message of whole lines. The line stays away until the body ends."""
        with self._lock:
            first, self._shown = ERASE if self._shown else b"", False
            yield first
        self.note()
