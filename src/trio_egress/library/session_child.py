"""The supervisor's process of a session: as of one run, with a socket whose other end only the program has.

When that is closed, however the program went, the session ends in good order (runtime/serving.py).
"""

from __future__ import annotations

import socket
import sys

from trio_egress.runtime.tie import forget_signals


def main() -> int:
    """Arguments: the socket's number, and those of `trio-egress run`, where COMMAND is what the session is called."""
    forget_signals()
    sock = socket.socket(fileno=int(sys.argv.pop(1)))
    sock.set_inheritable(False)
    from trio_egress.runtime.signals import Inbox

    inbox = Inbox()
    inbox.open()
    from trio_egress.cli.main import build_parser
    from trio_egress.cli.run import main as run
    from trio_egress.runtime.serving import Host

    parser, _ = build_parser("run")
    return run(parser.parse_args(sys.argv[1:]), inbox, client=Host(sock))
