"""How the host is shown to the agent: every directory as a read-only overlay of itself, planned, not done.

On an overlay a Unix socket or named pipe is not the one that somebody of the host listens at: a connection is refused
(ECONNREFUSED, ENXIO), whatever name it has, whenever and wherever it was made. (6.18)

Rule 1: an overlay shows one file system, so each mount that stays visible gets one of its own.
Rule 2: in a user namespace no overlay is made of a directory with mounts in it (EINVAL: it would uncover what they
hide). There such a directory is made anew, with what was in it when the run started.
Rule 3: what no overlay can be made of stays as it is, and the launcher tells so; a file system of the kernel's own, of
which a second look would show too much (/proc of a chroot), isn't shown.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from trio_egress.kernel.lending import SEARCH, allows
from trio_egress.kernel.mountinfo import HostMount, is_in
from trio_egress.kernel.steps import STAGE, Mount
from trio_egress.values import define

NAMES_MAX = 4096
"""Of directories that are made anew: as many steps of some 30 µs."""

NEVER_SHOWN = {
    *(
        "autofs",
        "binfmt_misc",
        "bpf",
        "configfs",
        "debugfs",
        "devpts",
        "devtmpfs",
        "efivarfs",
        "fusectl",
        "mqueue",
    ),
    *("nsfs", "proc", "pstore", "rpc_pipefs", "securityfs", "tracefs"),
}
"""Outside /proc, /sys and /dev, of which a run has its own or the host's."""

WITHOUT_SOCKETS = {"exfat", "iso9660", "msdos", "ntfs3", "udf", "vfat"}
"""File systems that hold neither sockets nor pipes, and some of which can't be a layer (they ignore case)."""


class TooManyNamesError(Exception):
    """A directory has more in it than can be made anew."""


@define
class Host:
    """What the plan needs to know. `made_anew`: places that other steps mount over, so they can stay empty.

    `uid`, `gid`: the agent's. `needed`: what must be there even where the directory it is in can't be listed.
    """

    mounts: Sequence[HostMount]
    root: bool
    uid: int
    gid: int
    made_anew: Sequence[str]
    needed: Sequence[str]
    kept: int = 0
    names: int = 0

    def inside(self, folder: str) -> list[HostMount]:
        """The mounts below it, outermost first."""
        found = [m for m in self.mounts if m.point != folder and is_in(m.point, folder)]
        return sorted(found, key=lambda mount: mount.point)

    def find(self, path: str) -> HostMount | None:
        return next((mount for mount in self.mounts if mount.point == path), None)

    def keep(self, folder: str) -> Mount:
        self.kept += 1
        return Mount("keep", f"{STAGE}/host/{self.kept}", folder)

    def layer(self, path: str, source: str) -> Mount:
        return Mount("layer", path, source, owner=self.uid, group=self.gid)

    def may_enter(self, folder: str) -> bool:
        """Whether the agent could reach what is in it."""
        return allows(folder, self.uid, self.gid, SEARCH) if self.root else os.access(folder, os.X_OK)

    def may_reach(self, path: str, above: str) -> bool:
        """The same of every directory between `above`, that one included, and `path`."""
        folder = os.path.dirname(path)
        return (
            is_in(folder, above)
            and self.may_enter(folder)
            and (folder == above or self.may_reach(folder, above))
        )


def plan_layers(host: Host) -> Iterator[Mount]:
    """The steps that show the host anew; before them nothing may be mounted over it but a /run with STAGE in it."""
    yield Mount("directory", f"{STAGE}/nothing", mode="0555")
    with os.scandir("/") as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.is_symlink() or _is_made_anew(entry.path, host) or entry.path == "/sys":
            continue
        if entry.is_dir():
            yield from plan_folder(entry.path, host)
        elif not entry.is_file():
            yield Mount("bind", entry.path, "/dev/null", read_only=True)


def _is_made_anew(path: str, host: Host) -> bool:
    return any(is_in(path, place) for place in host.made_anew)


def plan_folder(folder: str, host: Host) -> Iterator[Mount]:
    """One directory in `/`, with all that is mounted in it."""
    inside = host.inside(folder)
    if not inside:
        yield from attach(folder, folder, host)
    elif host.root:
        kept = host.keep(folder)
        yield kept
        yield from attach(folder, folder, host)
        for mount in inside:
            if not _is_made_anew(mount.point, host) and host.may_reach(mount.point, folder):
                yield from attach(mount.point, kept.target + mount.point[len(folder) :], host)
    else:
        kept = host.keep(folder)
        names = host.names
        try:
            steps = list(_make_anew(folder, kept.target, host))
        except TooManyNamesError:
            host.names = names
            yield Mount("bare", folder)
            return
        yield from (kept, Mount("tmpfs", folder, mode=_mode(folder)), *steps)


def attach(path: str, source: str, host: Host) -> Iterator[Mount]:
    """`source` seen at `path`, which is there; the kind of file system tells how."""
    mount = host.find(path)
    if mount is None or mount.kind not in NEVER_SHOWN | WITHOUT_SOCKETS:
        yield host.layer(path, source)
    elif mount.kind in NEVER_SHOWN:
        yield Mount("tmpfs", path, mode="0555", read_only=True)
    elif path != source:
        yield Mount("bind", path, source)


def _make_anew(folder: str, source: str, host: Host) -> Iterator[Mount]:
    """What is in a directory that has mounts in it: each directory without any as a layer, the others made likewise."""
    for name, mode in list_modes(folder, host).items():
        path, origin = f"{folder}/{name}", f"{source}/{name}"
        if stat.S_ISLNK(mode):
            yield Mount("link", path, os.readlink(path))
        elif stat.S_ISREG(mode):
            yield Mount("keep", path, origin)
        elif stat.S_ISDIR(mode):
            yield Mount("directory", path, mode=f"{stat.S_IMODE(mode) & 0o1777:04o}")
            if _is_made_anew(path, host) or not host.may_enter(path):
                continue
            if host.inside(path):
                yield from _make_anew(path, origin, host)
            else:
                yield from attach(path, origin, host)


def list_modes(folder: str, host: Host) -> dict[str, int]:
    """Names and modes. A directory that is a mount isn't asked for its mode: nobody waits for a dead server.

    Raises TooManyNamesError when the plan has got too long with them.
    """
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                mount = entry.is_dir(follow_symlinks=False) and host.find(entry.path)
                found[entry.name] = stat.S_IFDIR | 0o755 if mount else _find_mode(entry.path)
    except PermissionError:
        begin = f"{folder}/"
        for path in (*host.needed, *(mount.point for mount in host.mounts)):
            if path.startswith(begin):
                name = path[len(begin) :].split("/")[0]
                found[name] = _find_mode(f"{folder}/{name}")
    host.names += len(found)
    if host.names > NAMES_MAX:
        raise TooManyNamesError
    return found


def _find_mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:  # gone meanwhile
        return 0


def _mode(folder: str) -> str:
    return f"{stat.S_IMODE(os.stat(folder).st_mode) & 0o1777:04o}"
