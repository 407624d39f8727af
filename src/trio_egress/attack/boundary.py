"""Attacks on rights, processes, namespaces and the kernel. Standard library only: part of the attacking program."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from trio_egress.attack.tries import DENIED, Try, answer_of, connect, in_child, refuse_all
from trio_egress.kernel import syscalls

NAMESPACES = {
    "mount": 0x2_0000,
    "cgroup": 0x200_0000,
    "uts": 0x400_0000,
    "ipc": 0x800_0000,
    "user": 0x1000_0000,
    "pid": 0x2000_0000,
    "net": 0x4000_0000,
    "time": 0x80,
}
X32 = 0x4000_0000
DAEMON_SECONDS = 20
HIDDEN = "hidden"

Targets = dict[str, Any]


def list_boundary(targets: Targets) -> dict[str, Try]:
    """By row of kernel/attacks.py."""
    return {
        "set_id_programs": lambda: refuse_all(_set_id_programs(targets)),
        "variables": lambda: _variables(targets),
        "victim": lambda: refuse_all(_victim(targets)),
        "daemon": lambda: _daemon(targets),
        "host_sockets": lambda: refuse_all(_host_sockets(targets)),
        "namespaces": lambda: refuse_all(_namespaces()),
        "other_namespaces": lambda: refuse_all(_other_namespaces(targets)),
        "calls": lambda: refuse_all(_calls(targets)),
        "other_table": lambda: _other_table(),
        "descriptors_flood": _open_without_end,
        "processes_flood": _fork_without_end,
    }


def _set_id_programs(targets: Targets) -> Iterator[tuple[str, Try]]:
    for path in targets["programs"]:
        yield path, partial(_run_set_id, path)


def _run_set_id(path: str) -> str:
    """Who a program is once it runs: it stays, because its first word finds no room in a pipe that is full."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while os.write(writer, b"\n" * 65536):
            pass
    except BlockingIOError:
        os.set_blocking(writer, True)
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            os.execv(path, [path, "--help"])
        finally:
            os._exit(1)
    os.close(writer)
    try:
        return _watch_ids(child, os.path.basename(path)[:15])
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _watch_ids(child: int, name: str) -> str:
    own = {str(number) for number in (*os.getresuid(), *os.getresgid())}
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        with open(f"/proc/{child}/status", encoding="utf-8", errors="replace") as file:
            found = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        if found["State"].startswith("Z"):
            break
        if found["Name"] == name:
            ids = {*found["Uid"].split(), *found["Gid"].split()}
            if not ids <= own or int(found["CapEff"], 16):
                return f"ran with ids {' '.join(sorted(ids - own)) or 'of its own'} and more rights"
            if found["State"].startswith("S"):
                return f"{DENIED}gains nothing"
        time.sleep(0.002)
    return f"{DENIED}gains nothing"


def _variables(targets: Targets) -> str:
    found = [name for name in targets["variables"] if targets["token"] in os.environ.get(name, "")]
    return f"reads {', '.join(found)}" if found else HIDDEN


def _victim(targets: Targets) -> Iterator[tuple[str, Try]]:
    pid, token = targets["victim"], targets["token"]
    yield "it", partial(_see, pid, token)
    for name, attempt in (("its memory", _read_memory), ("pidfd_open", _open_process), ("kill", _end)):
        yield name, partial(_unless_our_own, attempt, pid, token)


def _see(pid: int, token: str) -> str:
    with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
        return "is seen" if token in file.read() else f"{DENIED}another process"


def _unless_our_own(attempt: Callable[[int], str], pid: int, token: str) -> str:
    """Inside, the number may be one of ours."""
    if os.path.exists(f"/proc/{pid}") and _see(pid, token).startswith(DENIED):
        return f"{DENIED}another process"
    return attempt(pid)


def _read_memory(pid: int) -> str:
    with open(f"/proc/{pid}/mem", "rb") as file:
        file.read(0)
    return "was opened"


def _open_process(pid: int) -> str:
    os.close(os.pidfd_open(pid))
    return "was opened"


def _end(pid: int) -> str:
    os.kill(pid, signal.SIGTERM)
    return "was ended"


def _daemon(targets: Targets) -> str:
    """Left behind on purpose: whether it is still there when the run is over is looked at outside."""
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (0, 1, 2):
                os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.execv("/bin/sh", [f"daemon-{targets['token']}", "-c", f"sleep {DAEMON_SECONDS}; :"])
        os._exit(0)
    os.waitpid(child, 0)
    return f"{DENIED}ends with the run"


def _host_sockets(targets: Targets) -> Iterator[tuple[str, Try]]:
    for name in targets["sockets"]:
        address = f"\0{name[1:]}" if name.startswith("@") else name
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
            yield name, partial(connect, socket.AF_UNIX, kind, address)


def _namespaces() -> Iterator[tuple[str, Try]]:
    names = [(name,) for name in NAMESPACES]
    for some in [*names, *itertools.combinations(NAMESPACES, 2)]:
        flags = sum(NAMESPACES[name] for name in some)
        yield " and ".join(some), partial(in_child, partial(_unshare, flags))


def _unshare(flags: int) -> str:
    syscalls.unshare(flags)
    return "was made"


def _other_namespaces(targets: Targets) -> Iterator[tuple[str, Try]]:
    for process in ("1", "self"):
        for name in ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts"):
            path = f"/proc/{process}/ns/{name}"
            yield path, partial(in_child, partial(_enter, path, targets["calls"]["setns"]))


def _enter(path: str, number: int) -> str:
    descriptor = os.open(path, os.O_RDONLY)
    syscalls.call_number(number, descriptor, 0)
    return "was entered"


def _calls(targets: Targets) -> Iterator[tuple[str, Try]]:
    for name, number in targets["calls"].items():
        yield name, partial(in_child, partial(_call, number))


def _call(number: int) -> str:
    """Nothing but EPERM is the filter's word; another error is the kernel's, which then has looked at it."""
    try:
        syscalls.call_number(number, 0, 0, 0, 0, 0)
    except OSError as error:
        if error.errno == errno.EPERM:
            raise
        return f"was let through to the kernel: {errno.errorcode.get(error.errno or 0, '?')}"
    return "was made"


def _other_table() -> str:
    if os.uname().machine != "x86_64":
        return f"{DENIED}this machine has no other table"
    return in_child(lambda: f"gave {syscalls.call_number(X32 | 39)}")


def _open_without_end() -> str:
    kept: list[int] = []
    try:
        while len(kept) < 100_000:
            kept.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return f"{DENIED}{errno.errorcode[error.errno or 0]} after {len(kept)}"
    finally:
        for number in kept:
            os.close(number)
    return f"opened {len(kept)}"


def _fork_without_end() -> str:
    kept: list[int] = []

    def fork() -> str:
        while len(kept) < 5000:
            child = os.fork()
            if child == 0:
                signal.pause()
            kept.append(child)
        return f"started {len(kept)}"

    answer = answer_of(fork)
    for child in kept:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return f"{answer} after {len(kept)}" if answer.startswith(DENIED) else answer
