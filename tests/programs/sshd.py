"""A real sshd on loopback, as an ordinary process with a configuration of its own, and OpenSSH's client for it."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
from tests.programs.servers import answers, find_ports, start_server
from tests.runs.launch import AGENT, AS_ROOT, Place, wait_until

HOST = "ssh.example.com"

SEPARATION = Path("/run/sshd")
"""Where sshd wants an empty directory when it is started as root."""


@attrs.frozen
class Ssh:
    port: int
    host_key: str
    log: Path

    @property
    def pins(self) -> dict[str, str]:
        return {"ssh.example.com:22": f"127.0.0.1:{self.port}", "evil.example:22": f"127.0.0.1:{self.port}"}

    @property
    def fingerprint(self) -> str:
        shown = subprocess.run(
            ["ssh-keygen", "-lf", "-"], input=self.host_key, text=True, check=True, capture_output=True
        )
        return shown.stdout.split()[1]

    @property
    def sessions(self) -> int:
        """How many times somebody has logged in."""
        return self.log.read_text(errors="replace").count("Accepted publickey")


def make_key(path: Path, kind: str = "ed25519") -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "", "-f", path], check=True)


@contextmanager
def separation_directory() -> Iterator[None]:
    if not AS_ROOT or SEPARATION.exists():
        yield
        return
    SEPARATION.mkdir(0o755)
    try:
        yield
    finally:
        SEPARATION.rmdir()


@contextmanager
def open_sshd(place: Place, name: str = "sshd", more: str = "") -> Iterator[Ssh]:
    """An sshd with a host key of its own, into which the agent's key `id` may log in as whoever runs the tests."""
    folder = place.path / name
    folder.mkdir()
    make_key(folder / "host")
    if not (place.work / "id").exists():
        make_key(place.work / "id")
        for file in ("id", "id.pub"):
            os.chown(place.work / file, AGENT.pw_uid, AGENT.pw_gid)
    shutil.copy(place.work / "id.pub", folder / "authorized")
    (port,) = find_ports(1)
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nPidFile none\nAuthorizedKeysFile {folder}/authorized\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nLogLevel VERBOSE\n" + more
    )
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin") or "sshd"
    with (
        separation_directory(),
        start_server([program, "-D", "-e", "-f", folder / "config"], folder / "log") as process,
    ):
        wait_until(lambda: process.poll() is not None or answers(port), "sshd")
        assert process.poll() is None, (folder / "log").read_text()
        yield Ssh(port, " ".join((folder / "host.pub").read_text().split()[:2]), folder / "log")


@attrs.frozen
class Forge:
    """An sshd with repositories behind it, and a key that the agent never has."""

    ssh: Ssh
    key: Path
    root: Path

    def path(self, name: str) -> str:
        return f"{self.root}/{name}.git"

    def url(self, name: str) -> str:
        return f"{user_at(HOST)}:{self.path(name)}"

    def policy(
        self,
        fetch: Sequence[str] = (),
        push: Sequence[str] = (),
        *,
        rule: str = "",
        port: int | None = None,
        pin: str = "",
    ) -> str:
        """`fetch`, `push`: repositories below the root; `**` is whatever there is."""
        above = str(self.root).removeprefix("/")
        tables = ", ".join(
            f"{key} = {json.dumps([name if name == '**' else f'{above}/{name}' for name in names])}"
            for key, names in (("fetch", fetch), ("push", push))
        )
        return (
            f'version = "1.0"\ndefault_deny = true\n[[egress]]\ndestination = "{HOST}"\nprotocol = "ssh"\n'
            f'host_keys = ["{pin or self.ssh.fingerprint}"]\ngit = {{ {tables} }}\n{rule}\n'
            f'[[secret]]\nname = "deploy"\nfrom = {{ file = "{self.key}" }}\nto = ["{HOST}"]\n'
            f'as = "ssh:{user_at(HOST).partition("@")[0]}"\n'
            f'[resolve]\n"{HOST}:22" = "127.0.0.1:{port or self.ssh.port}"\n'
        )


@contextmanager
def open_forge(place: Place, more: str = "") -> Iterator[Forge]:
    with open_sshd(place, more=more) as ssh:
        key, root = place.path / "deploy", place.path / "git"
        make_key(key)
        shutil.copy(key.with_suffix(".pub"), place.path / "sshd" / "authorized")
        for name in ("org/open", "org/b", "secret"):
            _make_repository(root / f"{name}.git")
        yield Forge(ssh, key, root)


def _make_repository(path: Path) -> None:
    """With one commit, made without a working tree."""
    subprocess.run(["git", "init", "-q", "--bare", "--initial-branch=main", path], check=True)
    who = "author a <a@example.com> 0 +0000\ncommitter a <a@example.com> 0 +0000\n"
    stream = f"commit refs/heads/main\n{who}data 1\nxM 100644 inline file\ndata 6\nhello\n\n"
    subprocess.run(["git", "-C", path, "fast-import", "--quiet"], input=stream, text=True, check=True)


def user_at(host: str) -> str:
    return f"{pwd.getpwuid(os.geteuid()).pw_name}@{host}"


def bare_client(*options: str) -> list[str]:
    """OpenSSH's client with the agent's key, and without anything said of host keys."""
    return ["ssh", "-T", "-i", "id", "-o", "BatchMode=yes", *options]
