"""Whether the working directory has to be lent to the agent, because its user couldn't write there (kernel/idmap.py).

Looks, changes nothing.

Rule 1: only root lends, and never a directory of the system or one that holds others' homes: whoever starts an agent in
/etc means to show it, not to give it away. There the agent can read.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable, Iterator

from trio_egress.errors import SandboxError
from trio_egress.kernel.guard import parents
from trio_egress.kernel.mountinfo import is_in

SYSTEM = (
    *(
        "/bin",
        "/boot",
        "/dev",
        "/etc",
        "/lib",
        "/lib32",
        "/lib64",
        "/libx32",
        "/lost+found",
        "/proc",
        "/run",
        "/sbin",
    ),
    *(
        "/sys",
        "/usr",
        "/var/cache",
        "/var/lib/apt",
        "/var/lib/dpkg",
        "/var/lib/rpm",
        "/var/log",
        "/var/run",
        "/var/spool",
    ),
)
"""With all that is in them."""

SOURCES = ("/usr/src", "/usr/local/src")
"""In /usr, and yet somebody's work: /usr/src/app is a usual place in images. Not themselves."""

CROSSROADS = (
    "/",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/srv",
    "/usr/src",
    "/usr/local/src",
    "/var",
    "/var/lib",
)
"""Not what is in them. /root is the home of root, with its keys."""

_ACL = "system.posix_acl_access"
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
WRITE, SEARCH = 2, 1


def find_lent(directory: str, root: bool, uid: int, gid: int) -> str:
    """The working directory, if a run of root has to lend it to the agent, who is in no other group; else empty."""
    real = os.path.realpath(directory)
    if not root or real in CROSSROADS or (_is_any(real, SYSTEM) and not _is_any(real, SOURCES)):
        return ""
    if os.statvfs(real).f_flag & os.ST_RDONLY or may_write(real, uid, gid):
        return ""
    return real


def _is_any(path: str, places: Iterable[str]) -> bool:
    return any(is_in(path, place) for place in places)


def may_write(path: str, uid: int, gid: int) -> bool:
    """Whether the agent can make something in a directory, or let itself."""
    return os.stat(path).st_uid == uid or allows(path, uid, gid, WRITE | SEARCH)


def find_closed(path: str, uid: int, gid: int) -> str:
    """The first directory on the way to `path` that does not let the agent pass; empty where all do."""
    way = reversed(list(parents(path)))
    return next((folder for folder in way if not allows(folder, uid, gid, SEARCH)), "")


def check_way(path: str, uid: int, gid: int) -> None:
    """Raises SandboxError where the agent can't get to `path`."""
    if closed := find_closed(path, uid, gid):
        raise SandboxError(
            f"the agent's user {uid} can't get into {closed}, on the way to {path}: "
            f"setfacl -m u:{uid}:x {closed} lets it, or --user with somebody who can"
        )


def allows(path: str, uid: int, gid: int, asked: int) -> bool:
    """What mode and ACL say of somebody who is in no other group (`man 5 acl`, access check algorithm)."""
    found = os.stat(path)
    if found.st_uid == uid:
        return found.st_mode >> 6 & asked == asked
    entries = list(_read_acl(path)) or [
        (_GROUP_OBJ, found.st_mode >> 3 & 7, 0),
        (_OTHER, found.st_mode & 7, 0),
    ]
    mask = next((rights for tag, rights, _ in entries if tag == _MASK), 7)
    for tag, rights, name in entries:
        if tag == _USER and name == uid:
            return rights & mask & asked == asked
    groups = [
        rights & mask
        for tag, rights, name in entries
        if (tag == _GROUP_OBJ and found.st_gid == gid) or (tag == _GROUP and name == gid)
    ]
    if groups:
        return any(rights & asked == asked for rights in groups)
    return any(rights & asked == asked for tag, rights, _ in entries if tag == _OTHER)


def _read_acl(path: str) -> Iterator[tuple[int, int, int]]:
    """Tag, rights and id of each entry (linux/posix_acl_xattr.h); nothing where there is no ACL."""
    try:
        raw = os.getxattr(path, _ACL)
    except OSError:
        return
    yield from struct.iter_unpack("<HHI", raw[4:])


def is_set_id(mode: int) -> bool:
    """A file that runs as its owner or group, and so must stay as it is where its owner's rights are lent."""
    return stat.S_ISREG(mode) and bool(mode & (stat.S_ISUID | stat.S_ISGID))
