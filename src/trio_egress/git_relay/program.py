"""The process that ends SSH: started with a run, makes a process for each connection, ends when the run hangs up.

Its standard input is the run's control socket. It dials nothing and opens no file: whatever it talks to is a descriptor
that it was given, and keys come by the connection that uses them.

Rule 1: everything is loaded, and tried once, before it says that it is ready; from then on nothing can be imported.
Rule 2: it is not root when it says so, and from then on it can open no file and no socket and run no program
        (kernel/closed.py). No process of the user can look into it.
Rule 3: a connection's process ends with it: with the agent's side, or with the proxy's.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import sys

from trio_egress.git_relay.carry import Carrier, open_host_key, rehearse
from trio_egress.kernel.closed import build_closed_filter
from trio_egress.kernel.identity import Ids, give_up_root
from trio_egress.kernel.syscalls import install_seccomp, set_dumpable, set_no_new_privs

READY = b"ready"
DESCRIPTORS = 3
"""Of each connection: the agent's side, the server's, and the one by which the proxy is asked."""
HELLO_BYTES = 4096


def main() -> None:
    """Never returns."""
    control = socket.socket(fileno=os.dup(0))
    hello = json.loads(control.recv(HELLO_BYTES))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a connection's process ended
    ids = hello["ids"]
    confine(None if ids is None else Ids(ids[0], ids[1], "", ""))
    closed = build_closed_filter(os.uname().machine)
    host_key = open_host_key(hello["host_key"])
    asyncio.run(rehearse(host_key))
    sys.meta_path.clear()
    # What goes wrong in a connection is told to the proxy alone.
    os.dup2(os.open(os.devnull, os.O_RDWR), 2)
    install_seccomp(closed)
    control.send(READY)
    while True:
        told, descriptors, _, _ = socket.recv_fds(control, 16, DESCRIPTORS)
        if not told:
            os._exit(0)
        if len(descriptors) == DESCRIPTORS and os.fork() == 0:
            control.close()
            _serve(descriptors, host_key)
        for descriptor in descriptors:
            os.close(descriptor)


def confine(ids: Ids | None) -> None:
    """`ids`: who to become, where this is root."""
    if ids is not None:
        give_up_root(ids)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    set_no_new_privs()
    set_dumpable(False)


def _serve(descriptors: list[int], host_key: object) -> None:
    """In a process of its own. Never returns."""
    code = 1
    try:
        inner, outer, channel = (socket.socket(fileno=descriptor) for descriptor in descriptors)
        asyncio.run(Carrier(inner, outer, channel, host_key).run())
        code = 0
    finally:
        os._exit(code)
