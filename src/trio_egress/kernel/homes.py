"""HOME as the agent sees it: the caller's, with changes that are kept in memory and end with the run. Plans only.

Rule 1: where no overlay can be made of it, because an ordinary user has something mounted in it (kernel/layers.py), it
is made anew: its files are copied, and each of its directories that has no mount in it is an overlay of its own.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from trio_egress.errors import SandboxError
from trio_egress.kernel.layers import Host, TooManyNamesError, attach, list_modes
from trio_egress.kernel.steps import STAGE, Mount

KEPT = f"{STAGE}/home"


def keep_home(home: str) -> Iterator[Mount]:
    """While it can still be seen."""
    if home:
        yield Mount("keep", f"{KEPT}/lower", home)


def plan_home(home: str, host: Host) -> Iterator[Mount]:
    """HOME with its changes in memory; what is mounted in it can be read."""
    if not home:
        return
    inside = host.inside(home)
    if not inside or host.root:
        yield Mount("overlay", home, KEPT, owner=host.uid)
        for mount in inside:
            if host.may_reach(mount.point, home):
                yield from attach(mount.point, f"{KEPT}/lower{mount.point[len(home) :]}", host)
        return
    yield Mount("tmpfs", home, mode=f"{stat.S_IMODE(os.stat(home).st_mode):04o}")
    try:
        yield from _make_anew(home, f"{KEPT}/lower", host)
    except TooManyNamesError:
        raise SandboxError(
            f"HOME {home} has mounts in it and too many names to be made anew for the agent; give it another with "
            "[env] set = {HOME = ...}"
        ) from None


def _make_anew(folder: str, source: str, host: Host) -> Iterator[Mount]:
    for name, mode in list_modes(folder, host).items():
        path, origin = f"{folder}/{name}", f"{source}/{name}"
        if stat.S_ISLNK(mode):
            yield Mount("link", path, os.readlink(path))
        elif stat.S_ISREG(mode):
            yield Mount("copy", path, origin, mode=f"{stat.S_IMODE(mode) & 0o777:04o}", optional=True)
        elif stat.S_ISDIR(mode):
            yield Mount("directory", path, mode=f"{stat.S_IMODE(mode) & 0o1777:04o}")
            if host.find(path) is not None and not host.inside(path):
                yield from attach(path, origin, host)
            elif host.inside(path):
                yield from _make_anew(path, origin, host)
            elif host.may_enter(path):
                host.kept += 1
                place = f"{STAGE}/homes/{host.kept}"
                yield Mount("keep", f"{place}/lower", origin)
                yield Mount("overlay", path, place, owner=host.uid)
