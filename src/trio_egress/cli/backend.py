"""What `trio-egress doctor` says of the back-end that a program gets which leaves it to `auto`."""

from __future__ import annotations

import os
import stat

from trio_egress.kernel.probe import Probe
from trio_egress.runtime.backends import AUTO, HELPER, SOCKET_VARIABLE, choose, find_socket


def find_backend() -> Probe:
    """Whose sandbox a program gets that leaves it to `auto`."""
    chosen = choose(AUTO, os.environ, os.geteuid())
    if chosen != HELPER:
        return Probe("back-end", "ok", f"{chosen}: programs open their sandboxes by themselves")
    path = find_socket(os.environ)
    found = f"{HELPER}: programs ask `trio-egress serve` at {path} (${SOCKET_VARIABLE})"
    if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
        return Probe("back-end", "ok", found)
    return Probe(
        "back-end", "fail", f"{found}, and no socket is there", f"start serve, or unset {SOCKET_VARIABLE}"
    )
