"""The supervisor's process, as a program starts it: the command line, tied to the life of that program.

Rule 1: when the program is gone, however it went, the run is ended as by SIGTERM: agent dead, chain closed.
Rule 2: nothing that the program did to signals or to its import path holds here.
"""

from __future__ import annotations

import sys

from trio_egress.runtime.tie import forget_signals, tie


def main() -> int:
    """Arguments: the reading end of a pipe that only the program holds the other end of, and the command line's."""
    forget_signals()
    tie(int(sys.argv.pop(1)))
    from trio_egress.cli.main import main as run

    return run()
