"""How OpenSSH's client inside comes to know the host keys that the policy pins: files of /etc/ssh. Plans only.

Rule 1: what the machine knows stays known; nothing on the host is changed.
Rule 2: a machine without /etc/ssh has no such client, and gets none of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from trio_egress.kernel.steps import STAGE, Mount
from trio_egress.values import frozen

FOLDER = "/etc/ssh"
KNOWN_HOSTS = "ssh_known_hosts"
CONFIG = "ssh_config.d/00-trio-egress.conf"
"""Before the machine's own: of each option the first value counts (`man 5 ssh_config`)."""

KNOWN_CHARS = 8 << 20
"""Of the machine's own file."""


@frozen
class SshFiles:
    """What is added: lines of known_hosts, and a file of ssh_config.d. Either may be empty."""

    known_hosts: str = ""
    config: str = ""


def keep_ssh(files: SshFiles) -> Iterator[Mount]:
    """While the directory can still be seen as it is on the host."""
    if folder := _find_folder(files):
        yield Mount("keep", f"{STAGE}/ssh/lower", folder)


def plan_ssh(files: SshFiles, owner: int, group: int) -> Iterator[Mount]:
    """Before everything is made read-only."""
    folder = _find_folder(files)
    if not folder:
        return
    top, own = f"{STAGE}/ssh/top", f"{folder}/{KNOWN_HOSTS}"
    if files.known_hosts:
        yield Mount("file", f"{top}/{KNOWN_HOSTS}", files.known_hosts + _read_own(own))
    if files.config:
        yield Mount("file", f"{top}/{CONFIG}", files.config)
    yield Mount("layer", folder, f"{STAGE}/ssh/lower", owner=owner, group=group, top=top)
    if (
        files.known_hosts
    ):  # in a container that file may be a mount: over that there can be no layer (`man 7 user_namespaces`)
        yield Mount("bind", own, f"{top}/{KNOWN_HOSTS}", read_only=True, optional=True)


def _find_folder(files: SshFiles) -> str:
    folder = os.path.realpath(FOLDER)
    return folder if files != SshFiles() and os.path.isdir(folder) else ""


def _read_own(path: str) -> str:
    """What anybody may read of it, whoever starts the run."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            public = os.fstat(file.fileno()).st_mode & stat.S_IROTH
            return file.read(KNOWN_CHARS) if public else ""
    except OSError:  # not there, or nobody's to read
        return ""
