"""The last word to a client of `trio-egress serve`, which is gone, or slow, or hostile, as it may be.

Rule 1: whether it takes it is no matter to anybody else.
"""

from __future__ import annotations

import json
import socket
from contextlib import suppress

from trio_egress.errors import TrioEgressError

PARTING_SECONDS = 10.0
"""How long a client may take to take it. The evidence is the operator's, whether it does or not."""

MESSAGE_CHARS = 30_000


def say_last(sock: socket.socket, descriptors: list[int], **members: object) -> None:
    with suppress(OSError):  # it is gone
        sock.settimeout(PARTING_SECONDS)
        socket.send_fds(sock, [json.dumps(members).encode("ascii")], descriptors)


def refuse(sock: socket.socket, error: TrioEgressError | str) -> None:
    """Before there is a session."""
    kind = "SandboxError" if isinstance(error, str) else type(error).__name__
    say_last(sock, [], step="refused", kind=kind, message=str(error)[:MESSAGE_CHARS])
