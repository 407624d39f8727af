"""The outside of the attacks: canaries that tell whether anything got through, and a working directory to attack.

Everything is below one directory of ours and on this machine's loopback, and ends with the `with`. What the canaries
saw counts more than the attacking program's own words.
"""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from trio_egress.kernel.identity import Identities
from trio_egress.kernel.listeners import find_sockets
from trio_egress.values import define

AS_IT_WAS = "as it was\n"
PROTECTED = (".git/config", ".git/hooks/pre-commit", ".github/workflows/ci.yml", ".vscode/settings.json")
OPEN_TO_ALL = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock", "/var/lock", "/var/crash")  # noqa: S108
SET_ID = (
    *("su", "sudo", "doas", "pkexec", "mount", "umount", "fusermount3", "newgrp", "passwd", "chsh", "chfn"),
    *("gpasswd", "newuidmap", "crontab", "ping"),
)
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
VARIABLES = (
    *("GITHUB_ENV", "GITHUB_PATH", "GITHUB_OUTPUT", "GITHUB_STATE", "GITHUB_STEP_SUMMARY", "CI_JOB_TOKEN"),
    *(
        "ACTIONS_RUNTIME_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "ACTIONS_CACHE_URL",
    ),
    *(
        "SSH_AUTH_SOCK",
        "DBUS_SESSION_BUS_ADDRESS",
        "DOCKER_HOST",
        "BASH_ENV",
        "PERL5OPT",
        "http_proxy",
        "ALL_PROXY",
    ),
)
SOCKETS_TRIED = 300
SECONDS = 2.0


@define
class Stage:
    """What one pass of the attacks is made on. `reached`: the rows whose canaries were touched."""

    token: str
    work: Path
    port: int
    udp_port: int
    allowed_port: int
    victim: subprocess.Popen[bytes]
    sockets: tuple[str, ...]
    reached: set[str] = attrs.field(factory=set)

    @property
    def environment(self) -> dict[str, str]:
        return dict.fromkeys(VARIABLES, f"http://127.0.0.1:9/{self.token}")

    def describe(self, hidden: list[str]) -> dict[str, Any]:
        """What the attacking program is told; it knows everything that an attacker could find out."""
        return {
            "token": self.token,
            "port": self.port,
            "udp_port": self.udp_port,
            "victim": self.victim.pid,
            "sockets": list(self.sockets),
            "hidden": hidden,
            "protected": list(PROTECTED),
            "places": [path for path in OPEN_TO_ALL if os.path.isdir(path)],
            "programs": find_set_id_programs(),
            "variables": list(VARIABLES),
            "interfaces": [name for _, name in socket.if_nameindex() if name != "lo"],
        }

    def find(self) -> dict[str, str]:
        """What got through, by row; what was left behind is taken away. Once, when the pass is over."""
        found = dict.fromkeys(self.reached, "a canary outside was reached")
        if self.victim.poll() is not None:
            found["victim"] = "a process outside was ended"
        daemons = find_processes(f"daemon-{self.token}")
        for pid in daemons:
            found["daemon"] = "was still there when the run was over"
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        left = [path for folder in OPEN_TO_ALL if os.path.lexists(path := f"{folder}/{self.token}")]
        for path in left:
            found["places"] = f"left {', '.join(left)}"
            with suppress(OSError):
                os.unlink(path)
        changed = [name for name in PROTECTED if not _is_as_it_was(self.work / name)]
        if changed:
            found["protected"] = f"changed {', '.join(changed)}"
        return found


@contextmanager
def open_stage(folder: Path, identities: Identities, *, whole: bool) -> Iterator[Stage]:
    """A stage below `folder`. Not `whole`: of the host's sockets the canaries alone, as for a pass outside."""
    token = f"te-{os.urandom(8).hex()}"
    work = folder / "work"
    make_work(work, identities)
    with ExitStack() as stack:
        canaries = stack.enter_context(_open_canaries(work, token))
        victim = stack.enter_context(_open_victim(token, identities))
        sockets = [f"{work}/canary.sock", f"@{token}"]
        stage = Stage(
            token,
            work,
            canaries["tcp"].getsockname()[1],
            canaries["udp"].getsockname()[1],
            canaries["allowed"].getsockname()[1],
            victim,
            (*sockets, *(find_host_sockets() if whole else ())),
        )
        stack.enter_context(_keep_canaries(canaries, stage))
        yield stage


def make_work(work: Path, identities: Identities) -> None:
    """A working directory that is the agent's, with all in it: nothing but the boundary keeps it as it was."""
    for name in PROTECTED:
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(AS_IT_WAS, "ascii")
    if identities.root:
        for path in (work, *work.rglob("*")):
            os.chown(path, identities.agent.uid, identities.agent.gid)
    elif identities.apart:
        for path in (work, *work.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)


def _is_as_it_was(path: Path) -> bool:
    try:
        return path.read_text("ascii") == AS_IT_WAS
    except (OSError, UnicodeDecodeError):
        return False


@contextmanager
def _open_canaries(work: Path, token: str) -> Iterator[dict[str, socket.socket]]:
    with ExitStack() as stack:

        def bind(family: int, kind: int, address: Any) -> socket.socket:
            sock = stack.enter_context(socket.socket(family, kind))
            sock.bind(address)
            if kind != socket.SOCK_DGRAM:
                sock.listen(64)
            return sock

        tcp = bind(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        canaries = {
            "tcp": tcp,
            "udp": bind(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "allowed": bind(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            "path": bind(socket.AF_UNIX, socket.SOCK_STREAM, str(work / "canary.sock")),
            "abstract": bind(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{token}"),
        }
        with suppress(OSError):  # a machine without IPv6
            canaries["tcp6"] = bind(socket.AF_INET6, socket.SOCK_STREAM, ("::1", tcp.getsockname()[1]))
        os.chmod(work / "canary.sock", 0o777)  # noqa: S103  only the boundary keeps it
        yield canaries


_ROW_OF = {"tcp": "host_loopback_again", "tcp6": "host_loopback_again", "udp": "host_loopback_again"}
_ROW_OF |= {"path": "host_sockets", "abstract": "host_sockets"}


@contextmanager
def _keep_canaries(canaries: dict[str, socket.socket], stage: Stage) -> Iterator[None]:
    """Answer whoever comes, in a thread, until the body ends."""
    ours, theirs = socket.socketpair()
    with selectors.DefaultSelector() as selector, ours, theirs:
        selector.register(theirs, selectors.EVENT_READ, "end")
        for name, sock in canaries.items():
            selector.register(sock, selectors.EVENT_READ, name)
        thread = threading.Thread(target=_answer_all, args=(selector, stage))
        thread.start()
        try:
            yield
        finally:
            ours.send(b"x")
            thread.join()


def _answer_all(selector: selectors.BaseSelector, stage: Stage) -> None:
    while True:
        for key, _ in selector.select():
            if key.data == "end":
                return
            sock = key.fileobj
            if isinstance(sock, socket.socket):
                with suppress(OSError):
                    _answer(key.data, sock, stage)


def _answer(name: str, sock: socket.socket, stage: Stage) -> None:
    if name != "allowed":
        stage.reached.add(_ROW_OF[name])
    if name == "udp":
        _, sender = sock.recvfrom(100)
        sock.sendto(stage.token.encode(), sender)
        return
    connection, _ = sock.accept()
    with connection:
        connection.settimeout(SECONDS)
        body = stage.token.encode()
        if name == "allowed":
            connection.recv(4096)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
            )
        connection.sendall(body)


@contextmanager
def _open_victim(token: str, identities: Identities) -> Iterator[subprocess.Popen[bytes]]:
    """A process outside that belongs to the agent's user."""
    user: dict[str, Any] = {}
    if identities.root:
        user = {"user": identities.agent.uid, "group": identities.agent.gid, "extra_groups": []}
    victim = subprocess.Popen(
        ["/bin/sh", "-c", "read -r line", token], stdin=subprocess.PIPE, cwd="/", **user
    )
    try:
        yield victim
    finally:
        victim.kill()
        victim.communicate()


def find_host_sockets() -> list[str]:
    """Unix sockets of this machine that have a name, the abstract ones with `@` in front."""
    table = Path("/proc/net/unix").read_text("utf-8", "surrogateescape")
    fields = [line.split(maxsplit=7) for line in table.splitlines()[1:]]
    abstract = {row[7] for row in fields if len(row) == 8 and row[7].startswith("@")}
    return [*find_sockets(table), *sorted(abstract)][:SOCKETS_TRIED]


def find_set_id_programs() -> list[str]:
    """Well-known programs by which an ordinary user gains rights, and which say `--help` before anything else."""
    found = [path for name in SET_ID if (path := shutil.which(name, path=SYSTEM_PATH))]
    return [path for path in found if os.stat(path).st_mode & (stat.S_ISUID | stat.S_ISGID)]


def find_processes(word: str) -> list[int]:
    """The processes of this machine, in whatever namespace, that have `word` among their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found
