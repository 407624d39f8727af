"""The launcher: builds the sandbox around itself, hands its sockets out, and becomes PID 1 of the agent's namespace.

A program of its own (`python -I -S launcher.py CONTROL`), standard library only, started before anything untrusted runs
(`kernel/waiting.py`). It speaks JSON messages over CONTROL with the supervisor, in the order of `main`.

Rule 1: whatever fails is told to the supervisor as {"step": "failed"}; nothing is skipped and nothing runs weaker.
Rule 2: when CONTROL closes, or its parent dies, it dies, and the kernel kills all else in the PID namespace.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

if __name__ == "__main__":  # run by path, with neither site nor the working directory on sys.path
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from trio_egress.kernel import guard, idmap, init, limits, notify, syscalls, view

BOUNDARY = (
    syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWCGROUP
)
LISTEN_BACKLOG = 4096
MESSAGE_BYTES = 65536
DESCRIPTORS = 8
"""More than come with the plan."""

CONNTRACK = "/proc/sys/net/netfilter/nf_conntrack"
NETLINK_NETFILTER = 12

QUERY_BYTES = 4 << 20
"""For DNS queries that wait. The usual 208 KiB hold some 270, and two hundred clients that start at once lost 70 of
their 400 (6.18). The kernel grants net.core.rmem_max of it, and doubles that (`man 7 socket`)."""


class Control:
    """The message channel to the supervisor: one JSON object a packet, descriptors beside it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def tell(self, step: str, descriptors: list[int] | None = None, **values: object) -> None:
        """Ends this process at once when the supervisor is gone."""
        raw = json.dumps({"step": step, **values}).encode("ascii")
        try:
            socket.send_fds(self.sock, [raw], descriptors or [])
        except (BrokenPipeError, ConnectionResetError):
            os._exit(1)

    def hear(self) -> dict[str, Any]:
        """The supervisor's next word; ends this process at once when it is gone."""
        try:
            raw = self.sock.recv(MESSAGE_BYTES)
        except ConnectionResetError:  # gone with a word of ours unread
            raw = b""
        if not raw:
            os._exit(1)
        message: dict[str, Any] = json.loads(raw)
        return message

    def expect(self, step: str) -> None:
        if self.hear()["step"] != step:
            raise RuntimeError(f"expected {step!r} from the supervisor")


def main(control_fd: int) -> NoReturn:
    control = Control(socket.socket(fileno=control_fd))
    stage = "tying its life to the supervisor's"
    try:
        tie_to_parent()
        stage = "reading the plan"
        plan = receive_plan(control)
        if not plan["command"]:  # a session's come one by one
            from trio_egress.kernel import commands  # noqa: F401  its file will be out of sight
        limits.set_memory_score(limits.SANDBOX_SCORE)
        for number in init.PASSED_ON:  # meant for the agent: the supervisor passes them on
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())  # blocked so far: `waiting.start_waiting`
        stage = "becoming the supervisor's user"
        if plan["identities"]["root"]:
            # Before the user namespace, so that nobody inside it can ever take a mount off.
            syscalls.unshare(syscalls.CLONE_NEWNS)
            os.setgroups([])
            bare = view.apply_mounts(plan["mounts"])
            check_directory(plan)
            watch = guard.Watch(plan["guard"])
            become(plan["identities"]["supervisor"])
            tie_to_parent()
        stage = "creating the namespaces"
        syscalls.unshare(BOUNDARY)
        control.tell("unshared")
        control.expect("mapped")
        stage = "preparing the file system view"
        if not plan["identities"]["root"]:
            bare = view.apply_mounts(plan["mounts"])
            check_directory(plan)
            watch = guard.Watch(plan["guard"])
        stage = "opening the sockets inside"
        sockets = open_sockets(plan["proxy_port"])
        report, sockets["report"] = socket.socketpair()
        told = [path[: guard.NAME_CHARS] for path in bare[: guard.NAMES_TOLD]]
        control.tell("sockets", [s.fileno() for s in sockets.values()], names=list(sockets), bare=told)
        for opened in sockets.values():
            opened.close()
        stage = "looking at the protected files"
        with agents_rights(plan["identities"]):
            before = watch.take_snapshot()
        stage = "waiting for the network"
        control.expect("configured")
        keep_half_closed()
        stage = "starting PID 1"
        become_init(plan, control)
    except idmap.Unlendable as error:
        control.tell("failed", message="", refused=str(error))
        os._exit(1)
    except Exception as error:
        control.tell("failed", message=f"{stage}: {error}")
        os._exit(1)
    # Nothing of the agent is left, and its view of the files still is. Without a report, the supervisor says so.
    with contextlib.suppress(OSError), agents_rights(plan["identities"]):
        report.sendall(json.dumps(guard.compare(before, watch.take_snapshot())).encode("ascii"))
    os._exit(0)


def receive_plan(control: Control) -> dict[str, Any]:
    """The supervisor's first word, which may be a while to come; its descriptors: the plan, and those of the cgroup."""
    raw, descriptors, _, _ = socket.recv_fds(
        control.sock, MESSAGE_BYTES, DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
    )
    if not raw:
        os._exit(1)
    file, *group = descriptors
    with os.fdopen(file, "rb") as opened:
        plan: dict[str, Any] = json.load(opened)
    plan["group"] = dict(zip(json.loads(raw)["group"], group, strict=True))
    return plan


def tie_to_parent() -> None:
    """Die with the supervisor (cleared by the kernel at each change of ids, so set again after it)."""
    parent = os.getppid()
    syscalls.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def check_directory(plan: dict[str, Any]) -> None:
    """Whoever handed the working directory over may have put something else, or a link, at its path meanwhile."""
    if plan["directory_is"] is not None:
        found = os.stat(plan["directory"])
        if [found.st_dev, found.st_ino] != plan["directory_is"]:
            raise RuntimeError(f"{plan['directory']} is not the directory any more that was handed over")


def become(ids: dict[str, Any]) -> None:
    """Become the supervisor's user, who will own the user namespace.

    The capabilities stay until the namespace is there: where AppArmor or a sysctl forbids user namespaces to ordinary
    users, only they make it possible. Creating it takes them away.
    """
    syscalls.keep_capabilities()
    os.setgroups([])
    os.setresgid(ids["gid"], ids["gid"], ids["gid"])
    os.setresuid(ids["uid"], ids["uid"], ids["uid"])
    syscalls.raise_capabilities()


@contextlib.contextmanager
def agents_rights(identities: dict[str, Any]) -> Iterator[None]:
    """Look at files with the agent's rights, beside our own over what is the agent's. Nothing of it runs meanwhile."""
    if not identities["root"]:
        yield
        return
    own, agent = (os.geteuid(), os.getegid()), identities["agent"]
    os.setegid(agent["gid"])
    os.seteuid(agent["uid"])
    yield
    os.seteuid(own[0])
    os.setegid(own[1])
    tie_to_parent()


def keep_half_closed() -> None:
    """Let connection tracking remember half-closed connections as long as open ones.

    Its default is a minute or two, after which a late answer (of a model that thinks, to a client that has said all) is
    lost; measured with 1 s and 300 s on 6.18. What can't be set stays at the default.
    """
    for name in ("close_wait", "fin_wait"):
        with (
            contextlib.suppress(OSError),
            open(f"{CONNTRACK}_tcp_timeout_{name}", "w", encoding="ascii") as file,
        ):
            file.write("432000")


def open_sockets(proxy_port: int) -> dict[str, socket.socket]:
    """Everything that the supervisor will use inside: created here, in the new network namespace."""
    families = {"v4": (socket.AF_INET, "127.0.0.1"), "v6": (socket.AF_INET6, "::1")}
    sockets = {
        "route": socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE),
        "netfilter": socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER),
        "log": socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER),
    }
    for name in ("route", "netfilter", "log"):
        sockets[name].bind((0, 0))
    bring_up_loopback()
    for suffix, (family, address) in families.items():
        sockets[f"transparent_{suffix}"] = listen(family, address, 0)
        sockets[f"dns_tcp_{suffix}"] = listen(family, address, 0)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUERY_BYTES)
        udp.bind(sockets[f"dns_tcp_{suffix}"].getsockname()[:2])
        sockets[f"dns_udp_{suffix}"] = udp
        sockets[f"proxy_{suffix}"] = listen(family, address, proxy_port)
    return sockets


def bring_up_loopback() -> None:
    """::1 exists only once `lo` is up, and a listener can be bound only then (SIOCSIFFLAGS, `man 7 netdevice`).

    It gets a second address of each family: of a machine with none but 127.0.0.1 and ::1, glibc answers no question for
    one family alone that comes with AI_ADDRCONFIG (`wget -4`, apt's ForceIPv4).
    """
    siocsifflags, siocsifaddr, iff_up, iff_running = 0x8914, 0x8916, 0x1, 0x40
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, siocsifflags, struct.pack("16sH14x", b"lo", iff_up | iff_running))
        second = struct.pack("16sHH4s8x", b"lo:2", socket.AF_INET, 0, socket.inet_aton("127.0.0.2"))
        fcntl.ioctl(sock, siocsifaddr, second)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        address = socket.inet_pton(socket.AF_INET6, "fe80::2")
        fcntl.ioctl(sock, siocsifaddr, struct.pack("=16sIi", address, 64, socket.if_nametoindex("lo")))


def listen(family: int, address: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.bind((address, port))
    sock.listen(LISTEN_BACKLOG)
    return sock


def become_init(plan: dict[str, Any], control: Control) -> None:
    """Fork PID 1 and wait for its end: when it is gone, so is every process of the agent."""
    child = os.fork()
    if child == 0:
        filters = notify.Filters(**{k: base64.b64decode(raw) for k, raw in plan["seccomp"].items()})
        init.main(plan, control, filters)
    control.sock.close()
    os.waitpid(child, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
