"""Which of the protected files get a mount of their own, so that the agent can't change them. Looks, changes nothing.

Rule 1: what is there is mounted over itself, read-only. What is not there can't be: a mount point would have to be made
on the host. That it was made is found at the end, by kernel/guard.py.
Rule 2: a mount point can't be renamed, but the directory that it is in can. So the directories on the way are mounted
over themselves, too: all that a pattern names one by one, and behind a `**` those whose name begins with a dot. A
rename out of such a directory is EXDEV, which programs expect of `.git` and not of every folder of a project.
Rule 3: a link can't be a mount point; where it leads is protected instead, and the link itself is looked at at the end.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from trio_egress.errors import SandboxError
from trio_egress.kernel.guard import ENTRIES_MAX, Match, Search, bind_patterns, drop_inner, parents
from trio_egress.kernel.lending import is_set_id
from trio_egress.kernel.listeners import is_bound
from trio_egress.kernel.mountinfo import is_in
from trio_egress.values import frozen

POINTS_MAX = 4096
"""Two mounts and 60 µs each; the kernel's own bound is 100,000 (fs.mount-max)."""

EVERYWHERE = "**/\0"
"""No name has it: a search with it looks everywhere and finds nothing more."""

Guard = tuple[tuple[str, tuple[str, ...]], ...]
"""Pairs of a root and its patterns."""


def plan_guard(patterns: Iterable[str], roots: Sequence[str]) -> Guard:
    """What is protected in each directory that stays writable. Patterns are relative or absolute."""
    found: dict[str, list[str]] = {root: [] for root in roots}
    for pattern in patterns:
        for root, bound in bind_patterns(pattern, roots).items():
            found[root].append(bound)
    return tuple((root, tuple(bound)) for root, bound in found.items() if bound)


@frozen
class Points:
    """`mounts`: mount points, outermost first, and whether each is read-only. `sockets`: those that are somebody's."""

    mounts: tuple[tuple[str, bool], ...]
    sockets: tuple[str, ...]


def find_points(guard: Guard, roots: Sequence[str], lent: str = "") -> Points:
    """What has to be mounted over in `roots`, which stay writable. Raises SandboxError for too many.

    In `lent` the agent has the rights of the owner, and so what runs as its owner is protected too.
    """
    patterns = dict(guard)
    protected: set[str] = set()
    passed: set[str] = set()
    found = _Findings(lent)
    for root in roots:
        search = Search((*patterns.get(root, ()), EVERYWHERE), notice=found.take)
        for match in search.find(root):
            path = os.path.realpath(match.path) if match.link else match.path
            if not match.whole or not path.startswith(f"{root}/") or not os.path.exists(path):
                continue
            protected.add(path)
            passed.update(_find_way(root, path, match))
        if search.cut and lent and is_in(lent, root):
            raise SandboxError(
                f"{lent} is not the agent's to write, and too large to be lent to it: more than {ENTRIES_MAX} names "
                "can't be looked through for files that run as their owner; start the agent further down, or chown it"
            )
    outermost = drop_inner(sorted(protected | found.set_ids))
    points = dict.fromkeys(passed - protected, False) | dict.fromkeys(outermost, True)
    if len(points) > POINTS_MAX:
        raise SandboxError(
            f"[files] protect: {len(points)} files and directories match, and {POINTS_MAX} can be protected"
        )
    return Points(tuple(sorted(points.items())), tuple(filter(is_bound, sorted(found.sockets))))


class _Findings:
    """What a search comes by that no pattern names."""

    def __init__(self, lent: str) -> None:
        self.lent = lent
        self.sockets: set[str] = set()
        self.set_ids: set[str] = set()

    def take(self, entry: os.DirEntry[str]) -> None:
        if entry.is_dir(follow_symlinks=False) or entry.is_symlink():
            return
        if not entry.is_file(follow_symlinks=False):
            self.sockets.add(entry.path)
        elif (
            self.lent
            and is_in(entry.path, self.lent)
            and is_set_id(entry.stat(follow_symlinks=False).st_mode)
        ):
            self.set_ids.add(entry.path)


def _find_way(root: str, path: str, match: Match) -> Iterator[str]:
    for folder in parents(path):
        if len(folder) <= len(root):
            return
        if match.anchored or os.path.basename(folder).startswith("."):
            yield folder
