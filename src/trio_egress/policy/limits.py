"""The `[limits]` table: how much of the machine the agent may use.

Numbers only: how the kernel is told is another floor's affair. Where a key is missing, the default is ResourceLimits'.
"""

from __future__ import annotations

from collections.abc import Callable

from trio_egress.policy.values import read_number, read_size
from trio_egress.resource_limits import ResourceLimits
from trio_egress.values import frozen

DEFAULTS = ResourceLimits()

# Fewer than these, and hardly a program starts, which would be told in riddles.
LEAST_NUMBERS = {"processes": 1, "open_files": 16, "cpu_seconds": 1, "wall_seconds": 1}
LEAST_SIZES = {"memory": 32 << 20, "file_size": 1}


@frozen(kw_only=True)
class Limits:
    """A field for each key. `memory` and `file_size` are bytes; `wall_seconds` is a time-out of the run."""

    processes: int | None = DEFAULTS.processes
    open_files: int | None = DEFAULTS.open_files
    memory: int | None = DEFAULTS.memory_bytes
    file_size: int | None = DEFAULTS.file_bytes
    cpu_seconds: int | None = DEFAULTS.cpu_seconds
    wall_seconds: int | None = None


def read_limit(key: str) -> Callable[[object], int]:
    """What reads the value of this key."""
    if key in LEAST_SIZES:
        return lambda value: read_size(key, value, LEAST_SIZES[key])
    return lambda value: read_number(key, value, LEAST_NUMBERS[key])
