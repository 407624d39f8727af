"""The limits of a run out of its policy: what `[limits]` names, and a default where it is silent."""

from __future__ import annotations

from trio_egress.policy.limits import Limits
from trio_egress.resource_limits import ResourceLimits


def find_limits(limits: Limits) -> ResourceLimits:
    """`wall_seconds` is not among them: it is the supervisor's own clock that keeps it."""
    given = {
        "processes": limits.processes,
        "open_files": limits.open_files,
        "memory_bytes": limits.memory,
        "file_bytes": limits.file_size,
        "cpu_seconds": limits.cpu_seconds,
    }
    return ResourceLimits(**{name: value for name, value in given.items() if value is not None})
