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
from trio_egress.kernel.guard import Match, Search, bind_patterns, drop_inner, parents

POINTS_MAX = 4096
"""Two mounts and 60 µs each; the kernel's own bound is 100,000 (fs.mount-max)."""

Guard = tuple[tuple[str, tuple[str, ...]], ...]
"""Pairs of a root and its patterns."""


def plan_guard(patterns: Iterable[str], roots: Sequence[str]) -> Guard:
    """What is protected in each directory that stays writable. Patterns are relative or absolute."""
    found: dict[str, list[str]] = {root: [] for root in roots}
    for pattern in patterns:
        for root, bound in bind_patterns(pattern, roots).items():
            found[root].append(bound)
    return tuple((root, tuple(bound)) for root, bound in found.items() if bound)


def find_points(guard: Guard) -> list[tuple[str, bool]]:
    """Mount points, outermost first, and whether each is read-only. Raises SandboxError for too many."""
    protected: set[str] = set()
    passed: set[str] = set()
    for root, patterns in guard:
        for match in Search(patterns).find(root):
            path = os.path.realpath(match.path) if match.link else match.path
            if not match.whole or not path.startswith(f"{root}/") or not os.path.exists(path):
                continue
            protected.add(path)
            passed.update(_find_way(root, path, match))
    outermost = drop_inner(sorted(protected))
    points = dict.fromkeys(passed - protected, False) | dict.fromkeys(outermost, True)
    if len(points) > POINTS_MAX:
        raise SandboxError(
            f"[files] protect: {len(points)} files and directories match, and {POINTS_MAX} can be protected"
        )
    return sorted(points.items())


def _find_way(root: str, path: str, match: Match) -> Iterator[str]:
    for folder in parents(path):
        if len(folder) <= len(root):
            return
        if match.anchored or os.path.basename(folder).startswith("."):
            yield folder
