"""Files that are named on the command line of `trio-egress packet`: packets read, files made and never written over."""

from __future__ import annotations

import os
from pathlib import Path

from trio_egress.errors import EvidenceError
from trio_egress.evidence.container import Packet, find_packet

AUDIT_DIRECTORY = "trio-egress-audit"
"""Below it runs leave their packets, unless they are told where."""


def open_packet(path: str) -> Packet:
    """The packet in this directory or zip. Raises EvidenceError."""
    packet = find_packet(path)
    if packet is None:
        raise EvidenceError(f"{path} is no packet: neither a directory nor a zip that `packet pack` made")
    return packet


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
