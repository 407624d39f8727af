"""A real sshd on loopback, as an ordinary process with a configuration of its own, and OpenSSH's client for it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
from tests.programs.servers import answers, find_ports, start_server
from tests.runs.launch import AGENT, AS_ROOT, Place, wait_until

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


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)


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


def user_at(host: str) -> str:
    return f"{pwd.getpwuid(os.geteuid()).pw_name}@{host}"


def bare_client(*options: str) -> list[str]:
    """OpenSSH's client with the agent's key, and without anything said of host keys."""
    return ["ssh", "-T", "-i", "id", "-o", "BatchMode=yes", *options]
