"""The place of a run: namespaces and a network of the test's own, and a file system full of what must stay hidden."""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.escapes.attacks.files import AT_HOME
from tests.escapes.attacks.processes import SHARED_KEY
from tests.escapes.attacks.unix import HOST_SOCKETS
from tests.escapes.canaries import Canaries
from tests.escapes.frame import GUARDED, HOME, ROOM, WORK, Ways
from tests.runs.launch import AGENT, AS_ROOT

from trio_egress.kernel import netlink, syscalls

LIBRARY = f"{ROOM}/library"
AGAIN = f"{ROOM}/again"
"""The room once more: a second mount of the same file system."""
SECRET = b"SECRET-OF-THE-WORLD-" + os.urandom(8).hex().encode("ascii")
POLICY = """version = "1.0"
default_deny = true
[[egress]]
destination = "allowed.test:80"
methods = ["GET"]
[[egress]]
destination = "allowed.test:443"
[[egress]]
destination = "*.wild.test"
[[egress]]
destination = "*.rebind.test"
"""
libc = ctypes.CDLL(None, use_errno=True)


def enter_namespaces() -> None:
    uid, gid = os.getuid(), os.getgid()
    flags = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWPID
    syscalls.unshare(flags if AS_ROOT else flags | syscalls.CLONE_NEWUSER)
    if not AS_ROOT:
        for file, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            Path(f"/proc/self/{file}").write_text(text)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    with tempfile.NamedTemporaryFile("w", dir="/var/tmp", suffix="-resolv.conf", delete=False) as resolver:
        resolver.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    os.chmod(resolver.name, 0o644)
    syscalls.mount(resolver.name, os.path.realpath("/etc/resolv.conf"), None, syscalls.MS_BIND)
    atexit.register(os.unlink, resolver.name)


def become_first() -> None:
    """PID 1 of a namespace of the test's own: what a control lets loose reaches nobody else, and ends with this."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status))
    atexit.unregister(os.unlink)
    syscalls.set_parent_death_signal(signal.SIGKILL)
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    Path("/proc/sys/kernel/ns_last_pid").write_text("20000")  # no number here is one in the sandbox


def make_network() -> None:
    """`lo` up, with multicast, and every address local: no packet ever finds no route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        up_running_multicast = 0x1 | 0x40 | 0x1000
        fcntl.ioctl(sock, 0x8914, struct.pack("16sH14x", b"lo", up_running_multicast))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as route:
        route.bind((0, 0))
        netlink.add_local_routes(route)
    Path("/proc/sys/net/ipv4/ping_group_range").write_text(f"{AGENT.pw_gid} {AGENT.pw_gid}")
    Path("/proc/sys/net/ipv4/conf/all/accept_local").write_text("1")


def put_secrets_in_memory() -> None:
    """A session keyring and a shared segment with the secret, as another program of this user might have them."""
    syscalls.new_session_keyring()
    for name in (b"trio-egress-canary", SECRET):  # the names of keys are told in /proc/keys
        key = libc.syscall(
            {"x86_64": 248, "aarch64": 217}[os.uname().machine],
            b"user",
            name,
            SECRET,
            ctypes.c_size_t(len(SECRET)),
            -3,
        )
        if key < 0:
            raise OSError(ctypes.get_errno(), "add_key")
    libc.shmat.restype = ctypes.c_void_p
    segment = libc.shmget(SHARED_KEY, ctypes.c_size_t(4096), 0o1666)
    ctypes.memmove(libc.shmat(segment, None, 0), SECRET, len(SECRET))


@contextmanager
def make_room(canaries: Canaries, cases: list[Ways]) -> Iterator[ExitStack]:
    """A file system for one run. The stack closes what else the run is given."""
    with ExitStack() as stack:
        for place in (ROOM, "/run"):
            syscalls.mount("tmpfs", place, "tmpfs", 0, "mode=0755")
            stack.callback(syscalls.umount2, place, syscalls.MNT_DETACH)
        # As root the room belongs to the agent's user: nothing but the boundary stands between.
        for path in (ROOM, WORK, GUARDED, f"{ROOM}/app", f"{ROOM}/keys", f"{ROOM}/audit", f"{ROOM}/site-packages",
                     f"{ROOM}/repository/.git/hooks", HOME, f"{HOME}/.config/pip", f"{ROOM}/before"):  # fmt: skip
            os.makedirs(path, exist_ok=True)
        for path in (f"{ROOM}/policy.toml", f"{HOME}/.bashrc", f"{HOME}/.profile", f"{HOME}/.gitconfig",
                     f"{HOME}/.config/pip/pip.conf", *[w.guarded for w in cases]):  # fmt: skip
            Path(path).write_text("as it was")
        for name in AT_HOME:
            os.makedirs(os.path.dirname(f"{HOME}/{name}"), exist_ok=True)
            Path(f"{HOME}/{name}").write_bytes(SECRET)
        Path(f"{ROOM}/secret").write_bytes(SECRET)
        own_everything()
        Path(f"{ROOM}/policy.toml").write_text(POLICY)
        Path(LIBRARY, "tests").mkdir(parents=True)
        own = Path(__file__).parent
        shutil.copytree(own, f"{LIBRARY}/tests/escapes", ignore=shutil.ignore_patterns("__pycache__"))
        stack.callback(canaries.leave_pipe, canaries.listen_to_pipe(f"{ROOM}/app/pipe"))
        os.chown(f"{ROOM}/app/pipe", AGENT.pw_uid, AGENT.pw_gid)
        make_privileged_programs()
        open_unix_sockets(canaries, stack)
        yield stack


def own_everything() -> None:
    for folder, _, files in os.walk(ROOM):
        for path in (folder, *(f"{folder}/{name}" for name in files)):
            os.chown(path, AGENT.pw_uid, AGENT.pw_gid)


def make_privileged_programs() -> None:
    if not AS_ROOT:
        return
    Path(f"{ROOM}/only-root").write_bytes(SECRET)
    os.chmod(f"{ROOM}/only-root", 0o600)
    for name in ("set-uid-cat", "capable-cat"):
        shutil.copy("/bin/cat", f"{ROOM}/{name}")
    os.chmod(f"{ROOM}/set-uid-cat", 0o4755)
    read_everything = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    os.setxattr(
        f"{ROOM}/capable-cat",
        "security.capability",
        struct.pack("<IIIII", 0x02000001, read_everything, 0, 0, 0),
    )


def open_unix_sockets(canaries: Canaries, stack: ExitStack) -> None:
    late = HOST_SOCKETS["made_after_the_start"]
    for name, path in HOST_SOCKETS.items():
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if path == late or path.startswith("/var/run/") or os.path.lexists(path):
            continue
        stack.callback(canaries.remove, open_unix_socket(canaries, name, path))
    stack.callback(canaries.remove, canaries.listen_at(f"{ROOM}/app/datagram.sock", socket.SOCK_DGRAM))
    in_tmp = tempfile.mkdtemp(prefix="trio-escape-", dir="/tmp")
    os.chmod(in_tmp, 0o755)
    stack.callback(shutil.rmtree, in_tmp)
    stack.callback(canaries.remove, canaries.listen_at(f"{in_tmp}/agent.sock"))


def open_unix_socket(canaries: Canaries, name: str, path: str) -> socket.socket:
    """In the way that its name tells: the kernel's table of sockets has the path of the bind, if any."""
    folder, base = os.path.split(path)
    before = f"{folder}/before.sock"
    match name:
        case "bound_by_a_relative_path":
            here = os.getcwd()
            os.chdir(folder)
            sock = canaries.listen_at(base)
            os.chdir(here)
        case "renamed":
            sock = canaries.listen_at(before)
            os.rename(before, path)
        case "hard_linked":
            sock = canaries.listen_at(before)
            os.link(before, path)
            os.unlink(before)
        case "by_a_symbolic_link":
            sock = canaries.listen_at(before)
            os.symlink(before, path)
        case "in_a_renamed_directory":
            os.rmdir(folder)
            sock = canaries.listen_at(f"{ROOM}/before/{base}")
            os.rename(f"{ROOM}/before", folder)
        case "of_another_network_namespace":
            sock = open_foreign_socket(path)
            canaries.attend(sock)
        case _:
            sock = canaries.listen_at(path)
    return sock


def open_foreign_socket(path: str) -> socket.socket:
    """Bound in a network namespace that isn't the world's: no table there lists it (a container's bind mount)."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
            os.chmod(path, 0o666)
            socket.send_fds(theirs, [b"x"], [sock.fileno()])
        os._exit(0)
    _, received, _, _ = socket.recv_fds(ours, 1, 1)
    os.waitpid(child, 0)
    ours.close()
    theirs.close()
    return socket.socket(fileno=received[0])
