"""What the agent sees of the file system, as an ordered list of mounts.

Works out the list (pure but for looking at which paths exist); the launcher carries it out, in a mount namespace of
its own whose mounts propagate nowhere. It does *not* make the host read-only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence

import attrs

from trio_egress.errors import SandboxError

RESOLVER_FILE = "/run/trio-egress/resolv.conf"
RESOLVER_TEXT = "# trio-egress answers every name\nnameserver 127.0.0.1\noptions timeout:1 attempts:5\n"
"""A stub that needs a second for its answer has not seen the question: its socket was full."""


@attrs.frozen
class Mount:
    """One step: `tmpfs` (empty, at target), `file` (write `source` as text to target), `bind` (source over target).

    A `read_only` tmpfs stays empty for ever: what lay under it is out of sight.
    """

    kind: str
    target: str
    source: str = ""
    mode: str = "0755"
    read_only: bool = False


def plan_mounts(hidden: Sequence[str]) -> tuple[Mount, ...]:
    """The mounts of a run: an empty /run, our resolver, and `hidden` paths out of sight."""
    return (*_runtime_sockets(), *_resolver(), *_hide(hidden))


def _runtime_sockets() -> Iterator[Mount]:
    # /run holds the sockets of docker, containerd, D-Bus, systemd, nscd …: none is bound to a network namespace.
    for path in ("/run", "/var/run"):
        if os.path.isdir(path) and not os.path.islink(path):
            yield Mount("tmpfs", path)


def _resolver() -> Iterator[Mount]:
    """Our resolv.conf, whether the host's is a file or a link into /run (systemd-resolved)."""
    yield Mount("file", RESOLVER_FILE, RESOLVER_TEXT)
    target = os.path.realpath("/etc/resolv.conf")
    if target.startswith(("/run/", "/var/run/")):
        yield Mount("file", target, RESOLVER_TEXT)
    elif os.path.isfile(target):
        yield Mount("bind", target, RESOLVER_FILE, read_only=True)


def _hide(paths: Iterable[str]) -> Iterator[Mount]:
    covered = ["/run/"]
    for path in sorted({os.path.realpath(path) for path in paths}):
        if path.startswith(tuple(covered)):
            continue
        covered.append(f"{path}/")
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            raise SandboxError(f"cannot hide {path} from the agent: {error.strerror}") from None
        if stat.S_ISDIR(mode):
            yield Mount("tmpfs", path, mode="0555", read_only=True)
        else:
            yield Mount("bind", path, "/dev/null", read_only=True)
