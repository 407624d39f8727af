"""Where the states of a run's log are told while it lives: the first on standard error, each of them in a file.

Rule 1: the file is opened with the caller's rights, only ever appended to, and durable line by line.
Rule 2: a line that can't be written ends the run: whoever asks for anchors counts on them.
"""

from __future__ import annotations

import os
import stat

from trio_egress.cli.voice import Say
from trio_egress.errors import RecorderError, UsageError
from trio_egress.evidence.anchor import Anchor, render_anchor


class Anchors:
    """Told from the recorder's thread. Raises UsageError where the file can't be used."""

    def __init__(self, say: Say | None, path: str | None) -> None:
        self._say = say
        self._path = path
        self._fd = -1 if path is None else _open(path)

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


def _open(path: str) -> int:
    """A plain file, which ends with a whole line; it is made where it isn't there."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(path, flags, 0o644)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"--anchor-file {path}: not a plain file")
        if status.st_size and os.pread(fd, 1, status.st_size - 1) != b"\n":
            os.write(fd, b"\n")
    except OSError as error:
        raise UsageError(f"--anchor-file {path}: {error.strerror}") from None
    return fd
