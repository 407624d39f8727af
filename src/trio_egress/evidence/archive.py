"""A packet as one zip: each file stored as it is, so that equal packets have equal bytes.

Rule 1: nothing in it depends on the machine: names are sorted, times and modes fixed, and nothing is compressed,
because compressors differ.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from typing import BinaryIO

PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""What a file of a packet is called: the same on every system, and never a path."""

_MODE = 0o100644
_UNIX = 3
_TIME = (1980, 1, 1, 0, 0, 0)
_CHUNK_BYTES = 1 << 20


def write_archive(stream: BinaryIO, files: Iterable[tuple[str, BinaryIO]]) -> None:
    """Write these open files to a seekable stream, sorted by their names; each is closed when it is read."""
    import zipfile

    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, file in files:
            with file:
                entry = zipfile.ZipInfo(name, _TIME)
                entry.create_system = _UNIX
                entry.external_attr = _MODE << 16
                entry.file_size = os.fstat(file.fileno()).st_size
                with archive.open(entry, "w") as inside:
                    shutil.copyfileobj(file, inside, _CHUNK_BYTES)
