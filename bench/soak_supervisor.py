"""`trio-egress` with its tasks counted: `soak_supervisor.py FILE …`. In FILE stand two numbers of eight bytes: how many
live now, and at the end the most memory that it ever had, in KiB.

It is the command line and nothing less; only Trio's loop has somebody who is told of each task.
"""

from __future__ import annotations

import atexit
import functools
import mmap
import resource
import struct
import sys

import trio

from trio_egress.cli.main import main

COUNT = struct.Struct("qq")


class Counter(trio.abc.Instrument):
    def __init__(self, path: str) -> None:
        self._alive = 0
        with open(path, "w+b") as file:
            file.write(COUNT.pack(0, 0))
            file.flush()
            self._told = mmap.mmap(file.fileno(), COUNT.size)
        atexit.register(self._tell_most)

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        self._add(1)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        self._add(-1)

    def _add(self, number: int) -> None:
        self._alive += number
        COUNT.pack_into(self._told, 0, self._alive, 0)

    def _tell_most(self) -> None:
        COUNT.pack_into(self._told, 0, self._alive, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    counted = functools.partial(trio.run, instruments=[Counter(sys.argv.pop(1))])
    vars(trio)["run"] = counted
    sys.exit(main())
