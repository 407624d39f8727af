"""Where a session's server tells what becomes receipts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trio_egress.values import frozen


@frozen
class Book:
    """`refused`: calls, as PID 1 tells of them. `command`: the facts of one that has ended. `settle`: what is counted
    of repeats so far is told now, so that a command's denials are told before its end."""

    refused: Callable[[Mapping[str, Any]], None]
    command: Callable[[Mapping[str, object]], None]
    settle: Callable[[], None]
