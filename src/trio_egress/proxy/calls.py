"""The system calls that the agent was refused, as PID 1 tells of them: each kind in each message becomes a receipt.

PID 1 counts and sums up (kernel/notify.py), so a flood costs a message a second. Its running total is what the close
receipt signs, and the receipts must add up to it.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any

from trio_egress.kernel.calls import MANY
from trio_egress.model import Transport
from trio_egress.recorder import Recorder


class Calls:
    """The refused calls of one run."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self.total = 0
        """What PID 1 has counted, by its own word."""

    def record(self, message: Mapping[str, Any]) -> None:
        """A message of kind `refused`."""
        for name, detail, number, count in message["calls"]:
            answer = errno.errorcode[number]
            facts = {"call": name, "detail": detail, "errno": answer}
            reason = _explain(name, detail, answer)
            self._recorder.drop_nowait(f"syscall:{name}", count, reason, facts, Transport.SYSCALL)
        self.total = message["total"]


def _explain(name: str, detail: str, answer: str) -> str:
    words = "with other arguments" if detail == MANY else detail
    return f"{name}({words}) is refused inside the sandbox: {answer}"
