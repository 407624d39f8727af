"""Tries, inside the sandbox and confined like the agent, what the boundary must stop, and tells what happened.

Runs in a fork of PID 1, so standard library only. It believes nothing: each probe does the thing and reports the
kernel's answer. What the answers must be is not known here (`kernel/posture.py`).

Rule 1: a probe that was stopped says `denied:<errno name>`; one that got through says what it got.
Rule 2: nothing it does outlives it, wherever it gets through.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from trio_egress.kernel import syscalls

DOCUMENTATION_V4 = "192.0.2.1"
DOCUMENTATION_V6 = "2001:db8::1"
AF_VSOCK = 40
TIOCSTI = 0x5412

Answers = dict[str, str]


def run_probes(targets: dict[str, Any]) -> Answers:
    """Every probe's answer by name.

    `targets`: `port` and `abstract` of listeners on the host, paths of its Unix `sockets`, and `hidden` paths.
    """
    return {name: _answer(probe) for name, probe in list_probes(targets).items()}


def list_probes(targets: dict[str, Any]) -> dict[str, Callable[[], str]]:
    """The probes by name, none of them done: outside a sandbox they would do what they try."""
    return {
        "capabilities": lambda: _status("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"),
        "no_new_privs": lambda: _status("NoNewPrivs"),
        "seccomp": lambda: _status("Seccomp"),
        "uid_zero": lambda: (
            "present" if 0 in (*os.getresuid(), *os.getresgid(), *os.getgroups()) else "absent"
        ),
        "descriptors": _descriptors,
        "processes": _processes,
        "interfaces": lambda: ",".join(sorted(name for _, name in socket.if_nameindex())),
        "host_loopback": lambda: _connect(socket.AF_INET, ("127.0.0.1", targets["port"])),
        "host_unix_path": lambda: _connect_any(targets["sockets"]),
        "host_unix_abstract": lambda: _connect(socket.AF_UNIX, "\0" + targets["abstract"]),
        "udp": lambda: _send(socket.AF_INET, (DOCUMENTATION_V4, 9)),
        "udp_ipv6": lambda: _send(socket.AF_INET6, (DOCUMENTATION_V6, 9)),
        "quic": lambda: _send(socket.AF_INET, (DOCUMENTATION_V4, 443)),
        "broadcast": lambda: _send(socket.AF_INET, ("255.255.255.255", 9)),
        "icmp": lambda: _send_icmp(),
        "raw_socket": lambda: _socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP),
        "raw_socket_ipv6": lambda: _socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_UDP),
        "packet_socket": lambda: _socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0),
        "vsock": lambda: _socket(AF_VSOCK, socket.SOCK_STREAM, 0),
        "netfilter": lambda: _socket(socket.AF_NETLINK, socket.SOCK_RAW, 12),
        "user_namespace": lambda: _call(lambda: syscalls.unshare(syscalls.CLONE_NEWUSER)),
        "network_namespace": lambda: _call(lambda: syscalls.unshare(syscalls.CLONE_NEWNET)),
        "mount": lambda: _call(lambda: syscalls.mount("tmpfs", "/tmp", "tmpfs")),  # noqa: S108
        "unmount": lambda: _call(lambda: syscalls.umount2("/run", syscalls.MNT_DETACH)),
        "ptrace": lambda: _number("ptrace", 16, 1, 0, 0),
        "process_vm_readv": lambda: _number("process_vm_readv", 1, 0, 0, 0, 0),
        "io_uring": lambda: _number("io_uring_setup", 1, 0),
        "bpf": lambda: _number("bpf", 0, 0, 0),
        "perf_event_open": lambda: _number("perf_event_open", 0, 0, 0, 0, 0),
        "keyctl": lambda: _number("keyctl", 0, 0, 0, 0, 0),
        "terminal_injection": _inject,
        "memory_of_pid_1": lambda: _open("/proc/1/mem", os.O_RDONLY),
        "root_of_pid_1": lambda: _open("/proc/1/root", os.O_RDONLY),
        "host_write": lambda: _open("/usr/trio-egress-probe", os.O_WRONLY | os.O_CREAT),
        "docker_socket": lambda: _connect_any(["/run/docker.sock", "/var/run/docker.sock"]),
        "hidden": lambda: _hidden(targets["hidden"]),
    }


def _answer(probe: Callable[[], str]) -> str:
    try:
        return probe()
    except OSError as error:
        return f"denied:{errno.errorcode.get(error.errno or 0, str(error.errno))}"


def _status(*names: str) -> str:
    with open("/proc/self/status", encoding="ascii") as file:
        found = dict(line.split(":", 1) for line in file if ":" in line)
    return ",".join(str(int(found[name].strip(), 16)) for name in names)


def _descriptors() -> str:
    """The open ones above 2; the directory's own and the answer's pipe are the launcher's two."""
    extra = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]
    return str(max(0, len(extra) - 2))


def _processes() -> str:
    return str(sum(name.isdigit() for name in os.listdir("/proc")))


def _connect(family: int, address: Any) -> str:
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(2)
        sock.connect(address)
    return "connected"


def _send(family: int, address: tuple[str, int]) -> str:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.sendto(b"trio-egress probe", address)
    return "sent"


def _send_icmp() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sock:
        sock.sendto(b"\x08\x00\x00\x00\x00\x00\x00\x00", (DOCUMENTATION_V4, 0))
    return "sent"


def _socket(family: int, kind: int, protocol: int) -> str:
    socket.socket(family, kind, protocol).close()
    return "opened"


def _call(call: Callable[[], None]) -> str:
    call()
    return "allowed"


def _number(name: str, *arguments: int) -> str:
    syscalls.attempt(name, *arguments)
    return "allowed"


def _inject() -> str:
    """TIOCSTI on whatever standard input is: seccomp must answer before the terminal does."""
    import fcntl

    fcntl.ioctl(0, TIOCSTI, b" ")
    return "allowed"


def _open(path: str, flags: int) -> str:
    os.close(os.open(path, flags, 0o600))
    return "opened"


def _connect_any(paths: list[str]) -> str:
    """Which of these Unix sockets takes a connection."""
    for path in paths:
        if _answer(lambda: _connect(socket.AF_UNIX, path)) == "connected":  # noqa: B023  called at once
            return f"connected to {path}"
    return "hidden"


def _hidden(paths: list[str]) -> str:
    """Whether any hidden path shows or takes anything."""
    for path in paths:
        if os.path.isdir(path):
            if os.listdir(path):
                return f"shows {len(os.listdir(path))} entries"
            if _answer(lambda: _open(f"{path}/probe", os.O_WRONLY | os.O_CREAT)) == "opened":  # noqa: B023
                return "writable"
        elif os.path.exists(path):
            with open(path, "rb") as file:
                if file.read(1):
                    return "readable"
    return "hidden"
