"""The agent of the escape suite: carries out attacks one by one, each in a process of its own.

`python -I -S inside.py LIBRARY NONCE VICTIMS CASE ...`; VICTIMS is JSON, process ids by case. Standard library only.
What an attack raises is told as its error; one that hangs is ended.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import time
from typing import NoReturn

LIBRARY, NONCE, VICTIMS = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
sys.path.insert(0, LIBRARY)

from tests.escapes import attacks  # noqa: E402
from tests.escapes.frame import CASES, Case, Ways  # noqa: E402

PATIENCE_SECONDS = 6


def main() -> None:
    attacks.load()
    numbers = {case.name: number for number, case in enumerate(CASES)}
    show_namespaces()
    for name in sys.argv[4:]:
        number = numbers[name]
        ways = Ways(name, number, NONCE, VICTIMS.get(name, 0))
        child = os.fork()
        if child == 0:
            carry_out(CASES[number], ways)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            ways.show(error=f"ended by {signal.Signals(os.WTERMSIG(status)).name}")


def show_namespaces() -> None:
    """What the sandbox itself has, so that a new one can be told from it. The first word of the run."""
    kinds = os.listdir("/proc/self/ns")
    Ways("", 0, NONCE).show(descriptors=[os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in kinds])


def carry_out(case: Case, ways: Ways) -> NoReturn:
    signal.alarm(PATIENCE_SECONDS)
    started = time.monotonic()
    try:
        case.attack(ways)
        error = ""
    except OSError as fault:
        error = errno.errorcode.get(fault.errno or 0, "") or f"{type(fault).__name__}: {fault}"
    except Exception as fault:
        error = f"{type(fault).__name__}: {fault}"
    took = time.monotonic() - started
    ways.show(error=f"{error or 'none'} after {took:.1f} s")
    os._exit(0)


main()
