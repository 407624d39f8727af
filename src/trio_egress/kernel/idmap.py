"""A directory of somebody else's, lent to the agent: an id-mapped mount, in which its owner's ids are the agent's.

What the agent makes there belongs on the host to the owner, as does the directory. Only root may do this, and only
where the file system can (Linux 5.12: ext4, xfs, btrfs; 6.3: tmpfs; overlay never). Standard library only: part of the
launcher.

Rule 1: nothing that is the owner's becomes more than a file by it: no device can be opened there, no file runs as its
owner. (That none is left behind is the seccomp filter's: kernel/seccomp.py, `refused_modes`.)
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

from trio_egress.kernel import syscalls

IDS = 2**32 - 1
"""All there are; the last number means none."""


class Unlendable(Exception):
    """The directory can't be lent; the message says why, and what helps."""


def lend(source: str, target: str, uid: int, gid: int) -> None:
    """Mount the directory `source` at `target`, which is there, with its owner and group seen as `uid` and `gid`.

    Mounts below it come along as they are. Raises Unlendable.
    """
    owner = os.stat(source)
    try:
        namespace = open_namespace(render_map(owner.st_uid, uid), render_map(owner.st_gid, gid))
        try:
            tree = syscalls.open_tree(source)
            try:
                syscalls.map_mount(tree, syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV, namespace)
                syscalls.move_mount(tree, target)
            finally:
                os.close(tree)
        finally:
            os.close(namespace)
    except OSError as error:
        raise Unlendable(
            f"the agent's user {uid} can't write in {source}, which belongs to {owner.st_uid}, nor can it be lent to "
            f"that user ({error.strerror or error}): not every file system can be seen with other owners (overlay "
            f"can't), and not every container may do it. `chown -R {uid} {source}` lets the agent write, or --user "
            "with somebody who can; an agent that need not write can be started in /"
        ) from None


def render_map(owner: int, agent: int) -> str:
    """Lines of uid_map: how the ids of files are seen. All as they are, but for `owner`, who is seen as `agent`.

    What belongs to the agent's own id on the disk belongs to nobody then: no two ids can be seen as one.
    """
    if owner == agent:
        return f"0 0 {IDS}\n"
    return (
        "".join(f"{first} {first} {count}\n" for first, count in _gaps(owner, agent)) + f"{owner} {agent} 1\n"
    )


def _gaps(*left_out: int) -> Iterator[tuple[int, int]]:
    first = 0
    for at in sorted(left_out):
        if at > first:
            yield first, at - first
        first = at + 1
    yield first, IDS - first


def open_namespace(uid_map: str, gid_map: str) -> int:
    """A descriptor of a user namespace with these maps. Nobody is in it; it ends with the mount that uses it."""
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            syscalls.unshare(syscalls.CLONE_NEWUSER)
            os.write(tell, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(tell)
    try:
        if not os.read(ready, 1):
            raise OSError(1, "no user namespace can be made")
        for name, text in (("uid_map", uid_map), ("gid_map", gid_map)):
            with open(f"/proc/{child}/{name}", "w", encoding="ascii") as file:
                file.write(text)
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
