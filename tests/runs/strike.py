"""A program: `trio-egress` as it is, struck by a signal at one exact step of a run.

    python strike.py STEPS WHOM SIGNAL ARGUMENT...

STEPS is a list, with commas, of `module:function:call|return:N`, or `::call:N` for any function. They must come to
pass one after the other: the N-th call of the function, or return from it, counted from the step before. Then WHOM
(supervisor, launcher, init, agent, group) gets SIGNAL before the supervisor takes another step. The interpreter's own
profiling hook tells; nothing of the product is replaced.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from types import CodeType, FrameType
from typing import Any

Find = Callable[[], int]


def find_code(name: str) -> CodeType:
    module, _, path = name.partition(":")
    found: Any = import_module(f"trio_egress.{module}")
    for part in path.split("."):
        found = getattr(found, part)
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    code: CodeType = found.__code__
    return code


def find_only_child(pid: int, word: str = "") -> int:
    """Waits for it: a process that is about to run another program has no arguments for a moment."""
    while True:
        found = [child for child in find_children(pid) if word in read(f"/proc/{child}/cmdline")]
        if found:
            (only,) = found
            return only


def find_children(pid: int) -> list[int]:
    tasks = os.listdir(f"/proc/{pid}/task")
    return [int(child) for task in tasks for child in read(f"/proc/{pid}/task/{task}/children").split()]


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


def find_launcher() -> int:
    return find_only_child(os.getpid(), "launcher.py")


def find_init() -> int:
    return find_only_child(find_launcher())


TARGETS: dict[str, Find] = {
    "supervisor": os.getpid,
    "launcher": find_launcher,
    "init": find_init,
    "group": lambda: 0,
    "agent": lambda: find_only_child(find_init()),
}


class Strike:
    """The profiling hook of every thread."""

    def __init__(self, steps: str, whom: str, number: int) -> None:
        self.steps: list[tuple[CodeType | None, str, int]] = []
        for step in steps.split(","):
            module, function, event, count = step.split(":")
            code = find_code(f"{module}:{function}") if module else None
            self.steps.append((code, event, int(count)))
        self.supervisor = os.getpid()
        self.whom = TARGETS[whom]
        self.number = number

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if os.getpid() != self.supervisor:  # the recorder's process, which begins with a copy of this
            return
        if not self.steps or event != self.steps[0][1] or self.steps[0][0] not in (None, frame.f_code):
            return
        code, event, count = self.steps.pop(0)
        if count > 1:
            self.steps.insert(0, (code, event, count - 1))
        elif not self.steps:
            os.kill(self.whom(), self.number)


def main() -> int:
    steps, whom, number, *arguments = sys.argv[1:]
    if not steps.startswith("::"):
        import trio_egress.runtime.supervisor  # noqa: F401  now, and not counted
    from trio_egress.cli.main import main

    strike = Strike(steps, whom, int(signal.Signals[number]))
    threading.setprofile(strike)
    sys.setprofile(strike)
    code = main(arguments)
    sys.setprofile(None)
    if strike.steps:
        _, _, left = strike.steps[0]
        sys.exit(f"a step never came: left {left}")
    return code


if __name__ == "__main__":
    sys.exit(main())
