"""Files: what is read-only, what is hidden, and what must be as it was when the run is over."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Callable

from tests.escapes.frame import EVIDENCE, GUARDED, HOME, KEY, NO_TRAFFIC, ROOM, WORK, Ways, add, attack

VIEW = "view"
LINKED_KEY = "linked key"
AT_FDCWD = -100


def read(path: str) -> Callable[[Ways], None]:
    def attempt(w: Ways) -> None:
        with open(path, "rb") as file:
            w.show(secret=file.read(4096))

    return attempt


_SECRETS = {
    "the_key": KEY,
    "the_key_by_root": f"/proc/self/root{KEY}",
    "the_key_by_working_directory": f"/proc/self/cwd/../keys/{os.path.basename(KEY)}",
    "the_evidence": f"{EVIDENCE}/evidence.jsonl",
}

for _name, _path in _SECRETS.items():
    _only = "user" if _path.startswith(EVIDENCE) else ""
    add(f"reading_{_name}", read(_path), VIEW, proof="secret", silent=NO_TRAFFIC, only=_only)

AT_HOME = [
    ".ssh/id_ed25519",
    ".aws/credentials",
    ".docker/config.json",
    ".netrc",
    ".config/gh/hosts.yml",
    ".git-credentials",
    ".gnupg/secring.gpg",
    ".kube/config",
    ".azure/token",
    ".config/gcloud/token",
]

for _path in AT_HOME:
    _name = "".join(c if c.isalnum() else "_" for c in _path.strip("."))
    add(f"reading_{_name}", read(f"{HOME}/{_path}"), VIEW, proof="secret", silent=NO_TRAFFIC, only="user")


@attack(VIEW, proof="secret", silent=NO_TRAFFIC)
def reading_the_key_by_a_link_of_mine(w: Ways) -> None:
    os.symlink(KEY, f"{WORK}/{w.token}")
    read(f"{WORK}/{w.token}")(w)


@attack(VIEW, proof="secret", silent=NO_TRAFFIC)
def reading_the_key_by_a_hard_link(w: Ways) -> None:
    os.link(KEY, f"{WORK}/{w.token}")
    read(f"{WORK}/{w.token}")(w)


@attack(VIEW, "links", proof="secret", silent=NO_TRAFFIC, alone=True, setting=LINKED_KEY)
def reading_the_key_by_an_earlier_hard_link(w: Ways) -> None:
    """Another name of the same file, made before the run where nobody hides it: so there is no run."""
    read(f"{ROOM}/keys/second-name")(w)


@attack(VIEW, proof="secret", silent=NO_TRAFFIC)
def reading_the_key_by_a_second_mount(w: Ways) -> None:
    """The same file system once more, elsewhere."""
    read(f"{ROOM}/again{KEY.removeprefix(ROOM)}")(w)


# Writing where nothing may be written. Every file here is the agent's own, by owner and mode.


def _write(w: Ways) -> None:
    with open(w.guarded, "w") as file:
        file.write(w.token)


def _append(w: Ways) -> None:
    with open(w.guarded, "a") as file:
        file.write(w.token)


def _truncate(w: Ways) -> None:
    os.truncate(w.guarded, 0)


def _remove(w: Ways) -> None:
    os.unlink(w.guarded)


def _rename(w: Ways) -> None:
    os.rename(w.guarded, f"{w.guarded}.away")


def _replace(w: Ways) -> None:
    with open(f"{WORK}/{w.token}", "w") as file:
        file.write(w.token)
    os.rename(f"{WORK}/{w.token}", w.guarded)


def _change_mode(w: Ways) -> None:
    os.chmod(w.guarded, 0o777)


def _touch(w: Ways) -> None:
    os.utime(w.guarded, (1, 1))


def _set_attribute(w: Ways) -> None:
    os.setxattr(w.guarded, "user.trio", w.raw)


def _map(w: Ways) -> None:
    with open(w.guarded, "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[:4] = w.raw[:4]


def _reopen(w: Ways) -> None:
    """Read-only first, then anew through /proc."""
    first = os.open(w.guarded, os.O_RDONLY)
    second = os.open(f"/proc/self/fd/{first}", os.O_WRONLY)
    os.write(second, w.raw)


def _by_link(w: Ways) -> None:
    os.link(w.guarded, f"{WORK}/{w.token}")
    with open(f"{WORK}/{w.token}", "w") as file:
        file.write(w.token)


def _by_unnamed_file(w: Ways) -> None:
    made = os.open(GUARDED, os.O_TMPFILE | os.O_WRONLY)
    os.write(made, w.raw)
    os.unlink(w.guarded)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.linkat(AT_FDCWD, f"/proc/self/fd/{made}".encode(), AT_FDCWD, w.guarded.encode(), 0x400):
        raise OSError(ctypes.get_errno(), "linkat")


def _by_exchange(w: Ways) -> None:
    with open(f"{WORK}/{w.token}", "w") as file:
        file.write(w.token)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, f"{WORK}/{w.token}".encode(), AT_FDCWD, w.guarded.encode(), 2):
        raise OSError(ctypes.get_errno(), "renameat2")


def _by_working_directory(w: Ways) -> None:
    with open(f"/proc/self/cwd/../guarded/{w.token}", "w") as file:
        file.write(w.token)


def _by_root(w: Ways) -> None:
    with open(f"/proc/self/root{w.guarded}", "w") as file:
        file.write(w.token)


def _make_special(w: Ways) -> None:
    os.mkfifo(f"{w.guarded}.pipe")
    os.rename(f"{w.guarded}.pipe", w.guarded)


def _make_directory(w: Ways) -> None:
    os.unlink(w.guarded)
    os.mkdir(w.guarded)


_CHANGES: dict[str, Callable[[Ways], None]] = {
    "writing": _write,
    "appending": _append,
    "truncating": _truncate,
    "removing": _remove,
    "renaming": _rename,
    "replacing": _replace,
    "changing_the_mode": _change_mode,
    "touching": _touch,
    "setting_an_attribute": _set_attribute,
    "mapping": _map,
    "reopening": _reopen,
    "writing_by_a_hard_link": _by_link,
    "writing_by_an_unnamed_file": _by_unnamed_file,
    "exchanging": _by_exchange,
    "writing_by_working_directory": _by_working_directory,
    "writing_by_root": _by_root,
    "making_a_pipe_of_it": _make_special,
    "making_a_directory_of_it": _make_directory,
}

for _name, _attempt in _CHANGES.items():
    add(_name, _attempt, VIEW, proof="changed", silent=NO_TRAFFIC)


def _change(path: str, *, how: str = "write") -> Callable[[Ways], None]:
    def attempt(w: Ways) -> None:
        match how:
            case "write":
                with open(path, "a") as file:
                    file.write(f"\n{w.token}\n")
            case "rename":
                os.rename(path, f"{path}-{w.token}")
                os.mkdir(path)
            case "create":
                with open(f"{path}/{w.token}", "x") as file:
                    file.write(w.token)

    return attempt


_PLACES: dict[str, tuple[str, str]] = {
    "writing_to_the_evidence": (f"{EVIDENCE}/evidence.jsonl", "write"),
    "adding_to_the_evidence": (EVIDENCE, "create"),
    "replacing_the_evidence": (EVIDENCE, "rename"),
    "replacing_the_evidence_s_parent": (f"{ROOM}/audit", "rename"),
    "replacing_the_key_s_parent": (f"{ROOM}/keys", "rename"),
    "writing_to_the_policy": (f"{ROOM}/policy.toml", "write"),
    "writing_to_another_repository": (f"{ROOM}/repository/.git/hooks", "create"),
    "writing_to_installed_packages": (f"{ROOM}/site-packages", "create"),
}

for _name, (_path, _how) in _PLACES.items():
    add(
        _name,
        _change(_path, how=_how),
        VIEW,
        proof="marked",
        silent=NO_TRAFFIC,
        only="user"
        if _path.startswith(EVIDENCE) and _how != "rename"
        else "",  # root's run has its own owner for it
        alone=_how == "rename",
    )

for _path in (".bashrc", ".profile", ".gitconfig", ".config/pip/pip.conf"):
    _name = "".join(c if c.isalnum() else "_" for c in _path.strip("."))
    add(
        f"writing_home_{_name}",
        _change(f"{HOME}/{_path}"),
        VIEW,
        proof="marked",
        silent=NO_TRAFFIC,
        only="user",
    )

_SPECIAL = (
    "/proc/sysrq-trigger",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/vm/overcommit_memory",
    "/sys/kernel/uevent_helper",
    "/sys/power/state",
    "/sys/fs/cgroup/cgroup.procs",
    "/dev/kmsg",
    "/dev/kvm",
    "/dev/fuse",
    "/dev/net/tun",
    "/dev/vsock",
    "/dev/userfaultfd",
    "/dev/loop-control",
    "/dev/mem",
    "/dev/console",
    "/dev/tty1",
    "/dev/ttyS0",
)


def _open_special(path: str) -> Callable[[Ways], None]:
    """Only opened, and handed out: nothing is written to it, the control's machine is a real one."""

    def attempt(w: Ways) -> None:
        w.show(descriptors=[os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)])

    return attempt


def _is_there(path: str) -> Callable[[], bool]:
    def there() -> bool:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    return there


for _path in _SPECIAL:
    add(
        f"opening_{_path[1:].replace('/', '_').replace('-', '_')}",
        _open_special(_path),
        "sandbox and user",
        proof=f"descriptor:{_path}",
        silent=NO_TRAFFIC,
        only="root",
        exists=_is_there(_path),
    )
