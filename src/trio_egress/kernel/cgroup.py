"""A cgroup of the run's own (version 2), where the caller may make one: the kernel then counts all that the agent uses.

Made beside the caller's own, so that nothing that runs is moved but the agent. Where none can be made kernel/watch.py
holds the same limits.

Rule 1: it is gone when the run is, even a killed one: a shell waits for the end of a pipe and removes it.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from trio_egress.errors import SandboxError
from trio_egress.kernel.limits import kernel_version
from trio_egress.kernel.resources import Resources
from trio_egress.values import frozen

OLDEST_KERNEL = (5, 16)
"""The first that judges a move by who opened cgroup.procs (CVE-2021-4197): the agent itself may not."""

REMOVER = """
trap '' HUP INT QUIT TERM
read -r _
tries=0
while ! rmdir "$0" 2>/dev/null && [ -d "$0" ] && [ $tries -lt 100 ]; do
    sleep 0.05
    tries=$((tries + 1))
done
"""

REMOVAL_SECONDS = 6.0


@frozen
class Group:
    """`descriptors`: what the launcher gets, by name; `holds`: the controllers that are there."""

    path: Path
    descriptors: Mapping[str, int]
    holds: frozenset[str]


def find_parent(mounts: str, membership: str) -> Path | None:
    """The nearest cgroup above the caller's in which a new one gets controllers, and the caller may make it.

    `mounts` and `membership` are /proc/self/mountinfo and /proc/self/cgroup.
    """
    mounted = re.search(r"^(?:\S+ ){3}(\S+) (\S+) .* - cgroup2 ", mounts, re.MULTILINE)
    own = re.search(r"^0::(/.*)$", membership, re.MULTILINE)
    if mounted is None or own is None or not _is_below(own[1], mounted[1]):
        return None
    top = Path(mounted[2])
    place = top / os.path.relpath(own[1], mounted[1])
    for folder in place.parents:
        if not folder.is_relative_to(top):
            break
        if _controllers(folder) and all(os.access(p, os.W_OK) for p in (folder, folder / "cgroup.procs")):
            return folder
    return None


def _is_below(path: str, top: str) -> bool:
    return top == "/" or path == top or path.startswith(f"{top}/")


def _controllers(folder: Path) -> frozenset[str]:
    try:
        given = (folder / "cgroup.subtree_control").read_text("ascii").split()
    except (OSError, UnicodeDecodeError):
        return frozenset()
    return frozenset(given) & {"memory", "pids"}


@contextmanager
def open_group(parent: Path | None, resources: Resources) -> Iterator[Group | None]:
    """A cgroup with the limits of the run, empty yet; None where there is no parent for it. Removed at the end."""
    if parent is None or kernel_version() < OLDEST_KERNEL:
        yield None
        return
    path = parent / f"trio-egress-{os.urandom(8).hex()}"
    try:
        path.mkdir()
    except OSError:
        yield None  # what os.access does not know: a mount that is read-only, a security module, a limit of depth
        return
    with _removed(path):
        group = fill_group(path, resources)
        try:
            yield group
        finally:
            for descriptor in group.descriptors.values():
                os.close(descriptor)


@contextmanager
def _removed(path: Path) -> Iterator[None]:
    command = ["/bin/sh", "-c", REMOVER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as remover:
        try:
            yield
        finally:
            assert remover.stdin is not None
            remover.stdin.close()
            remover.wait(REMOVAL_SECONDS)


def fill_group(path: Path, resources: Resources) -> Group:
    """Raises SandboxError: a limit that the kernel offers and then refuses would not be held."""
    holds = _controllers(path.parent)
    limits: dict[str, object] = {}
    if "memory" in holds and resources.memory is not None:
        limits |= {"memory.max": resources.memory, "memory.oom.group": 1}
        if (path / "memory.swap.max").exists():
            limits["memory.swap.max"] = 0
    if "pids" in holds and resources.processes is not None:
        limits["pids.max"] = resources.processes
    try:
        for name, value in limits.items():
            (path / name).write_text(f"{value}\n")
        descriptors = {"procs": os.open(path / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)}
        events = {"memory": "memory.events", "pids": "pids.events"}
        for name, file in {**{name: events[name] for name in holds}, "cpu": "cpu.stat"}.items():
            descriptors[name] = os.open(path / file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SandboxError(f"cannot set up the cgroup {path}: {error}") from None
    return Group(path, descriptors, holds)


def find_own_parent() -> Path | None:
    """For this process; see `find_parent`."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
        return find_parent(mounts, Path("/proc/self/cgroup").read_text("utf-8", "surrogateescape"))
    except OSError:
        return None
