"""The host's mounts, read from /proc/self/mountinfo (`man 5 proc_pid_mountinfo`): which there are, and where else a
file of one shows up. Pure: text and paths in, values out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from trio_egress.values import frozen


@frozen
class HostMount:
    """One mount that can be reached: `root` is the directory of the file system `device` that is seen at `point`."""

    point: str
    root: str
    device: str
    kind: str


def parse_mountinfo(raw_table: bytes) -> tuple[HostMount, ...]:
    """The mounts that no later one covers, in the kernel's order."""
    rows = [line.split(b" ") for line in raw_table.splitlines()]
    numbers = {row[0] for row in rows}
    below: dict[bytes, list[list[bytes]]] = {}
    for row in rows:
        below.setdefault(row[1], []).append(row)
    waiting = [row for row in rows if row[1] not in numbers or row[0] == row[1]]
    seen = set()
    while waiting:
        row = waiting.pop()
        children = below.get(row[0], [])
        covers = [child for child in children if child[4] == row[4] and child[0] != row[0]]
        if covers:  # mounted over it: what it had below can't be reached any more
            waiting.append(covers[-1])
            continue
        seen.add(row[0])
        outer = {child[4] for child in children}
        waiting += [child for child in children if not _is_covered(child[4], outer)]
    return tuple(_read_row(row) for row in rows if row[0] in seen)


def _is_covered(point: bytes, points: Iterable[bytes]) -> bool:
    return any(point.startswith(outer + b"/") for outer in points)


def _read_row(row: Sequence[bytes]) -> HostMount:
    """Fields 3 to 5, and the first after the hyphen."""
    kind = row[row.index(b"-", 6) + 1]
    return HostMount(_decode(row[4]), _decode(row[3]), row[2].decode("ascii"), _decode(kind))


def _decode(field: bytes) -> str:
    """Space, tab, line feed and backslash are written in octal."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), field))


def find_mount(path: str, mounts: Iterable[HostMount]) -> HostMount | None:
    """The mount that `path`, which has no links in it, is on."""
    within = [mount for mount in mounts if is_in(path, mount.point)]
    return max(within, key=lambda mount: len(mount.point), default=None)


def find_aliases(path: str, mounts: Sequence[HostMount]) -> tuple[str, ...]:
    """Where else on this machine the file or directory `path` can be seen, or something that is in it."""
    own = find_mount(path, mounts)
    if own is None:
        return ()
    inside = _join(own.root, path[len(own.point.rstrip("/")) :])
    found = []
    for mount in mounts:
        if mount == own or mount.device != own.device:
            continue
        if is_in(mount.root, inside):
            found.append(mount.point)
        elif is_in(inside, mount.root):
            alias = _join(mount.point, inside[len(mount.root.rstrip("/")) :])
            if find_mount(alias, mounts) == mount:
                found.append(alias)
    return tuple(found)


def is_in(path: str, folder: str) -> bool:
    """Whether a path is a directory or in it."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _join(folder: str, rest: str) -> str:
    return f"{folder.rstrip('/')}/{rest.strip('/')}".rstrip("/") or "/"
