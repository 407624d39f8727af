"""What the agent sees of the file system, as an ordered list of mounts.

Works the list out from which paths exist (it changes nothing); `kernel/view.py` carries it out, in a mount namespace of
its own whose mounts propagate nowhere.

Rule 1: the host is read-only, an overlay of itself (kernel/layers.py). Writable are the working directory and what the
policy names, as they are on the host; HOME, whose changes are kept in memory and end with the run; and a /tmp of the
run's own.
Rule 2: what could lead out is out of sight: the directories of sockets, every Unix socket that has a path, other
terminals and devices, the signing key and the evidence. What is hidden is hidden last, so that nothing uncovers it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from trio_egress.errors import SandboxError
from trio_egress.kernel.engines import cover_engines
from trio_egress.kernel.guard import parents
from trio_egress.kernel.homes import keep_home, plan_home
from trio_egress.kernel.hosts import render_hosts
from trio_egress.kernel.layers import Host, plan_layers
from trio_egress.kernel.lending import check_way, find_closed
from trio_egress.kernel.mountinfo import HostMount, find_aliases
from trio_egress.kernel.planted import plan_planted
from trio_egress.kernel.protection import Guard, find_points, plan_guard
from trio_egress.kernel.ssh_files import SshFiles, keep_ssh, plan_ssh
from trio_egress.kernel.steps import STAGE, Mount
from trio_egress.kernel.trust import Trust, keep_folders, plan_named, plan_trust
from trio_egress.values import frozen

HOSTS_FILE = "/run/trio-egress/hosts"
RESOLVER_FILE = "/run/trio-egress/resolv.conf"
RESOLVER_TEXT = (
    "# trio-egress answers every name\nsearch .\nnameserver 127.0.0.1\noptions timeout:1 attempts:5\n"
)
"""Names are asked for as they are: search domains, or the machine's own, would make another name of a denied one, and a
wildcard may allow that. A stub that needs a second for its answer has not seen the question: its socket was full."""

PRIVATE = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  the agent gets its own
NEVER_SHARED = ("/", "/run", "/var/run", *PRIVATE)
"""Where no directory stays as it is on the host, though it is the working directory."""

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
SECRETS = (
    ".aws",
    ".azure",
    ".config/gcloud",
    ".config/gh",
    ".docker",
    ".git-credentials",
    ".gnupg",
    ".kube",
    ".netrc",
    ".ssh",
)
"""Below HOME; each is another service's way in, and hidden where it exists."""


@frozen
class View:
    """What a run asks of the file system.

    Paths are absolute; `sockets` are Unix sockets of the host; `protect` has patterns, as in kernel/guard.py; `account`
    is the agent's in the words of /etc/passwd, where no file of the host has one. `own`: paths that are protected, too,
    but not looked at in the end: we write there ourselves. `kept`: of what is hidden, what must also stay where it is:
    no directory on the way to it can be moved. `host`: its mounts. `root`: it is root who mounts. `owner`, `group`: the
    agent's ids. `path`: its PATH. `lent`: the working directory, where its user couldn't write without. `planted`:
    texts of files below HOME, which the agent finds there and the host doesn't have.
    """

    directory: str
    home: str
    owner: int
    group: int
    root: bool
    host: tuple[HostMount, ...]
    write: tuple[str, ...] = ()
    hide: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    account: str = ""
    path: str = ""
    lent: str = ""
    trust: Trust | None = None
    ssh: SshFiles = attrs.field(factory=SshFiles)
    planted: Mapping[str, str] = attrs.field(factory=dict, repr=False)


def plan_mounts(view: View) -> tuple[Mount, ...]:
    """The mounts of a run, in order. Raises SandboxError for what cannot be shown or hidden as asked."""
    outermost = _writable(view)
    writable = outermost if view.lent in ("", *outermost) else [*outermost, view.lent]
    for path in writable if view.root else ():
        if not _is_below(path, PRIVATE):  # there the way is made anew
            check_way(path, view.owner, view.group)
    home = _find_home(view)
    host = _host(view, writable, home)
    points = find_points(plan_guard((*view.protect, *view.own), outermost), outermost, view.lent)
    return (
        Mount("tmpfs", "/run"),
        *(_keep(path, f"{STAGE}/{number}", view) for number, path in enumerate(writable)),
        *keep_home(home),
        *keep_folders(view.trust),
        *keep_ssh(view.ssh),
        *plan_layers(host),
        *plan_trust(view.trust, view.owner, view.group),
        *plan_ssh(view.ssh, view.owner, view.group),
        Mount("freeze", "/"),
        Mount("writable", "/run"),
        Mount("writable", "/proc"),  # the agent's own is mounted over it, and may not be freer than this one
        *_private(),
        *_devices(),
        *plan_home(home, host),
        *_restore(writable),
        *(Mount("bind", path, path, read_only=read_only) for path, read_only in points.mounts),
        *_keep_ways(view, writable),
        *cover_engines(view.path, writable),
        *_hide_secrets(home, view, writable),
        *_hide(view, points.sockets),
        *_socket_directories(),
        *_plant(view, home, writable),
        *_account(view),
        *plan_named(view.trust),
        *_hosts(),
        *_resolver(),
    )


def find_guard(view: View) -> Guard:
    """What is protected in each directory that stays as it is on the host."""
    return plan_guard(view.protect, _writable(view))


def _writable(view: View) -> list[str]:
    """The directories that stay as they are on the host, outermost first, none inside another."""
    found: list[str] = []
    for path in sorted({os.path.realpath(path) for path in (view.directory, *view.write)}):
        if not os.path.isdir(path):
            raise SandboxError(f"{path} can't be made writable for the agent: it is no directory")
        if path in NEVER_SHARED:
            if path == "/" and view.directory != "/":
                raise SandboxError("the whole host can't be made writable for the agent")
            continue
        if not path.startswith(tuple(f"{outer}/" for outer in found)):
            found.append(path)
    return found


def _private() -> Iterator[Mount]:
    for path in PRIVATE:
        if os.path.isdir(path) and not os.path.islink(path) and not path.startswith("/dev/"):
            yield Mount("tmpfs", path, mode="1777")


def _devices() -> Iterator[Mount]:
    """A /dev of its own: the few devices that every program needs, and no terminal but its own."""
    names = [name for name in DEVICES if os.path.exists(f"/dev/{name}")]
    yield from (Mount("keep", f"{STAGE}/dev-{name}", f"/dev/{name}") for name in names)
    yield Mount("tmpfs", "/dev")
    for name in names:
        yield Mount("file", f"/dev/{name}", mode="0666")
        yield Mount("bind", f"/dev/{name}", f"{STAGE}/dev-{name}")
    for name, number in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        yield Mount("link", f"/dev/{name}", f"/proc/self/fd/{number}")
    yield Mount("link", "/dev/fd", "/proc/self/fd")
    yield Mount("link", "/dev/ptmx", "pts/ptmx")
    yield Mount("pts", "/dev/pts")
    yield Mount("tmpfs", "/dev/shm", mode="1777")  # noqa: S108
    yield Mount("read_only", "/dev")


def _host(view: View, writable: Sequence[str], home: str) -> Host:
    places = ["/run", "/var/run", "/dev", "/proc", *PRIVATE, *([home] if home else ())]
    return Host(view.host, view.root, view.owner, view.group, places, [*writable, home])


def _find_home(view: View) -> str:
    """HOME, if changes to it are to be kept in memory; else empty: it is the run's own, or closed to the agent."""
    home = os.path.realpath(view.home) if view.home else ""
    if not os.path.isdir(home) or home == "/" or _is_below(home, ("/run", *PRIVATE)):
        return ""
    return "" if view.root and find_closed(home, view.owner, view.group) else home


def _keep(path: str, target: str, view: View) -> Mount:
    kind = "lend" if path == view.lent else "keep"
    return Mount(kind, target, path, owner=view.owner, group=view.group)


def _restore(writable: Sequence[str]) -> Iterator[Mount]:
    for number, path in enumerate(writable):
        yield Mount("bind", path, f"{STAGE}/{number}")
        if not os.statvfs(path).f_flag & os.ST_RDONLY:
            yield Mount("writable", path)


def _hide_secrets(home: str, view: View, writable: Sequence[str]) -> Iterator[Mount]:
    """Whether HOME is an overlay or, as the working directory, what it is on the host."""
    for name in SECRETS if home else ():
        path = f"{home}/{name}"
        if os.path.lexists(path) and not any(_is_below(place, (path,)) for place in writable):
            yield _cover(path)
            yield from _cover_aliases(os.path.realpath(path), view)


def _plant(view: View, home: str, writable: Sequence[str]) -> Iterator[Mount]:
    if not view.planted:
        return
    place = os.path.realpath(view.home) if view.home else ""
    own = ("/run", "/var/run", *PRIVATE)
    if any(_is_below(place, (path,)) for path in writable):
        raise SandboxError(
            f"no canary can be planted in HOME {place}, where the agent's changes are real: give it another one with "
            "[env] set = {HOME = ...}"
        )
    if not place or not (home or _is_below(place, own)):
        raise SandboxError(
            f"no canary can be planted in HOME {place or '(it has none)'}: it is closed to the agent"
        )
    hidden = [*(f"{place}/{name}" for name in SECRETS), *map(os.path.realpath, view.hide)]
    yield from plan_planted(view.planted, place, hidden, own, (view.owner, view.group))


def _keep_ways(view: View, writable: Sequence[str]) -> Iterator[Mount]:
    """A mount point can't be renamed, but the directory that it is in can: then another one could have its name."""
    ways = {
        folder
        for path in map(os.path.realpath, view.kept)
        for root in writable
        for folder in parents(path)
        if folder.startswith(f"{root.rstrip('/')}/")
    }
    for folder in sorted(ways):
        yield Mount("bind", folder, folder)


def _hide(view: View, sockets: Sequence[str]) -> Iterator[Mount]:
    covered: list[str] = ["/run/"]
    for path in sorted({os.path.realpath(path) for path in view.hide}):
        if path.startswith(tuple(covered)):
            continue
        covered.append(f"{path}/")
        yield _cover(path)
        yield from _cover_aliases(path, view)
    shown = _writable(view)  # perhaps below a /tmp that is otherwise the run's own
    for path in dict.fromkeys((*view.sockets, *sockets)):
        gone = _is_below(path, ("/run", "/var/run", *PRIVATE)) and not _is_below(path, shown)
        if not gone and not path.startswith(tuple(covered)):
            yield Mount("bind", path, "/dev/null", read_only=True, optional=True)


def _cover_aliases(path: str, view: View) -> Iterator[Mount]:
    """The same file by another mount of its file system; where the agent can't go, there is nothing to cover."""
    for alias in find_aliases(path, view.host):
        if os.path.exists(alias):
            yield _cover(alias)


def _cover(path: str) -> Mount:
    """Optional: in a /tmp of the run's own there may be nothing left to hide, and where the agent can't go, a layer
    that shows no more than the agent may see lets nobody in."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise SandboxError(f"cannot hide {path} from the agent: {error.strerror}") from None
    if stat.S_ISDIR(mode):
        return Mount("tmpfs", path, mode="0555", read_only=True, optional=True)
    return Mount("bind", path, "/dev/null", read_only=True, optional=True)


def _socket_directories() -> Iterator[Mount]:
    # /run holds the sockets of docker, containerd, D-Bus, systemd, nscd …: none is bound to a network namespace.
    # Covered once more at the end, so that what was kept there on the way is out of sight too.
    for path in ("/run", "/var/run"):
        if os.path.isdir(path) and not os.path.islink(path):
            yield Mount("tmpfs", path)


def _account(view: View) -> Iterator[Mount]:
    """Programs such as ssh end at once where their user has no name."""
    if not view.account:
        return
    name, password, _, gid, *_ = view.account.split(":")
    for path, line in (("/etc/passwd", view.account), ("/etc/group", f"{name}:{password}:{gid}:")):
        shown = f"{STAGE}/{os.path.basename(path)}"
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            yield Mount("file", shown, f"{file.read().rstrip()}\n{line}\n")
        yield Mount("bind", path, shown, read_only=True)


def _hosts() -> Iterator[Mount]:
    target = os.path.realpath("/etc/hosts")
    if os.path.isfile(target):
        text = Path(target).read_text("utf-8", "replace")
        yield Mount("file", HOSTS_FILE, render_hosts(text, os.uname().nodename))
        yield Mount("bind", target, HOSTS_FILE, read_only=True)


def _resolver() -> Iterator[Mount]:
    """Our resolv.conf, whether the host's is a file or a link into /run (systemd-resolved)."""
    yield Mount("file", RESOLVER_FILE, RESOLVER_TEXT)
    target = os.path.realpath("/etc/resolv.conf")
    if target.startswith(("/run/", "/var/run/")):
        yield Mount("file", target, RESOLVER_TEXT)
    elif os.path.isfile(target):
        yield Mount("bind", target, RESOLVER_FILE, read_only=True)
    yield Mount("read_only", "/run")


def _is_below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)
