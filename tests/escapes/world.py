"""The outside of the escape suite: a network, mounts and canaries of its own, in which real runs take place.

`python world.py` reads the runs that are wanted as JSON on standard input and writes what was seen of each as JSON. It
is a process of its own because it enters namespaces: as root a network, mount and IPC namespace, as an ordinary user a
user namespace as well, in which it has the same id. Every address leads to the canaries there.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import json
import os
import pty
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.escapes import attacks
from tests.escapes.attacks import descriptors
from tests.escapes.attacks.calls import OUTLETS
from tests.escapes.attacks.files import AT_HOME
from tests.escapes.attacks.processes import SECRET_AT, SHARED_KEY
from tests.escapes.attacks.unix import HOST_SOCKETS
from tests.escapes.canaries import Canaries
from tests.escapes.frame import CASES, EVIDENCE, GUARDED, HOME, KEY, ROOM, WORK, Case, Ways
from tests.runs.launch import AGENT, AS_ROOT, PATHS, find_processes, verify

from trio_egress.evidence.sign import generate, render_private_key
from trio_egress.kernel import netlink, syscalls

PATIENCE_SECONDS = 40.0
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
MESSAGE_BYTES = 1 << 18
SO_DOMAIN = 39
libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    wanted = json.load(sys.stdin)
    out = os.dup(1)
    os.dup2(2, 1)
    attacks.load()
    enter_namespaces()
    become_first()
    make_network()
    put_secrets_in_memory()
    canaries = Canaries()
    canaries.open_network()
    canaries.listen_at("\0trio-egress-canary")
    canaries.listen_at("\0trio-egress-canary-datagrams", socket.SOCK_DGRAM)
    seen = [carry_out(run, canaries) for run in wanted]
    with os.fdopen(out, "w") as file:
        json.dump(seen, file)


# The place


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
    key = libc.syscall(
        {"x86_64": 248, "aarch64": 217}[os.uname().machine],
        b"user",
        b"trio-egress-canary",
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


# A run


def carry_out(run: Mapping[str, Any], canaries: Canaries) -> dict[str, Any]:
    started = time.monotonic()
    nonce = os.urandom(4).hex()
    numbers = {case.name: number for number, case in enumerate(CASES)}
    cases = [CASES[numbers[name]] for name in run["cases"]]
    ways = [Ways(case.name, numbers[case.name], nonce) for case in cases]
    off: list[str] = run["off"]
    with make_room(canaries, ways) as stack:
        victims = {c.name: stack.enter_context(open_victim()) for c in cases if needs_victim(c)}
        key = generate(os.urandom(32))
        make_key(render_private_key(key))
        streams = open_streams(run["setting"], canaries, stack)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        canaries.take()
        agent = [os.path.realpath(sys.executable), "-I", "-S", "-B", f"{LIBRARY}/tests/escapes/inside.py"]
        pids = json.dumps({name: victim.pid for name, victim in victims.items()})
        agent += [LIBRARY, nonce, pids, *run["cases"]]
        process = start(agent, off, theirs, streams)
        theirs.close()
        watcher = Watcher(ours, process, canaries)
        watcher.wait()
        stack.callback(end_survivors, ways)
        packets, heard = canaries.take()
        return {
            "nonce": nonce,
            "code": process.returncode,
            "seconds": time.monotonic() - started,
            "lost": canaries.count_lost(),
            "reports": watcher.reports,
            "baseline": watcher.baseline,
            "secret": SECRET.decode("ascii"),
            "hits": find_hits(ways, packets, heard),
            "dialled": sorted({destination(packet) for packet in packets} - {""}),
            "changed": [w.name for w in ways if not is_as_it_was(w)],
            "marked": [w.name for w in ways if is_marked(w)],
            "victims": [name for name, victim in victims.items() if is_harmed(victim.pid)],
            "outlived": [w.name for w in ways if find_processes(w.token)],
            "typed": streams.read_typed(),
            "handle": find_handle(),
            **read_evidence(key.public_hex),
        }


def needs_victim(case: Case) -> bool:
    return case.family == "processes"


@contextmanager
def open_victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the agent's user, outside, with the secret in its memory and in descriptor SECRET_AT."""
    with open(f"{ROOM}/secret", "rb") as file:
        os.dup2(file.fileno(), SECRET_AT)
    process = subprocess.Popen(
        ["/bin/sleep", "300"],
        env={"SECRET": SECRET.decode("ascii")},
        pass_fds=(SECRET_AT,),
        cwd=ROOM,
        start_new_session=True,
        **as_agent(),
    )
    os.close(SECRET_AT)
    yield process
    process.kill()
    process.wait()


def as_agent() -> dict[str, Any]:
    return {"user": AGENT.pw_uid, "group": AGENT.pw_gid, "extra_groups": []} if AS_ROOT else {}


def make_key(raw: bytes) -> None:
    """The agent's user owns it: only the boundary keeps it."""
    Path(KEY).touch(0o600)
    Path(KEY).write_bytes(raw)
    os.chown(KEY, AGENT.pw_uid, AGENT.pw_gid)
    os.link(KEY, f"{ROOM}/keys/second-name")
    os.mkdir(AGAIN)
    syscalls.mount(ROOM, AGAIN, None, syscalls.MS_BIND)


def start(agent: list[str], off: list[str], out: socket.socket, streams: Streams) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        **PATHS,
        **dict.fromkeys(OUTLETS, SECRET.decode("ascii")),
        "ESCAPES_OFF": ",".join(off),
        "HOME": HOME,
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    options = ["--policy", f"{ROOM}/policy.toml", "--evidence", EVIDENCE, "--key", KEY, "--", *agent]
    user: dict[str, Any] = {}
    if "sandbox" in off:
        command, user = agent, as_agent()
    elif "sandbox and user" in off:
        command = agent
    elif off:
        command = [sys.executable, str(Path(__file__).parent / "weak/supervisor.py"), "run", *options]
    else:
        command = [sys.executable, "-m", "trio_egress", "run", *options]
    given: dict[str, Any] = {
        "cwd": WORK,
        "stdin": streams.stdin,
        "stdout": out,
        "env": environment,
        "pass_fds": streams.inherited,
        "preexec_fn": streams.become_terminal,
    }
    process: subprocess.Popen[bytes] = subprocess.Popen(command, **given, **user)
    return process


class Watcher:
    """Reads what the agent hands out, until the run is over."""

    def __init__(self, sock: socket.socket, process: subprocess.Popen[bytes], canaries: Canaries) -> None:
        self._sock = sock
        self._process = process
        self._canaries = canaries
        self.reports: list[dict[str, Any]] = []
        self.baseline: list[str] = []
        self._late: list[socket.socket] = []

    def wait(self) -> None:
        self._sock.settimeout(0.1)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                raw, found, _, _ = socket.recv_fds(self._sock, MESSAGE_BYTES, 32)
            except TimeoutError:
                if self._process.poll() is not None:
                    break
                continue
            if not raw:
                break
            self._take(json.loads(raw), found)
        else:
            self._process.kill()
        self._process.wait()
        for sock in self._late:
            self._canaries.remove(sock)

    def _take(self, told: dict[str, Any], found: list[int]) -> None:
        described = [describe(number) for number in found]
        for number in found:
            os.close(number)
        if not told["case"]:
            self.baseline = described
            path = HOST_SOCKETS["made_after_the_start"]
            if not self._late and os.path.isdir(os.path.dirname(path)):
                self._late.append(self._canaries.listen_at(path))
            return
        told["secret"] = bytes.fromhex(told["secret"]).decode("latin-1")
        self.reports.append({**told, "descriptors": described})


def describe(number: int) -> str:
    """What a descriptor is, as the kernel says it: the agent's word for it isn't asked."""
    link = os.readlink(f"/proc/self/fd/{number}")
    if link.startswith("socket:"):
        # With a family given none is asked for: not every socket has an address to tell it by.
        with socket.socket(socket.AF_UNIX, fileno=os.dup(number)) as sock:
            family = sock.getsockopt(socket.SOL_SOCKET, SO_DOMAIN)
            return f"socket {family} {sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)}"
    if "/fdinfo/" in link:
        with suppress(OSError):
            return f"information {os.pread(number, 4096, 0).decode('ascii')}"
    status = os.fstat(number)
    here = os.stat(WORK)
    mounted = "" if status.st_dev == here.st_dev else " elsewhere"
    work = " work" if (status.st_dev, status.st_ino) == (here.st_dev, here.st_ino) else ""
    return f"{link}{mounted}{work}"


# What is left of it


def find_hits(ways: list[Ways], packets: list[bytes], heard: list[bytes]) -> list[str]:
    """The cases whose mark was seen outside: token, address or port."""
    targets = [parse_packet(packet) for packet in packets]
    everything = b"\n".join([*packets, *heard]).lower()
    addresses = {address for address, _ in targets}
    ports = {port for _, port in targets}
    return [
        w.name
        for w in ways
        if w.raw in everything
        or w.port in ports
        or socket.inet_pton(socket.AF_INET, w.v4) in addresses
        or socket.inet_pton(socket.AF_INET6, w.v6) in addresses
    ]


def parse_packet(raw: bytes) -> tuple[bytes, int]:
    """Destination address and port (0 where there is none)."""
    version = raw[0] >> 4 if raw else 0
    if version == 4 and len(raw) >= 20:
        at, protocol, address = (raw[0] & 15) * 4, raw[9], raw[16:20]
    elif version == 6 and len(raw) >= 40:
        at, protocol, address = 40, raw[6], raw[24:40]
    else:
        return b"", 0
    if protocol not in (6, 17, 136) or len(raw) < at + 4:
        return address, 0
    return address, int.from_bytes(raw[at + 2 : at + 4], "big")


def destination(packet: bytes) -> str:
    return parse_packet(packet)[0].hex()


def is_as_it_was(w: Ways) -> bool:
    try:
        status = os.lstat(w.guarded)
        plain = (status.st_mode & 0o7777, status.st_mtime > 2) == (0o644, True)
        return (
            stat.S_ISREG(status.st_mode)
            and plain
            and not os.listxattr(w.guarded)
            and Path(w.guarded).read_text() == "as it was"
        )
    except OSError:
        return False


def is_marked(w: Ways) -> bool:
    """Whether a file outside the agent's own places has the token, or a name with it."""
    for folder, folders, files in os.walk(ROOM):
        folders[:] = [name for name in folders if f"{folder}/{name}" not in (WORK, LIBRARY, GUARDED, AGAIN)]
        if any(w.token in name for name in (*folders, *files)):
            return True
        for name in files:
            if os.path.isfile(f"{folder}/{name}") and w.raw in Path(folder, name).read_bytes():
                return True
    return False


def is_harmed(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state in "ZTtX"


def end_survivors(ways: list[Ways]) -> None:
    for w in ways:
        while left := find_processes(w.token):
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
            time.sleep(0.003)


def find_handle() -> str:
    handle = ctypes.create_string_buffer(struct.pack("=Ii", 128, 0), 136)
    mount = ctypes.c_int()
    if libc.name_to_handle_at(-100, GUARDED.encode(), handle, ctypes.byref(mount), 0):
        return ""
    length, kind = struct.unpack_from("=Ii", handle.raw)
    return (struct.pack("=Ii", length, kind) + handle.raw[8 : 8 + length]).decode("latin-1")


def read_evidence(key: str) -> dict[str, Any]:
    try:
        lines = [json.loads(line) for line in Path(f"{EVIDENCE}/evidence.jsonl").read_bytes().splitlines()]
    except (OSError, ValueError):
        return {"receipts": [], "unpaired": [], "verified": None}
    records = [line["action_record"] for line in lines]
    told = [f"{r['verdict']} {r['transport']} {r['target']}" for r in records]
    ended = {r["action_id"] for r in records if r.get("decision_phase") == "outcome"}
    begun = [r for r in records if r.get("decision_phase") == "intent"]
    unpaired = [r["target"] for r in begun if r["action_id"] not in ended]
    return {"receipts": told, "unpaired": unpaired, "verified": verify(Path(EVIDENCE), key)}


# What a run is given besides


class Streams:
    """Standard input and inherited descriptors of a run."""

    def __init__(self) -> None:
        self.stdin: int = subprocess.DEVNULL
        self.inherited: tuple[int, ...] = ()
        self.become_terminal: Any = None
        self._slave = -1

    def read_typed(self) -> str:
        if self._slave < 0:
            return ""
        os.set_blocking(self._slave, False)
        try:
            return os.read(self._slave, 4096).decode("latin-1")
        except OSError:
            return ""


def open_streams(setting: str, canaries: Canaries, stack: ExitStack) -> Streams:
    streams = Streams()
    match setting:
        case "inherited":
            inherit(streams, canaries, stack)
        case "stdin tcp" | "stdin listener":
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            client = stack.enter_context(socket.create_connection(listener.getsockname()))
            if setting == "stdin listener":
                canaries.add(client.dup(), canaries.hear)
                streams.stdin = listener.fileno()
            else:
                streams.stdin = client.fileno()
        case "stdin udp":
            streams.stdin = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).fileno()
        case "stdin unix":
            streams.stdin = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)).fileno()
        case "stdin directory" | "stdin file":
            path = ROOM if setting == "stdin directory" else f"{GUARDED}/input"
            if setting == "stdin file":
                path = f"{ROOM}/repository/input"
                Path(path).write_text("to be read")
                os.chown(path, AGENT.pw_uid, AGENT.pw_gid)
            streams.stdin = os.open(path, os.O_RDONLY)
            stack.callback(os.close, streams.stdin)
        case "stdin terminal":
            open_terminal(streams, stack)
    return streams


def inherit(streams: Streams, canaries: Canaries, stack: ExitStack) -> None:
    numbers = descriptors.INHERITED
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    made: dict[str, int] = {}
    client = stack.enter_context(socket.create_connection(listener.getsockname()))
    canaries.add(listener.accept()[0], canaries.hear)
    made["stream"] = client.fileno()
    made["datagram"] = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).fileno()
    made["unix"] = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)).fileno()
    made["directory"] = os.open(ROOM, os.O_RDONLY)
    made["secret"] = os.open(f"{ROOM}/secret", os.O_RDONLY)
    for name, number in made.items():
        os.dup2(number, numbers[name])
        stack.callback(os.close, numbers[name])
    for name in ("directory", "secret"):
        os.close(made[name])
    streams.inherited = tuple(numbers[name] for name in made)


def open_terminal(streams: Streams, stack: ExitStack) -> None:
    master, slave = pty.openpty()
    stack.callback(os.close, master)
    stack.callback(os.close, slave)
    mode = termios.tcgetattr(slave)
    mode[3] &= ~(termios.ICANON | termios.ECHO)
    termios.tcsetattr(slave, termios.TCSANOW, mode)
    os.fchown(slave, AGENT.pw_uid, -1)

    def become_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    streams.stdin, streams._slave = slave, slave
    streams.become_terminal = become_terminal


if __name__ == "__main__":
    main()
