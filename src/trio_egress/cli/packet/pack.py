"""`trio-egress packet pack`: the files of a packet's directory in one zip.

Rule 1: a directory that holds anything but plain files with plain names is refused: nothing is left out silently.
Rule 2: nothing is ever written over, and a zip that could not be finished is taken away again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from trio_egress.errors import EvidenceError
from trio_egress.evidence.archive import write_archive
from trio_egress.evidence.container import list_packet, open_plain
from trio_egress.evidence.facts import escape_text
from trio_egress.evidence.journal import EVIDENCE_NAME
from trio_egress.evidence.packet_form import PACKET_NAME
from trio_egress.runtime.presence import PRESENCE_NAME

CHUNK_BYTES = 1 << 20


def main(options: argparse.Namespace) -> int:
    """0 packed; 2 it could not be."""
    directory = Path(options.packet)
    # The directory's own name, wherever it is called from: `.` has none.
    output = Path(options.output or f"{os.path.abspath(directory)}.zip")
    try:
        names = list_packet(directory)
        _refuse_unfinished(directory, names)
        _refuse_inside(directory, output)
        _pack(directory, names, output)
        size, digest = _measure(output)
    except EvidenceError as error:
        print(f"trio-egress packet pack: {escape_text(str(error))}", file=sys.stderr)
        return 2
    if options.json:
        answer = {"file": str(output), "size": size, "sha256": digest, "entries": names}
        print(json.dumps(answer, indent=2))
    else:
        print(f"{digest}  {output}")
    return 0


def _refuse_unfinished(directory: Path, names: list[str]) -> None:
    """What is still written has no bytes to speak of. A log that was cut off has, and is worth keeping."""
    if EVIDENCE_NAME not in names:
        raise EvidenceError(f"{directory} is no packet: there is no {EVIDENCE_NAME}")
    if PRESENCE_NAME in names:
        raise EvidenceError(
            f"a run lives in {directory}, or was killed there ({PRESENCE_NAME}): wait for its end, or close its log "
            "with `trio-egress recover`"
        )
    if PACKET_NAME not in names:
        note = f"there is no {PACKET_NAME} in {directory}: the run was cut off, and this is at best a valid prefix"
        print(f"trio-egress packet pack: note: {note}", file=sys.stderr)


def _refuse_inside(directory: Path, output: Path) -> None:
    if os.path.realpath(output.parent) == os.path.realpath(directory):
        raise EvidenceError(f"{output} would be in the packet itself: name a place outside it with --output")


def _pack(directory: Path, names: list[str], output: Path) -> None:
    try:
        stream = output.open("xb")
    except FileExistsError:
        raise EvidenceError(f"{output} is already there; nothing is written over") from None
    except OSError as error:
        raise EvidenceError(f"cannot write {output}: {error.strerror}") from None
    try:
        with stream:
            write_archive(stream, _open_all(directory, names))
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException as error:
        output.unlink()
        if isinstance(error, OSError):
            raise EvidenceError(f"cannot write {output}: {error.strerror}") from None
        raise


def _open_all(directory: Path, names: list[str]) -> Iterator[tuple[str, int, BinaryIO]]:
    for name in names:
        file = open_plain(directory / name)
        yield name, os.fstat(file.fileno()).st_size, file


def _measure(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with open_plain(path, follow=True) as stream:
        while raw := stream.read(CHUNK_BYTES):
            digest.update(raw)
            size += len(raw)
    return size, digest.hexdigest()
