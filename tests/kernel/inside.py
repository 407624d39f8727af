"""The far end of namespace.py: lives in a user and network namespace of its own and acts there on request.

Standard library only, run as `python -I -S inside.py CONTROL SOURCE`. One JSON request a packet, one answer each;
a socket that was made comes along with its answer.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

CONTROL, SOURCE = int(sys.argv[1]), sys.argv[2]
sys.path.append(SOURCE)

from trio_egress.kernel import syscalls  # noqa: E402


def main() -> None:
    control = socket.socket(fileno=CONTROL)
    try:
        enter()
    except OSError as error:
        control.send(json.dumps({"error": f"{error}"}).encode())
        return
    control.send(b"{}")
    while raw := control.recv(4096):
        request = json.loads(raw)
        try:
            made = ACTIONS[request.pop("action")](**request)
        except OSError as error:
            control.send(json.dumps({"errno": error.errno}).encode())
            continue
        if isinstance(made, socket.socket):
            socket.send_fds(control, [b"{}"], [made.fileno()])
            made.close()
        else:
            control.send(b"{}")


def enter() -> None:
    uid, gid = os.getuid(), os.getgid()
    syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNET)
    for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{file}", "w", encoding="ascii") as opened:
            opened.write(text)


def set_option(family: int, kind: int, level: int, option: int, value: int) -> None:
    with socket.socket(family, kind) as sock:
        sock.setsockopt(level, option, value)


ACTIONS: dict[str, Any] = {
    "socket": socket.socket,
    "drop capabilities": syscalls.drop_capabilities,
    "set option": set_option,
}

main()
