"""Carries out the list of mounts that `kernel/mounts.py` worked out. Standard library only: part of the launcher."""

from __future__ import annotations

import errno
import os
from typing import Any

from trio_egress.kernel import syscalls

Step = dict[str, Any]

INODE_BYTES = 8192
"""One file of a private tmpfs for so many bytes of its size; an empty one costs the kernel about 1 KiB."""

FEWEST_INODES = 65536


def apply_mounts(steps: list[Step]) -> None:
    """Every step in order, in a mount namespace of this process's own. Raises OSError that names the step."""
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE, None)
    own = os.umask(0o022)  # with the caller's 027 the agent couldn't enter what is made for it here
    try:
        for step in steps:
            _apply_step(step)
    finally:
        os.umask(own)


def _apply_step(step: Step) -> None:
    try:
        _APPLY[step["kind"]](step)
    except OSError as error:
        if step["optional"] and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            return
        raise OSError(error.errno, f"{step['kind']} on {step['target']}: {error.strerror or error}") from None


def _tmpfs(step: Step) -> None:
    os.makedirs(step["target"], exist_ok=True)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | (syscalls.MS_RDONLY if step["read_only"] else 0)
    options = f"mode={step['mode']}"
    if step["size"]:
        options += f",size={step['size']},nr_inodes={max(step['size'] // INODE_BYTES, FEWEST_INODES)}"
    syscalls.mount("tmpfs", step["target"], "tmpfs", flags, options)


def _file(step: Step) -> None:
    os.makedirs(os.path.dirname(step["target"]), exist_ok=True)
    with open(step["target"], "x", encoding="utf-8", errors="surrogateescape") as file:
        file.write(step["source"])


def _link(step: Step) -> None:
    os.symlink(step["source"], step["target"])


def _bind(step: Step) -> None:
    if os.path.isdir(step["source"]):
        os.makedirs(step["target"], exist_ok=True)
    syscalls.mount(step["source"], step["target"], None, syscalls.MS_BIND | syscalls.MS_REC, None)
    if step["read_only"]:
        syscalls.mount_setattr(step["target"], syscalls.MOUNT_ATTR_RDONLY)


def _keep(step: Step) -> None:
    if os.path.isdir(step["source"]):
        os.makedirs(step["target"])
    else:
        os.makedirs(os.path.dirname(step["target"]), exist_ok=True)
        os.close(os.open(step["target"], os.O_CREAT | os.O_EXCL, 0o600))
    syscalls.mount(step["source"], step["target"], None, syscalls.MS_BIND | syscalls.MS_REC, None)


def _overlay(step: Step) -> None:
    upper, work = f"{step['source']}/upper", f"{step['source']}/work"
    os.makedirs(work)
    os.mkdir(upper, os.stat(step["target"]).st_mode & 0o777)
    if step["owner"] != os.geteuid():
        os.chown(upper, step["owner"], -1)
    options = f"lowerdir={step['target']},upperdir={upper},workdir={work}"
    if os.geteuid() != 0:
        options += ",userxattr"  # in a user namespace: trusted.* is not to be had there
    syscalls.mount("overlay", step["target"], "overlay", syscalls.MS_NOSUID | syscalls.MS_NODEV, options)


def _pts(step: Step) -> None:
    os.mkdir(step["target"])
    flags = syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    syscalls.mount("devpts", step["target"], "devpts", flags, "newinstance,ptmxmode=0666,mode=0620")


def _freeze(step: Step) -> None:
    syscalls.mount_setattr(step["target"], syscalls.MOUNT_ATTR_RDONLY, recursive=True)


def _read_only(step: Step) -> None:
    syscalls.mount_setattr(step["target"], syscalls.MOUNT_ATTR_RDONLY)


def _writable(step: Step) -> None:
    syscalls.mount_setattr(step["target"], clear_flags=syscalls.MOUNT_ATTR_RDONLY)


_APPLY = {
    "tmpfs": _tmpfs,
    "file": _file,
    "link": _link,
    "bind": _bind,
    "keep": _keep,
    "overlay": _overlay,
    "pts": _pts,
    "freeze": _freeze,
    "read_only": _read_only,
    "writable": _writable,
}
