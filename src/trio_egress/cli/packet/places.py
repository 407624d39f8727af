"""Files that are named on the command line of `trio-egress packet`: read up to a bound, made and never written over."""

from __future__ import annotations

import os
from pathlib import Path

from trio_egress.errors import EvidenceError
from trio_egress.evidence.container import Packet, find_packet, open_plain


def open_packet(path: str) -> Packet:
    """The packet in this directory or zip. Raises EvidenceError."""
    packet = find_packet(path)
    if packet is None:
        raise EvidenceError(f"{path} is no packet: neither a directory nor a zip that `packet pack` made")
    return packet


def read_bounded(path: str, limit: int) -> bytes:
    """All of a file that is no longer than that. Raises EvidenceError."""
    with open_plain(path, follow=True) as file:
        try:
            raw = file.read(limit + 1)
        except OSError as error:
            raise EvidenceError(f"cannot read {path}: {error.strerror}") from None
    if len(raw) > limit:
        raise EvidenceError(f"{path} is longer than {limit} bytes")
    return raw


def write_new(path: str, raw: bytes) -> None:
    """A file of this name, which must not be there. Raises EvidenceError."""
    try:
        with Path(path).open("xb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise EvidenceError(f"{path} is already there; nothing is written over") from None
    except OSError as error:
        raise EvidenceError(f"cannot write {path}: {error.strerror}") from None
