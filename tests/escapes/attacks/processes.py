"""Other processes: the host's by their numbers, and PID 1 of the sandbox. Each case has a victim of its own outside,
which runs as the agent's user: nothing but the boundary protects it."""

from __future__ import annotations

import ctypes
import fcntl
import functools
import os
import signal
import socket
import struct
from collections.abc import Callable

from tests.escapes.frame import NO_TRAFFIC, NOT_CALLED, Ways, add, attack, refused

PTRACE_PEEKDATA, PTRACE_ATTACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 2, 16, 0x4206, 0x4207
VM_NUMBERS = {"x86_64": (310, 311), "aarch64": (270, 271)}  # process_vm_readv, process_vm_writev
PIDFD_GETFD = 438
SECRET = b"SECRET-OF-THE-WORLD-"
SHARED_KEY = 0x7472696F
SECRET_AT = 209
"""The victim's descriptor of a file of secrets."""

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.shmat.restype = ctypes.c_void_p


def _kill(number: int, which: Callable[[int], int] = lambda pid: pid) -> Callable[[Ways], None]:
    return lambda w: os.kill(which(w.victim), number)


for _name, _number in (
    ("killing", signal.SIGKILL),
    ("stopping", signal.SIGSTOP),
    ("terminating", signal.SIGTERM),
):
    add(f"{_name}_a_host_process", _kill(_number), "processes", "landlock", proof="victim", silent=NO_TRAFFIC)
add(
    "killing_its_group",
    _kill(signal.SIGKILL, lambda pid: -pid),
    "processes",
    "landlock",
    proof="victim",
    silent=NO_TRAFFIC,
)


@attack("processes", "landlock", proof="victim", silent=NO_TRAFFIC)
def killing_by_a_pidfd(w: Ways) -> None:
    signal.pidfd_send_signal(os.pidfd_open(w.victim), signal.SIGKILL)


@attack("processes", "landlock", proof="victim", silent=NO_TRAFFIC)
def killing_a_thread(w: Ways) -> None:
    checked(libc.syscall(234 if w.machine == "x86_64" else 131, w.victim, w.victim, int(signal.SIGKILL)))


@attack("processes", "landlock", proof="victim", silent=NO_TRAFFIC)
def killing_by_the_owner_of_a_socket(w: Ways) -> None:
    """F_SETOWN and F_SETSIG: the kernel sends the signal for me."""
    one, other = socket.socketpair()
    fcntl.fcntl(one, fcntl.F_SETOWN, w.victim)
    fcntl.fcntl(one, fcntl.F_SETSIG, int(signal.SIGKILL))
    fcntl.fcntl(one, fcntl.F_SETFL, fcntl.fcntl(one, fcntl.F_GETFL) | os.O_ASYNC)
    other.send(b"x")


def checked(result: int) -> int:
    if result == -1:
        raise OSError(ctypes.get_errno(), "call")
    return result


@attack("sandbox", proof="secret", silent=NO_TRAFFIC)
def environment_of_a_host_process(w: Ways) -> None:
    with open(f"/proc/{w.victim}/environ", "rb") as file:
        w.show(secret=file.read())


@attack("sandbox", proof="secret", silent=NO_TRAFFIC)
def memory_of_a_host_process(w: Ways) -> None:
    first, last = _stack_end(w.victim)
    with open(f"/proc/{w.victim}/mem", "rb", buffering=0) as memory:
        memory.seek(first)
        _show_secret(w, memory.read(last - first))


def _show_secret(w: Ways, raw: bytes) -> None:
    at = raw.find(SECRET)
    w.show(secret=raw[at : at + 64] if at >= 0 else b"")


def _stack_end(pid: int) -> tuple[int, int]:
    with open(f"/proc/{pid}/maps") as file:
        stack = next(line for line in file if "[stack]" in line)
    first, last = (int(part, 16) for part in stack.split()[0].split("-"))
    return max(first, last - 65536), last


@attack("sandbox", proof="secret", silent=NOT_CALLED)
def process_vm_readv(w: Ways) -> None:
    first, last = _stack_end(w.victim)
    buffer = ctypes.create_string_buffer(last - first)
    local = struct.pack("=QQ", ctypes.addressof(buffer), last - first)
    remote = struct.pack("=QQ", first, last - first)
    number = VM_NUMBERS[w.machine][0]
    checked(
        libc.syscall(number, w.victim, local, ctypes.c_ulong(1), remote, ctypes.c_ulong(1), ctypes.c_ulong(0))
    )
    _show_secret(w, buffer.raw)


@attack("sandbox", proof="secret", receipt=refused("ptrace", "PTRACE_ATTACH"))
def ptrace_attach(w: Ways) -> None:
    checked(libc.ptrace(PTRACE_ATTACH, w.victim, None, None))
    os.waitpid(w.victim, 0)
    _peek(w)


@attack("sandbox", proof="secret", receipt=refused("ptrace", "PTRACE_SEIZE"))
def ptrace_seize(w: Ways) -> None:
    checked(libc.ptrace(PTRACE_SEIZE, w.victim, None, None))
    checked(libc.ptrace(PTRACE_INTERRUPT, w.victim, None, None))
    os.waitpid(w.victim, 0)
    _peek(w)


def _peek(w: Ways) -> None:
    _, last = _stack_end(w.victim)
    words = [libc.ptrace(PTRACE_PEEKDATA, w.victim, at, None) for at in range(last - 8192, last, 8)]
    _show_secret(w, b"".join(struct.pack("=q", word) for word in words))


@attack("sandbox", proof="secret", silent=NOT_CALLED)
def stealing_a_descriptor(w: Ways) -> None:
    taken = checked(libc.syscall(PIDFD_GETFD, os.pidfd_open(w.victim), SECRET_AT, 0))
    w.show(secret=os.pread(taken, 4096, 0))


def _through_proc(path: str) -> Callable[[Ways], None]:
    def attempt(w: Ways) -> None:
        with open(path.format(victim=w.victim), "rb") as file:
            w.show(secret=file.read(4096))

    return attempt


for _name, _path in {
    "root_of_a_host_process": "/proc/{victim}/root/srv/secret",
    "directory_of_a_host_process": "/proc/{victim}/cwd/secret",
    "descriptor_of_a_host_process": f"/proc/{{victim}}/fd/{SECRET_AT}",
}.items():
    add(_name, _through_proc(_path), "sandbox", proof="secret", silent=NO_TRAFFIC)


def _namespace_of_victim(kind: str) -> Callable[[Ways], None]:
    def attempt(w: Ways) -> None:
        w.show(descriptors=[os.open(f"/proc/{w.victim}/ns/{kind}", os.O_RDONLY)])

    return attempt


for _kind in ("net", "mnt", "pid", "user"):
    add(
        f"{_kind}_namespace_of_a_host_process",
        _namespace_of_victim(_kind),
        "sandbox",
        proof=f"descriptor:{_kind}:",
        silent=NO_TRAFFIC,
    )


@attack("shared memory", proof="secret", silent=NO_TRAFFIC)
def shared_memory_of_the_host(w: Ways) -> None:
    found = checked(libc.shmget(SHARED_KEY, 4096, 0))
    at = libc.shmat(found, None, 0o10000)
    if at == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "shmat")
    w.show(secret=ctypes.string_at(at, 64))


# PID 1 of the sandbox, which holds the wire to the supervisor


def _of_pid_1(name: str) -> Callable[[Ways], None]:
    def attempt(w: Ways) -> None:
        w.show(descriptors=[os.open(f"/proc/1/{name}", os.O_RDONLY)])

    return attempt


for _name in ("root", "cwd", "mem", "environ", "maps", "ns/mnt", "ns/net"):
    add(
        f"{_name.replace('/', '_')}_of_pid_1",
        _of_pid_1(_name),
        "proc",
        "dumpable",
        "capabilities",
        "landlock",
        proof="descriptor:",
        silent=NO_TRAFFIC,
    )


for _name in ("cmdline", "status", "cgroup", "mountinfo", "task", "net"):
    add(f"{_name}_of_pid_1", _of_pid_1(_name), "proc", proof=f"descriptor:.*/{_name} ", silent=NO_TRAFFIC)


def _open_kernels_own(path: str, flags: int) -> Callable[[Ways], None]:
    """Only opened, and handed out: the machine is a real one."""
    return lambda w: w.show(descriptors=[os.open(path, flags)])


for _path in (
    "/proc/sys/kernel/ns_last_pid",
    "/proc/pressure/cpu",
    "/proc/pressure/memory",
    "/proc/pressure/io",
):
    add(
        f"writing_{_path[1:].replace('/', '_')}",
        _open_kernels_own(_path, os.O_WRONLY),
        "proc",
        "landlock",
        proof=f"descriptor:(?:/proc)?{_path.removeprefix('/proc')}",  # without it where that is unmounted by now
        silent=NO_TRAFFIC,
        exists=functools.partial(os.path.exists, _path),
    )


@attack(
    "proc",
    proof="secret",
    silent=NO_TRAFFIC,
    only="user",
    exists=functools.partial(os.path.exists, "/proc/keys"),
)
def names_of_the_users_keys(w: Ways) -> None:
    with open("/proc/keys", "rb") as file:
        w.show(secret=file.read())


@attack(
    "dumpable",
    "capabilities",
    "landlock",
    "seccomp",
    proof="descriptor:socket 1 ",
    receipt=refused("pidfd_getfd"),
)
def wire_of_pid_1(w: Ways) -> None:
    """With it the agent could tell the supervisor anything."""
    pidfd = os.pidfd_open(1)
    for number in range(3, 20):
        taken = libc.syscall(PIDFD_GETFD, pidfd, number, 0)
        if taken >= 0 and os.readlink(f"/proc/self/fd/{taken}").startswith("socket:"):
            w.show(descriptors=[taken])
            return
    raise OSError(ctypes.get_errno(), "pidfd_getfd")
