"""The standard streams of a command, whatever its caller made of them.

Rule 1: what is closed (`>&-`) leads nowhere: else the next file that is opened, a receipt's or a key's, would be
standard output or standard error by its number.
Rule 2: a standard output that can't be written (a full disk) is told, and is no verdict.
"""

from __future__ import annotations

import errno
import os
import sys

BROKEN_PIPE = 141
UNWRITABLE = 2

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def open_closed() -> None:
    """Before anything else is opened."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115


def explain_failure(error: OSError) -> int | None:
    """The exit code where it is standard output that failed; None where it was something else."""
    if isinstance(error, BrokenPipeError):
        _leave_output()
        return BROKEN_PIPE
    if error.filename is not None or error.errno not in _FULL:
        return None
    _leave_output()
    print(f"trio-egress: cannot write to standard output: {error.strerror}", file=sys.stderr)
    return UNWRITABLE


def _leave_output() -> None:
    """What is still buffered must not fail at exit again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
