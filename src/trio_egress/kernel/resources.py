"""The limits of a run, worked out for this machine: values that the launcher carries out (limits.py, watch.py)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import attrs

from trio_egress.errors import SandboxError
from trio_egress.kernel.identity import Identities
from trio_egress.kernel.steps import Mount
from trio_egress.resource_limits import ResourceLimits
from trio_egress.values import frozen

MEMORY_SHARE = (7, 8)
"""Of the memory that the caller has; the rest is for the supervisor and the machine."""

LEAST_MEMORY = 32 << 20


@frozen
class Resources:
    """Limits as numbers, None where there is none.

    `neighbours`: processes of ours that count as the agent's user. `private`: the places that are kept in memory.
    """

    processes: int | None
    open_files: int | None
    memory: int | None
    file_size: int | None
    cpu_seconds: int | None
    neighbours: int
    private: tuple[str, ...]


def plan_resources(
    limits: ResourceLimits, identities: Identities, private: Iterable[str], available_bytes: int
) -> Resources:
    """Raises SandboxError for a limit that no agent could live with."""
    given = limits.memory_bytes
    if given is not None and given < LEAST_MEMORY:
        raise SandboxError(f"a memory limit of {given} bytes is less than any program needs (32 MiB)")
    for name in ("processes", "open_files", "file_bytes", "cpu_seconds"):
        value = getattr(limits, name)
        if value is not None and value < 1:
            raise SandboxError(f"the limit {name} is {value}, and must be at least 1")
    return Resources(
        processes=limits.processes,
        open_files=limits.open_files,
        memory=given if given is not None else available_bytes * MEMORY_SHARE[0] // MEMORY_SHARE[1],
        file_size=limits.file_bytes,
        cpu_seconds=limits.cpu_seconds,
        neighbours=0 if identities.apart else 2,  # the launcher and PID 1
        private=tuple(private),
    )


def find_available() -> int:
    """The memory of this machine, or of the tightest cgroup that the caller is in and can see."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([total, *_cgroup_limits(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup").read_text("ascii"))])


def _cgroup_limits(root: Path, membership: str) -> Iterable[int]:
    found = re.search(r"^0::/(.*)$", membership, re.MULTILINE)
    place = root / (found[1] if found else "")
    old = re.search(r"^\d+:memory:/(.*)$", membership, re.MULTILINE)
    files = [folder / "memory.max" for folder in (place, *place.parents) if folder.is_relative_to(root)]
    if old:
        files.append(root / "memory" / old[1] / "memory.limit_in_bytes")
    files.append(root / "memory" / "memory.limit_in_bytes")
    for file in files:
        try:
            text = file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if text.isdigit():
            yield int(text)


def limit_mounts(mounts: Iterable[Mount], resources: Resources) -> tuple[Mount, ...]:
    """The same mounts, with those that hold memory no larger than the agent's memory."""
    size = resources.memory
    if size is None:
        return tuple(mounts)
    return tuple(attrs.evolve(step, size=size) if step.kind == "tmpfs" else step for step in mounts)
