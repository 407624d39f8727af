"""Which back-end has a sandbox: a supervisor of this program's user (`userns`), one that root started (`root`), or one
of `trio-egress serve`, which another user runs (`helper`).

Rule 1: what was asked for is what is used, or there is no sandbox; `auto` takes what this program's user and
$TRIO_EGRESS_SOCKET say, and nothing else in its place when that fails.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from trio_egress.errors import SandboxError, UsageError

AUTO, USERNS, ROOT, HELPER = BACKENDS = ("auto", "userns", "root", "helper")
SOCKET_VARIABLE = "TRIO_EGRESS_SOCKET"
USUAL_SOCKET = "/run/trio-egress.sock"


def choose(asked: str, environ: Mapping[str, str], uid: int) -> str:
    """Raises UsageError and SandboxError."""
    if asked not in BACKENDS:
        raise UsageError(f"backend must be one of {', '.join(BACKENDS)}, not {asked!r}")
    own = ROOT if uid == 0 else USERNS
    if asked == AUTO:
        return HELPER if environ.get(SOCKET_VARIABLE) else own
    if asked in (USERNS, ROOT) and asked != own:
        who = "root" if uid == 0 else f"uid {uid}"
        raise SandboxError(f"backend {asked!r}: this program runs as {who}, whose sandboxes are {own!r}")
    return asked


def find_socket(environ: Mapping[str, str]) -> str:
    """Where serve is asked."""
    return os.path.abspath(environ.get(SOCKET_VARIABLE) or USUAL_SOCKET)
