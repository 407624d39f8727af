"""A copy of a packet that another user has, made where this program says.

Rule 1: where it goes is held open before anything runs in the sandbox, whose agent may write there, too: what it puts
in the way of the copy (a link, a file, a directory) is never followed and never written over.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from trio_egress.errors import UsageError
from trio_egress.values import frozen

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@frozen
class Place:
    """`own`: whether it is for one packet alone; else each has a directory there."""

    path: Path
    descriptor: int
    own: bool

    def close(self) -> None:
        os.close(self.descriptor)

    def take(self, packet: int, run_id: str) -> Path:
        """The copy of what is in the directory `packet`. Raises OSError."""
        if self.own:
            _copy(packet, self.descriptor)
            return self.path
        os.mkdir(run_id, 0o755, dir_fd=self.descriptor)
        inner = os.open(run_id, _DIRECTORY, dir_fd=self.descriptor)
        try:
            _copy(packet, inner)
        finally:
            os.close(inner)
        return self.path / run_id


def open_place(evidence: Path | None, several: Path) -> Place:
    """`evidence` is for this packet alone, and empty; without it the packet goes below `several`. Raises UsageError."""
    path = several if evidence is None else evidence
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, _DIRECTORY)
    except OSError as error:
        raise UsageError(f"cannot use {path} for evidence: {error.strerror}") from None
    if evidence is not None and os.listdir(descriptor):
        os.close(descriptor)
        raise UsageError(f"the evidence directory {path} is not empty: name a new one")
    return Place(path, descriptor, evidence is not None)


def _copy(packet: int, place: int) -> None:
    for name in sorted(os.listdir(packet)):
        source = os.open(name, _READ, dir_fd=packet)
        with os.fdopen(source, "rb") as file:
            if stat.S_ISREG(os.fstat(source).st_mode):
                with os.fdopen(os.open(name, _NEW, 0o644, dir_fd=place), "wb") as copy:
                    shutil.copyfileobj(file, copy)
