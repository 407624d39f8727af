"""Subordinate ids: what /etc/subuid and /etc/subgid lend to an ordinary user, for an agent that is somebody else.

Only newuidmap and newgidmap (Debian's package `uidmap`), which are root's, can map such an id into a user namespace.

Rule 1: it is always the same id, the last of the user's first range, because the rights that a person gives it on a
directory stay there. Rootless containers count from the range's start.
"""

from __future__ import annotations

import shutil
import subprocess

from trio_egress.errors import SandboxError

UID_FILE, GID_FILE = "/etc/subuid", "/etc/subgid"
PROGRAMS = ("newuidmap", "newgidmap")
MAP_SECONDS = 30.0

INSTALL = "install newuidmap and newgidmap (Debian, Ubuntu: sudo apt-get install uidmap)"


def find_subordinate(name: str, uid: int) -> tuple[int, int]:
    """The user and group id that an ordinary user's agent has; SandboxError with the cure where there are none."""
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        raise SandboxError(f"--user subordinate: {missing[0]} is not on this machine; {INSTALL}")
    found = [_find_last(path, name, uid) for path in (UID_FILE, GID_FILE)]
    for path, last in zip((UID_FILE, GID_FILE), found, strict=True):
        if last is None:
            raise SandboxError(
                f"--user subordinate: {path} lends no ids to {name}; "
                f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name} does "
                "(with a range that nobody else has)"
            )
    return found[0] or 0, found[1] or 0


def _find_last(path: str, name: str, uid: int) -> int | None:
    """The last id of the user's first range: lines of NAME-or-UID:FIRST:COUNT (`man 5 subuid`)."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.strip().split(":") for line in file]
    except OSError:
        return None
    for fields in lines:
        if len(fields) == 3 and fields[0] in (name, str(uid)) and fields[1].isdigit() and fields[2].isdigit():
            first, count = int(fields[1]), int(fields[2])
            if first > 0 and count > 0:
                return first + count - 1
    return None


def map_subordinate(pid: int, users: list[int], groups: list[int]) -> None:
    """Map these ids onto themselves in the user namespace of the process `pid`, a child of this one."""
    for program, ids in zip(PROGRAMS, (users, groups), strict=True):
        command = [program, str(pid), *(word for one in ids for word in (str(one), str(one), "1"))]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=MAP_SECONDS
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise SandboxError(f"cannot map ids into the sandbox: {program}: {error}; {INSTALL}") from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip() or f"exit code {done.returncode}"
            raise SandboxError(
                f"cannot map ids into the sandbox: {said} (is {program} setuid root, and may this process use it?)"
            )
