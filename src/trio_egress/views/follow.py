"""An evidence file that grows, read as far as it goes: whole lines, each once, and which of several runs is the newest.

Waits for nothing and judges nothing.

Rule 1: a torn last line is kept until its end is there; one that is too long to be a receipt is None, once.
Rule 2: a file that is no longer the one that was opened, or got shorter, raises EvidenceError.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from trio_egress.errors import EvidenceError
from trio_egress.evidence.attempts import tell
from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.container import open_plain
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.receipt import parse_timestamp

CHUNK_BYTES = 1 << 16
NOT_BEGUN = 1 << 63
"""Later than every time that a receipt can have."""


class Tail:
    """One evidence file, open. `close` gives the descriptor back."""

    def __init__(self, file: Path) -> None:
        """Raises EvidenceError where it can't be opened."""
        self.file = file
        self._stream: BinaryIO = open_plain(file)
        self._read = 0
        self._torn = bytearray()
        self._too_long = False

    def close(self) -> None:
        self._stream.close()

    def read_lines(self) -> Iterator[bytes | None]:
        """What has come since, without its LFs."""
        self._refuse_other()
        while raw := self._stream.read(CHUNK_BYTES):
            self._read += len(raw)
            *ends, rest = raw.split(b"\n")
            for end in ends:
                yield self._finish(end)
            self._keep(rest)

    def _finish(self, end: bytes) -> bytes | None:
        self._keep(end)
        line = None if self._too_long else bytes(self._torn)
        self._torn.clear()
        self._too_long = False
        return line

    def _keep(self, raw: bytes) -> None:
        self._too_long = self._too_long or len(self._torn) + len(raw) >= LINE_BYTES
        if self._too_long:
            self._torn.clear()
        else:
            self._torn += raw

    def _refuse_other(self) -> None:
        own = os.fstat(self._stream.fileno())
        if own.st_size < self._read:
            raise EvidenceError(f"{self.file} got shorter while it was read: receipts were taken away")
        try:
            shown = os.lstat(self.file)
        except OSError:
            raise EvidenceError(f"{self.file} is gone") from None
        if (own.st_dev, own.st_ino) != (shown.st_dev, shown.st_ino):
            raise EvidenceError(f"{self.file} was replaced by another file")


def is_closed(file: Path) -> bool:
    """Whether the last line is a close receipt."""
    with open_plain(file) as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(size - LINE_BYTES, 0))
        lines = stream.read(LINE_BYTES).split(b"\n")
    told = tell(lines[-2], 1) if len(lines) > 1 and not lines[-1] else None
    return told is not None and told.step == "session_close"


class Newest:
    """Finds the newest run below a directory, or the one run that the directory is of; or it is the file itself."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: dict[str, int] = {}

    def find(self) -> Path | None:
        """Its evidence file; None where there is none yet. Raises EvidenceError where nobody may look."""
        own = self._directory / EVIDENCE_NAME
        if os.path.isfile(self._directory):
            return self._directory
        try:
            os.lstat(own)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise EvidenceError(f"cannot read {self._directory}: {error.strerror}") from None
        else:
            return own
        runs = {name: self._read_start(name) for name in self._list()}
        newest = max(runs, key=lambda name: (runs[name], name), default=None)
        return None if newest is None else self._directory / newest / EVIDENCE_NAME

    def is_one_of_many(self, file: Path) -> bool:
        """Whether the directory is one of several runs."""
        return self._directory not in (file, file.parent)

    def _list(self) -> list[str]:
        try:
            names = os.listdir(self._directory)
        except OSError:
            return []
        return [
            name
            for name in names
            if name in self._started or os.path.lexists(self._directory / name / EVIDENCE_NAME)
        ]

    def _read_start(self, name: str) -> int:
        """When a run began (Unix nanoseconds), as its first receipt says; one that has not begun is the newest."""
        if name not in self._started:
            try:
                with open_plain(self._directory / name / EVIDENCE_NAME) as stream:
                    raw = stream.readline(LINE_BYTES)
            except (OSError, EvidenceError):
                return 0
            if not raw.endswith(b"\n"):
                return NOT_BEGUN
            told = tell(raw[:-1], 1)
            self._started[name] = (parse_timestamp(told.time) or 0) if told else 0
        return self._started[name]
