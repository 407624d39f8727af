"""What the agent may use of the machine: a value that the policy reads and the kernel is told.

Values only, as in model.py.
"""

from __future__ import annotations

from trio_egress.values import frozen


@frozen
class ResourceLimits:
    """What the agent may use of the machine, all of its processes together; None is the machine's own limit.

    `open_files`, `file_bytes`: of one process, of one file. `memory_bytes`: None is 7/8 of what this caller has.
    """

    processes: int | None = 4096
    """Threads count too. Twice Podman's `pids_limit`; a build on 128 cores stays far below."""

    open_files: int | None = None
    memory_bytes: int | None = None
    file_bytes: int | None = None
    cpu_seconds: int | None = None
