"""What `[files]` says, as paths of this machine: where `~` and the working directory are, and whether they are there.

Rule 1: what can't be as the policy says ends the run before it begins, with the key's name: a directory that is missing
is not made, and what is missing can't be hidden.
"""

from __future__ import annotations

import os
from pathlib import Path

from trio_egress.errors import SandboxError, UsageError
from trio_egress.kernel.mounts import NEVER_SHARED
from trio_egress.policy.files import Files

KEPT = ("/run", "/var/run", "/dev", "/proc", "/sys")
"""Made anew for every run, for what can be reached by them; /dev/shm is the agent's own anyway."""


def find_places(files: Files, directory: str, home: str) -> Files:
    """The same with absolute paths; relative entries of `protect` stay so, because they hold in every directory."""
    return Files(
        write=tuple(_check_writable(path, _resolve("write", path, directory, home)) for path in files.write),
        hide=tuple(
            _check_hidden(path, _resolve("hide", path, directory, home), directory) for path in files.hide
        ),
        protect=tuple(
            _resolve("protect", path, directory, home) if path.startswith("~") else path
            for path in files.protect
        ),
    )


def refuse_reach(option: str, given: str, path: str, files: Files, directory: str, home: str) -> None:
    """Raises UsageError where the agent can write on the way to this path: it could put another there, or move it."""
    folder = Path(path).parent
    way = {os.path.realpath(at) for at in (folder, *folder.parents)}
    for place in map(os.path.realpath, (directory, *find_places(files, directory, home).write)):
        if place not in NEVER_SHARED and any(_is_in(at, (place,)) for at in way):
            raise UsageError(f"{option} {given}: the agent can write in {place}: name one elsewhere")


def _resolve(key: str, path: str, directory: str, home: str) -> str:
    if path == "~" or path.startswith("~/"):
        if not home.startswith("/"):
            raise SandboxError(f"[files] {key}: {path} is in the agent's HOME, and it has none")
        return os.path.normpath(home + path[1:])
    return os.path.normpath(os.path.join(directory, path))


def _check_writable(written: str, path: str) -> str:
    real = os.path.realpath(path)
    if not os.path.isdir(real):
        missing = "is no directory" if os.path.lexists(real) else "does not exist: make it before the run"
        raise SandboxError(f"[files] write: {written} {missing}{_lead(written, real)}")
    if real == "/" or (_is_in(real, KEPT) and not _is_in(real, ("/dev/shm",))):  # noqa: S108
        raise SandboxError(
            f"[files] write: {written} can't be made writable for the agent{_lead(written, real)}"
        )
    if os.statvfs(real).f_flag & os.ST_RDONLY:
        raise SandboxError(f"[files] write: {written} is on a read-only file system{_lead(written, real)}")
    return path


def _check_hidden(written: str, path: str, directory: str) -> str:
    real = os.path.realpath(path)
    if not os.path.lexists(real):
        raise SandboxError(f"[files] hide: {written} does not exist{_lead(written, real)}")
    if _is_in(os.path.realpath(directory), (real,)):
        raise SandboxError(f"[files] hide: {written} holds the working directory, in which the agent starts")
    return path


def _lead(written: str, real: str) -> str:
    return "" if written == real else f" ({real})"


def _is_in(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == folder or path.startswith(f"{folder.rstrip('/')}/") for folder in folders)
