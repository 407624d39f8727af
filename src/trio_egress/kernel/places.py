"""Which places a list of mounts leaves writable, read off the list itself, so that the two can't disagree."""

from __future__ import annotations

from collections.abc import Iterable

from trio_egress.kernel.steps import Mount

_SOCKET_DIRECTORIES = ("/run", "/var/run")
_IN_MEMORY = ("tmpfs", "overlay")


def find_writable(mounts: Iterable[Mount]) -> tuple[str, ...]:
    """Every place that can be written when all mounts are done, and no other may be."""
    return tuple(sorted(_final(mounts)))


def find_private(mounts: Iterable[Mount]) -> tuple[str, ...]:
    """Those of them that are kept in memory and end with the run."""
    return tuple(sorted(path for path, kind in _final(mounts).items() if kind in _IN_MEMORY))


def _final(mounts: Iterable[Mount]) -> dict[str, str]:
    kinds: dict[str, str] = {}
    writable: dict[str, str] = {}
    for step in mounts:
        if step.kind in (*_IN_MEMORY, "bind"):
            kinds[step.target] = step.kind
            if step.source != step.target:  # a bind of a place onto itself takes what is mounted below along
                _cover(step.target, writable)
        if step.kind == "freeze":
            writable.clear()
        elif step.kind in ("tmpfs", "overlay", "writable") and not step.read_only:
            writable[step.target] = kinds.get(step.target, "")
        elif step.kind == "read_only" or step.read_only:
            writable.pop(step.target, None)
    for path in (*_SOCKET_DIRECTORIES, "/proc"):
        writable.pop(path, None)
    return writable


def _cover(target: str, writable: dict[str, str]) -> None:
    """What was mounted below is out of sight: a HOME in a working directory is the host's, as all of that is."""
    for path in [path for path in writable if path.startswith(f"{target}/")]:
        del writable[path]
