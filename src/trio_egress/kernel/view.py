"""Carries out the list of mounts that `kernel/mounts.py` worked out. Standard library only: part of the launcher."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

from trio_egress.kernel import idmap, syscalls

Step = dict[str, Any]

NOTHING = "/run/trio-egress/nothing"
"""An empty directory."""

INODE_BYTES = 8192
"""One file of a private tmpfs for so many bytes of its size; an empty one costs the kernel about 1 KiB."""

FEWEST_INODES = 65536

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

COPIED_BYTES = 1 << 20
"""Of one file in a HOME that has to be made anew: what is larger there is data, not settings."""


def apply_mounts(steps: list[Step]) -> list[str]:
    """Every step in order, in a mount namespace of this process's own. Raises OSError that names the step.

    Gives the directories of the host that are shown as they are, because no overlay could be made of them.
    """
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE, None)
    own = os.umask(0o022)  # with the caller's 027 the agent couldn't enter what is made for it here
    try:
        return [step["target"] for step in steps if _apply_step(step)]
    finally:
        os.umask(own)


def _apply_step(step: Step) -> bool:
    try:
        return bool(_APPLY[step["kind"]](step))
    except OSError as error:
        if step["optional"] and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            return False
        raise OSError(error.errno, f"{step['kind']} on {step['target']}: {error.strerror or error}") from None


def _tmpfs(step: Step) -> None:
    os.makedirs(step["target"], exist_ok=True)
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | (syscalls.MS_RDONLY if step["read_only"] else 0)
    options = f"mode={step['mode']}"
    if step["size"]:
        options += f",size={step['size']},nr_inodes={max(step['size'] // INODE_BYTES, FEWEST_INODES)}"
    syscalls.mount("tmpfs", step["target"], "tmpfs", flags, options)


def _directory(step: Step) -> None:
    os.makedirs(step["target"], exist_ok=True)
    os.chmod(step["target"], int(step["mode"], 8))


def _file(step: Step) -> None:
    """No link is followed: in a HOME it may be the agent's, and lead to where only this process may write."""
    folder, name = os.path.split(step["target"])
    ids = None if step["owner"] in (-1, os.geteuid()) else (step["owner"], step["group"])
    parent = _make_way(folder, ids)
    try:
        made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=parent)
        with open(made, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(step["source"])
            if ids is not None:
                os.fchown(made, *ids)
    finally:
        os.close(parent)


def _make_way(folder: str, ids: tuple[int, int] | None) -> int:
    """A directory, opened; what was not there of it, and those above it, is made, and belongs to `ids`."""
    at = os.open("/", _FOLDER)
    for part in folder.split("/")[1:]:
        above = at
        try:
            at = _enter(part, above, ids)
        finally:
            os.close(above)
    return at


def _enter(part: str, above: int, ids: tuple[int, int] | None) -> int:
    try:
        return os.open(part, _FOLDER, dir_fd=above)
    except FileNotFoundError:
        os.mkdir(part, dir_fd=above)
    if ids is not None:
        os.chown(part, *ids, dir_fd=above, follow_symlinks=False)
    return os.open(part, _FOLDER, dir_fd=above)


def _program(step: Step) -> None:
    _file(step)
    os.chmod(step["target"], 0o755)  # noqa: S103  everybody may run it


def _copy(step: Step) -> None:
    """A small file, which can then be changed; a large one can be read."""
    source = os.open(step["source"], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(source, "rb") as file, open(step["target"], "xb") as made:
        large = os.fstat(source).st_size > COPIED_BYTES
        if not large:
            made.write(file.read(COPIED_BYTES))
        os.fchmod(made.fileno(), int(step["mode"], 8))
    if large:
        syscalls.mount(step["source"], step["target"], None, syscalls.MS_BIND)


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


def _lend(step: Step) -> None:
    os.makedirs(step["target"])
    idmap.lend(step["source"], step["target"], step["owner"], step["group"])


def _layer(step: Step) -> bool:
    """True where there is no overlay, and the host's own directory is what can be seen."""
    with _as_agent(step):
        try:
            source = os.open(step["source"], os.O_PATH)
        except (FileNotFoundError, PermissionError):
            return False  # so the agent can't go there either
        kind = os.fstat(source).st_mode
        path = f"/proc/self/fd/{source}"
        try:
            if not stat.S_ISDIR(kind):
                shown = path if stat.S_ISREG(kind) else "/dev/null"
                syscalls.mount(shown, step["target"], None, syscalls.MS_BIND, None)
                return False
            mount_layer(path, step["target"], step["top"] or NOTHING)
        except OSError:
            if step["source"] != step["target"]:
                syscalls.mount(path, step["target"], None, syscalls.MS_BIND | syscalls.MS_REC, None)
            return True
        finally:
            os.close(source)
    return False


def mount_layer(path: str, target: str, top: str = NOTHING) -> None:
    """A read-only overlay of `path`, with what is in `top` over it; neither has anything in it that needs escaping."""
    flags = syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV | _no_exec(path)
    # No upper directory: two lower ones is the least. With userxattr no attribute of the host's files redirects.
    options = f"lowerdir={top}:{path},userxattr"
    syscalls.mount("overlay", target, "overlay", flags, options)


def _no_exec(path: str) -> int:
    """An overlay doesn't inherit it."""
    return syscalls.MS_NOEXEC if os.statvfs(path).f_flag & os.ST_NOEXEC else 0


@contextlib.contextmanager
def _as_agent(step: Step) -> Iterator[None]:
    """What the overlay may see of the files below it is what its maker may: not more than the agent."""
    if os.geteuid() != 0:
        yield
        return
    syscalls.set_file_ids(step["owner"], step["group"])
    try:
        yield
    finally:
        syscalls.set_file_ids(0, 0)


def _bare(_step: Step) -> bool:
    return True


def _overlay(step: Step) -> None:
    lower, upper, work = (f"{step['source']}/{name}" for name in ("lower", "upper", "work"))
    os.makedirs(work)
    below = os.stat(lower)
    os.mkdir(upper, below.st_mode & 0o777)
    if step["owner"] != os.geteuid():
        os.chown(upper, step["owner"], below.st_gid if os.geteuid() == 0 else -1)
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    if os.geteuid() != 0:
        options += ",userxattr"  # in a user namespace: trusted.* is not to be had there
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | _no_exec(lower)
    syscalls.mount("overlay", step["target"], "overlay", flags, options)


def _pts(step: Step) -> None:
    os.mkdir(step["target"])
    flags = syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    syscalls.mount("devpts", step["target"], "devpts", flags, "newinstance,ptmxmode=0666,mode=0620")


def _freeze(step: Step) -> None:
    syscalls.mount_setattr(step["target"], syscalls.MOUNT_ATTR_RDONLY, recursive=True)


def _read_only(step: Step) -> None:
    syscalls.mount_setattr(step["target"], syscalls.MOUNT_ATTR_RDONLY)


def _writable(step: Step) -> None:
    """A device node that is found there is none to the agent, whoever it belongs to."""
    harmless = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
    syscalls.mount_setattr(step["target"], harmless, clear_flags=syscalls.MOUNT_ATTR_RDONLY)


_APPLY: dict[str, Callable[[Step], bool | None]] = {
    "tmpfs": _tmpfs,
    "directory": _directory,
    "file": _file,
    "program": _program,
    "copy": _copy,
    "link": _link,
    "bind": _bind,
    "keep": _keep,
    "lend": _lend,
    "layer": _layer,
    "bare": _bare,
    "overlay": _overlay,
    "pts": _pts,
    "freeze": _freeze,
    "read_only": _read_only,
    "writable": _writable,
}
