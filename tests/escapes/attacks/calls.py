"""System calls that would change the boundary, or reach a corner of the kernel where none stands."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import signal
import socket
import struct
import termios
import time
from collections.abc import Callable

from tests.escapes.frame import ANSWERED_ALONE, KILLED, ROOM, WORK, Ways, add, attack, refused

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

NUMBERS = {
    "x86_64": {
        "add_key": 248, "bpf": 321, "clone": 56, "fanotify_init": 300, "keyctl": 250, "mount": 165, "chroot": 161,
        "name_to_handle_at": 303, "perf_event_open": 298, "request_key": 249, "setns": 308, "unshare": 272,
        "userfaultfd": 323, "umount2": 166, "pivot_root": 155,
    },
    "aarch64": {
        "add_key": 217, "bpf": 280, "clone": 220, "fanotify_init": 262, "keyctl": 219, "mount": 40, "chroot": 51,
        "name_to_handle_at": 264, "perf_event_open": 241, "request_key": 218, "setns": 268, "unshare": 97,
        "userfaultfd": 282, "umount2": 39, "pivot_root": 41,
    },
}  # fmt: skip
SAME = {
    "io_uring_setup": 425,
    "open_tree": 428,
    "fsopen": 430,
    "fspick": 433,
    "clone3": 435,
    "pidfd_getfd": 438,
    "memfd_secret": 447,
}
NAMESPACES = {"user": 0x10000000, "net": 0x40000000, "mnt": 0x20000, "pid": 0x20000000, "ipc": 0x8000000,
              "uts": 0x4000000, "cgroup": 0x2000000, "time": 0x80}  # fmt: skip
IORING_OP_SOCKET = 45
KEYCTL_READ, KEYCTL_SEARCH, SESSION_KEYRING = 11, 10, -3


def call(w: Ways, name: str, *words: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    number = SAME[name] if name in SAME else NUMBERS[w.machine][name]
    full = [ctypes.c_long(word) if isinstance(word, int) else word for word in words]
    result: int = libc.syscall(ctypes.c_long(number), *full)
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    return result


def show_namespace(w: Ways, kind: str) -> None:
    w.show(descriptors=[os.open(f"/proc/self/ns/{kind}", os.O_RDONLY)])


def _unshare(kind: str) -> Callable[[Ways], None]:
    def attempt(w: Ways) -> None:
        """As anybody would: first a user namespace, which gives the right to all others. A child is in all of them."""
        call(w, "unshare", NAMESPACES["user"] | NAMESPACES[kind])
        child = os.fork()
        if child == 0:
            show_namespace(w, kind)
            os._exit(0)
        os.waitpid(child, 0)

    return attempt


def _spell(kind: str) -> str:
    """Both flags in the order of their bits."""
    words = {"mnt": "NS"}
    both = sorted({"user", kind}, key=lambda name: NAMESPACES[name])
    return "|".join(f"CLONE_NEW{words.get(name, name.upper())}" for name in both)


for _kind in NAMESPACES:
    add(
        f"unshare_{_kind}",
        _unshare(_kind),
        "seccomp",
        "landlock",
        proof=f"new namespace:{_kind}",
        receipt=refused("unshare", _spell(_kind)),
    )


@attack("seccomp", proof="new namespace:user", receipt=refused("clone", "CLONE_NEWUSER"))
def clone_with_a_namespace(w: Ways) -> None:
    child = call(w, "clone", NAMESPACES["user"] | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        show_namespace(w, "user")
        os._exit(0)
    os.waitpid(child, 0)


@attack("seccomp", proof="new namespace:user", receipt=refused("clone", "CLONE_NEWUSER"))
def clone_with_an_upper_half(w: Ways) -> None:
    child = call(w, "clone", 1 << 40 | NAMESPACES["user"] | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        show_namespace(w, "user")
        os._exit(0)
    os.waitpid(child, 0)


@attack("seccomp", proof="new namespace:user", silent=ANSWERED_ALONE)
def clone3_with_a_namespace(w: Ways) -> None:
    """Its flags are behind a pointer, where no filter can look."""
    child = call(w, "clone3", struct.pack("=8Q", NAMESPACES["user"], 0, 0, 0, signal.SIGCHLD, 0, 0, 0), 64)
    if child == 0:
        show_namespace(w, "user")
        os._exit(0)
    os.waitpid(child, 0)


RIGHTS = ("seccomp", "capabilities", "landlock")


@attack(*RIGHTS, proof="mounted", receipt=refused("mount"))
def mounting(w: Ways) -> None:
    os.mkdir(f"{WORK}/{w.token}")
    call(w, "mount", b"mqueue", f"{WORK}/{w.token}".encode(), b"mqueue", 0, None)
    w.show(descriptors=[os.open(f"{WORK}/{w.token}", os.O_RDONLY)])


@attack(*RIGHTS, proof="descriptor:.*fscontext", receipt=refused("fsopen"))
def fsopen(w: Ways) -> None:
    w.show(descriptors=[call(w, "fsopen", b"tmpfs", 0)])


@attack(*RIGHTS, proof="descriptor:", receipt=refused("open_tree"))
def open_tree(w: Ways) -> None:
    w.show(descriptors=[call(w, "open_tree", -100, WORK.encode(), 0x8001)])


@attack("seccomp", "capabilities", proof="inside:work", receipt=refused("chroot"))
def changing_the_root(w: Ways) -> None:
    os.chroot(WORK)
    w.show(descriptors=[os.open("/", os.O_RDONLY)])


@attack("seccomp", proof="handle", receipt=refused("name_to_handle_at"))
def name_to_handle(w: Ways) -> None:
    handle = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0), 136)
    number = ctypes.create_string_buffer(4)
    result = libc.syscall(
        ctypes.c_long(NUMBERS[w.machine]["name_to_handle_at"]),
        ctypes.c_long(-100),
        WORK.encode(),  # as it is on the host
        handle,
        number,
        ctypes.c_long(0),
    )
    if result == -1:
        raise OSError(ctypes.get_errno(), "name_to_handle_at")
    length, kind = struct.unpack_from("=Ii", handle.raw)
    w.show(secret=struct.pack("=Ii", length, kind) + handle.raw[8 : 8 + length])


@attack("seccomp", proof="descriptor:information (?s:.*)SqMask", receipt=refused("io_uring_setup"))
def io_uring(w: Ways) -> None:
    """Its operations are no system calls: OP_SOCKET would make any socket that the filter forbids."""
    made = call(w, "io_uring_setup", 4, ctypes.create_string_buffer(120))
    # The descriptor itself can't be sent (since Linux 6.7); what the kernel tells of it can.
    w.show(descriptors=[os.open(f"/proc/self/fdinfo/{made}", os.O_RDONLY)])
    time.sleep(3)  # it can be read for as long as this process lives


@attack("seccomp", proof=r"descriptor:anon_inode:\[userfaultfd\]", receipt=refused("userfaultfd"))
def userfaultfd(w: Ways) -> None:
    w.show(descriptors=[call(w, "userfaultfd", 1)])


def _has_secret_memory() -> bool:
    """Many kernels before 6.5 have it turned off."""
    made: int = libc.syscall(ctypes.c_long(SAME["memfd_secret"]), ctypes.c_long(0))
    if made >= 0:
        os.close(made)
    return made >= 0


@attack(
    "seccomp",
    proof="descriptor:.*secretmem",
    receipt=refused("memfd_secret"),
    exists=_has_secret_memory,
)
def memfd_secret(w: Ways) -> None:
    """Memory that stands in no account of a process."""
    w.show(descriptors=[call(w, "memfd_secret", 0)])


@attack("seccomp", proof=r"descriptor:anon_inode:\[perf_event\]", receipt=refused("perf_event_open"))
def perf_event(w: Ways) -> None:
    attributes = struct.pack("=IIQQQQQ", 1, 72, 0, 0, 0, 0, 1 << 5 | 1 << 6).ljust(72, b"\0")
    w.show(descriptors=[call(w, "perf_event_open", attributes, 0, -1, -1, 0)])


@attack("sandbox and user", proof=r"descriptor:anon_inode:bpf-map", receipt=refused("bpf", "0"), only="root")
def bpf(w: Ways) -> None:
    w.show(descriptors=[call(w, "bpf", 0, struct.pack("=IIII", 2, 4, 4, 1).ljust(72, b"\0"), 72)])


@attack(
    "seccomp",
    proof=r"descriptor:anon_inode:\[fanotify\]|descriptor:anon_inode:.fanotify",
    receipt=refused("fanotify_init"),
)
def fanotify(w: Ways) -> None:
    w.show(descriptors=[call(w, "fanotify_init", 0x200, 0)])


@attack("seccomp", "keyring", proof="secret", receipt=refused("keyctl", "10"))
def key_of_the_session(w: Ways) -> None:
    """What the operator's shell has in its session keyring."""
    found = call(w, "keyctl", KEYCTL_SEARCH, SESSION_KEYRING, b"user", b"trio-egress-canary", 0)
    buffer = ctypes.create_string_buffer(256)
    length = libc.syscall(
        ctypes.c_long(NUMBERS[w.machine]["keyctl"]),
        ctypes.c_long(KEYCTL_READ),
        ctypes.c_long(found),
        buffer,
        256,
    )
    w.show(secret=buffer.raw[: max(length, 0)])


@attack("seccomp", "keyring", proof="secret", receipt=refused("request_key"))
def key_by_request(w: Ways) -> None:
    found = call(w, "request_key", b"user", b"trio-egress-canary", None, SESSION_KEYRING)
    buffer = ctypes.create_string_buffer(256)
    length = libc.syscall(
        ctypes.c_long(NUMBERS[w.machine]["keyctl"]),
        ctypes.c_long(KEYCTL_READ),
        ctypes.c_long(found),
        buffer,
        256,
    )
    w.show(secret=buffer.raw[: max(length, 0)])


@attack("seccomp", proof="descriptor:/memfd:stolen", receipt=refused("pidfd_getfd"))
def pidfd_getfd_of_a_child(w: Ways) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, bytes([os.memfd_create("stolen")]))
        signal.pause()
    try:
        w.show(descriptors=[call(w, "pidfd_getfd", os.pidfd_open(child), os.read(reader, 1)[0], 0)])
    finally:
        os.kill(child, signal.SIGKILL)


# Calls by another table


def run_code(code: bytes) -> int:
    """Machine code as a function without arguments."""
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    result: int = function()
    return result


def int_0x80(number: int, first: int, second: int, third: int) -> int:
    """A system call of i386: `push rbx; mov eax, ebx, ecx, edx; int 0x80; pop rbx; ret`."""
    code = b"\x53" + b"".join(
        opcode + struct.pack("<I", word)
        for opcode, word in ((b"\xb8", number), (b"\xbb", first), (b"\xb9", second), (b"\xba", third))
    )
    result = run_code(code + b"\xcd\x80\x5b\xc3")
    if result < 0:
        raise OSError(-result, "int 0x80")
    return result


def _is_intel() -> bool:
    return os.uname().machine == "x86_64"


I386_SOCKET, I386_UNSHARE = 359, 310


@attack("seccomp", proof="descriptor:socket 40 ", silent=KILLED, exists=_is_intel)
def i386_socket(w: Ways) -> None:
    w.show(descriptors=[int_0x80(I386_SOCKET, 40, socket.SOCK_STREAM, 0)])


@attack("seccomp", proof="new namespace:user", silent=KILLED, exists=_is_intel)
def i386_unshare(w: Ways) -> None:
    int_0x80(I386_UNSHARE, NAMESPACES["user"], 0, 0)
    show_namespace(w, "user")


# Terminals and programs that gain


@attack(
    *("seccomp", "terminal"),
    proof="typed",
    receipt=refused("ioctl", "TIOCSTI"),
    setting="stdin terminal",
    alone=True,
)
def typing_into_the_terminal(w: Ways) -> None:
    for character in w.raw:
        fcntl.ioctl(0, termios.TIOCSTI, bytes([character]))


def _cat(program: str) -> Callable[[Ways], None]:
    """A copy of `cat` by which only root's file can be read, if running it gains anything."""

    def attempt(w: Ways) -> None:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.dup2(writer, 1)
                os.execv(f"{ROOM}/{program}", ["cat", f"{ROOM}/only-root"])
            finally:
                os._exit(1)
        os.close(writer)
        os.waitpid(child, 0)
        w.show(secret=os.read(reader, 4096))

    return attempt


for _name in ("set-uid-cat", "capable-cat"):
    add(
        f"program_{_name.replace('-', '_')}",
        _cat(_name),
        "sandbox",
        proof="secret",
        silent="gains nothing, so does nothing",
        only="root",
    )


OUTLETS = (
    "GITHUB_ENV",
    "GITHUB_PATH",
    "GITHUB_OUTPUT",
    "GITHUB_STATE",
    "GITHUB_STEP_SUMMARY",
    "ACTIONS_RUNTIME_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_CACHE_URL",
    "CI_JOB_TOKEN",
    "SSH_AUTH_SOCK",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_HOST",
    "XDG_RUNTIME_DIR",
    "NOTIFY_SOCKET",
    "BASH_ENV",
    "PYTHONSTARTUP",
    "PERL5OPT",
    "SSLKEYLOGFILE",
    "http_proxy",
)
"""Variables of the job, each with the secret of the world as its value."""


def _variable(name: str) -> Callable[[Ways], None]:
    return lambda w: w.show(secret=os.environb[name.encode()])


for _name in OUTLETS:
    add(
        f"variable_{_name}",
        _variable(_name),
        "environment",
        proof="secret",
        silent="a variable is no traffic",
    )
