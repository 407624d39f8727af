"""Where the states of a run's log are told while it lives: the first on standard error, each of them in a file.

Rule 1: the file is opened with the caller's rights, only ever appended to, and durable line by line.
Rule 2: a line that can't be written ends the run: whoever asks for anchors counts on them.
"""

from __future__ import annotations

import os

from trio_egress.cli.plain_file import open_appended
from trio_egress.cli.voice import Say
from trio_egress.errors import RecorderError
from trio_egress.evidence.anchor import Anchor, render_anchor


class Anchors:
    """Told from the recorder's thread. Raises UsageError where the file can't be used."""

    def __init__(self, say: Say | None, path: str | None) -> None:
        self._say = say
        self._path = path
        self._fd = -1 if path is None else open_appended("--anchor-file", path)

    def tell(self, anchor: Anchor) -> None:
        """Raises RecorderError."""
        if anchor.state.size == 1 and self._say is not None:
            self._say(f"log opened, head {anchor.head}")
        if self._fd < 0:
            return
        line = render_anchor(anchor)
        try:
            done = os.write(self._fd, line)
            os.fsync(self._fd)
        except OSError as error:
            raise RecorderError(f"cannot write the anchor file {self._path}: {error.strerror}") from None
        if done != len(line):
            raise RecorderError(f"wrote {done} of {len(line)} bytes to the anchor file {self._path}")
