"""Attacks on files. Standard library only: part of the attacking program.

What they really changed is looked at outside: a place of the run's own and one of the host's look alike from inside.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from trio_egress.attack.tries import DENIED, Try, answer_of, refuse_all

SETTINGS = (
    *("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/yama/ptrace_scope"),
    *("/proc/sys/kernel/unprivileged_bpf_disabled", "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger"),
    *(
        "/proc/sys/fs/binfmt_misc/register",
        "/proc/sys/user/max_user_namespaces",
        "/proc/sys/kernel/ns_last_pid",
    ),
    *("/proc/1/oom_score_adj", "/proc/1/mem", "/proc/self/uid_map", "/proc/self/gid_map", "/proc/kcore"),
    *("/sys/kernel/uevent_helper", "/sys/kernel/debug", "/sys/kernel/mm/ksm/run", "/sys/power/state"),
    *("/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/cgroup.procs", "/sys/class/net/lo/mtu"),
)
DEVICES = (
    *(
        "mem",
        "kmem",
        "port",
        "kmsg",
        "kvm",
        "fuse",
        "net/tun",
        "vhost-net",
        "vhost-vsock",
        "loop0",
        "loop-control",
    ),
    *("sda", "vda", "nvme0n1", "dm-0", "mapper/control", "input/event0", "uinput", "dri/card0", "snd/timer"),
    *(
        "tty0",
        "tty1",
        "ttyS0",
        "console",
        "vcs",
        "userfaultfd",
        "autofs",
        "btrfs-control",
        "cuse",
        "rtc0",
        "watchdog",
    ),
)
CHANGED = "changed by an attack\n"

Targets = dict[str, Any]


def list_places(targets: Targets) -> dict[str, Try]:
    """By row of kernel/attacks.py."""
    return {
        "secrets": lambda: refuse_all(_secrets(targets)),
        "places": lambda: _places(targets),
        "protected": lambda: refuse_all(_protected(targets)),
        "settings": lambda: refuse_all((path, partial(_write_again, path)) for path in SETTINGS),
        "devices": lambda: refuse_all(_devices()),
    }


def _secrets(targets: Targets) -> Iterator[tuple[str, Try]]:
    for path in targets["hidden"]:
        up = os.path.relpath(path, os.getcwd())
        links = (
            path,
            up,
            f"/proc/self/root{path}",
            f"/proc/self/cwd/{up}",
            f"/proc/1/root{path}",
            f"/proc/1/cwd/{up}",
        )
        for spelt in links:
            yield spelt, partial(_show, spelt)
        yield f"a link to {path}", partial(_link_and_show, path)
        yield f"{path} under another name", partial(_rename, path)


def _show(path: str) -> str:
    if os.path.isdir(path):
        return f"shows {len(os.listdir(path))} entries" if os.listdir(path) else f"{DENIED}empty"
    with open(path, "rb") as file:
        return "was read" if file.read(1) else f"{DENIED}empty"


def _link_and_show(path: str) -> str:
    os.link(path, "linked")
    try:
        return _show("linked")
    finally:
        os.unlink("linked")


def _rename(path: str) -> str:
    os.rename(path, f"{path}-elsewhere")
    return "was renamed"


def _places(targets: Targets) -> str:
    made, refused = 0, 0
    for folder in targets["places"]:
        answer = answer_of(partial(_leave, os.path.join(folder, targets["token"])))
        made, refused = (made, refused + 1) if answer.startswith(DENIED) else (made + 1, refused)
    return f"{DENIED}{refused} refused, {made} kept to the run"


def _leave(path: str) -> str:
    with open(path, "x", encoding="ascii") as file:
        file.write(CHANGED)
    return "was left"


def _protected(targets: Targets) -> Iterator[tuple[str, Try]]:
    for path in targets["protected"]:
        for way in (
            _write,
            _write_by_link,
            _write_by_descriptor,
            _write_by_hard_link,
            _replace,
            _truncate,
            _remove,
        ):
            yield f"{path} by {way.__name__.strip('_')}", partial(way, path)


def _write(path: str) -> str:
    Path(path).write_text(CHANGED, "ascii")
    return "was written"


def _write_by_link(path: str) -> str:
    with suppress(FileNotFoundError):
        os.unlink("a-link")
    os.symlink(os.path.abspath(path), "a-link")
    return _write("a-link")


def _write_by_descriptor(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return _write(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _write_by_hard_link(path: str) -> str:
    with suppress(FileNotFoundError):
        os.unlink("another-name")
    os.link(path, "another-name")
    return _write("another-name")


def _replace(path: str) -> str:
    _write("replacement")
    os.rename("replacement", path)
    return "was replaced"


def _truncate(path: str) -> str:
    os.truncate(path, 0)
    return "was truncated"


def _remove(path: str) -> str:
    os.unlink(path)
    return "was removed"


def _write_again(path: str) -> str:
    """Write what is there already; some may be opened by anybody, and are refused when they are written."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        with suppress(OSError):
            os.write(descriptor, Path(path).read_bytes())
            return "was written"
    finally:
        os.close(descriptor)
    return f"{DENIED}can't be written"


def _open_to_write(path: str) -> str:
    os.close(os.open(path, os.O_WRONLY))
    return "was opened to write"


def _devices() -> Iterator[tuple[str, Try]]:
    for name in DEVICES:
        yield f"/dev/{name}", partial(_open_to_write, f"/dev/{name}")
    for kind, number in ((0o020600, os.makedev(1, 1)), (0o060600, os.makedev(8, 0))):
        yield "mknod", partial(_make_node, kind, number)


def _make_node(kind: int, number: int) -> str:
    os.mknod("node", kind, number)
    return "was made"
