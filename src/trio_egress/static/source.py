"""What is looked through: bytes with a name, and what of it counts. A value for what could not be read.

Rule 1: the pieces are read once, when they are wanted, and no more of them is held than whoever reads them holds.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterable, Iterator
from typing import BinaryIO

from trio_egress.values import frozen

PIECE_BYTES = 1 << 20

_FLAGS = sum(getattr(os, name, 0) for name in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"))
"""A FIFO that took a file's place must not be waited for, nor a link that did be followed."""


@frozen
class Source:
    """`path` as it is told. `added`: the lines that count; None: all. `whole`: nothing of the file is left out.

    `place`: the file that the pieces are of, where they are of one. `archive`: of a member, the path of the file that
    it is in.
    """

    path: str
    pieces: Iterable[bytes]
    first_line: int = 1
    added: Container[int] | None = None
    whole: bool = True
    place: str | None = None
    archive: str | None = None


@frozen
class Unread:
    """Something that should have been looked through, and why it was not."""

    path: str
    reason: str


def open_regular(place: str) -> BinaryIO:
    """A regular file, without a buffer. Anything else, and what can't be read, is an OSError."""
    file = open(os.open(place, os.O_RDONLY | _FLAGS), "rb", buffering=0)  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError("it is no regular file")
    return file


def read_file(place: str) -> Iterator[bytes]:
    """A regular file's bytes."""
    with open_regular(place) as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def say_reason(error: OSError) -> str:
    """Why, in a few words, without the path."""
    return (error.strerror or str(error) or "it can't be read").lower()
