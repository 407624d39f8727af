"""Servers of plain TCP, as processes on loopback: PostgreSQL with TLS, Redis, SMTP with STARTTLS, git's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from glob import glob
from pathlib import Path

import attrs
import trustme
from tests.programs.servers import answers, find_ports, start_server
from tests.runs.launch import AGENT, AS_ROOT, wait_until

DATABASE, CACHE, MAIL, GIT = "db.example.com", "cache.example.com", "mail.example.com", "git.example.com"
NAMES = {DATABASE: 5432, CACHE: 6379, MAIL: 25, GIT: 9418}
"""Each with its own port, by which the agent knows it."""

EVIL = "evil.example"

_AS_AGENT = {"user": AGENT.pw_uid, "group": AGENT.pw_gid, "extra_groups": []} if AS_ROOT else {}
"""PostgreSQL refuses to run as root."""


@attrs.frozen
class Services:
    """Where each of NAMES really is, and the authority that vouches for those that speak TLS."""

    ports: dict[str, int]
    authority: Path
    mail: Path
    tip: str

    @property
    def pins(self) -> dict[str, str]:
        """The denied name leads to each of them, too: only the policy can be what refuses it."""
        own = {f"{name}:{port}": f"127.0.0.1:{self.ports[name]}" for name, port in NAMES.items()}
        return own | {f"{EVIL}:{port}": f"127.0.0.1:{self.ports[name]}" for name, port in NAMES.items()}


@contextmanager
def open_services(place: Path) -> Iterator[Services]:
    place.chmod(0o755)
    authority, ports = trustme.CA(), dict(zip(NAMES, find_ports(len(NAMES)), strict=True))
    authority.cert_pem.write_to_path(str(place / "ca.pem"))
    (place / "ca.pem").chmod(0o644)
    tip = _make_repository(place / "git" / "repo.git")
    commands: dict[str, list[str | Path]] = {
        DATABASE: _make_database(place / "db", ports[DATABASE], authority),
        CACHE: [
            "redis-server",
            "--port",
            str(ports[CACHE]),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            place,
        ],
        MAIL: _make_mail(place / "mail", ports[MAIL], authority),
        GIT: [
            *("git", "daemon", "--listen=127.0.0.1", f"--port={ports[GIT]}", "--export-all"),
            f"--base-path={place}/git",
        ],
    }
    with ExitStack() as stack:
        for name, command in commands.items():
            who = _AS_AGENT if name == DATABASE else {}
            stack.enter_context(start_server(command, place / f"{name}.log", cwd=place, **who))
        for name, port in ports.items():
            wait_until(lambda port=port: answers(port), name)  # type: ignore[misc]
        yield Services(ports, place / "ca.pem", place / f"{MAIL}.log", tip)


def _make_repository(bare: Path) -> str:
    """A repository with one commit; which."""
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", "init", "-q", "--initial-branch=main", bare], check=True)
    subprocess.run(["git", *author, "-C", bare, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    tip = subprocess.run(["git", "-C", bare, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return tip.stdout


def _make_database(place: Path, port: int, authority: trustme.CA) -> list[str | Path]:
    place.mkdir(mode=0o700)
    _write_certificate(place, DATABASE, authority)
    for path in (place, *place.iterdir()):
        os.chown(path, AGENT.pw_uid, AGENT.pw_gid)
    making = [_find("initdb"), "-D", place / "data", "-A", "trust", "-U", "app", "--no-sync", "--no-locale"]
    subprocess.run(making, check=True, capture_output=True, cwd=place, **_AS_AGENT)  # type: ignore[call-overload]
    options = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "fsync": "off",
        "ssl": "on",
        "ssl_cert_file": place / "cert.pem",
        "ssl_key_file": place / "key.pem",
    }
    return [_find("postgres"), "-D", place / "data", *(f"--{key}={value}" for key, value in options.items())]


def _make_mail(place: Path, port: int, authority: trustme.CA) -> list[str | Path]:
    """It writes what it is sent to its log."""
    place.mkdir()
    _write_certificate(place, MAIL, authority)
    module = [sys.executable, "-u", "-m", "aiosmtpd", "--nosetuid", "-l", f"127.0.0.1:{port}"]
    return [*module, "--tlscert", place / "cert.pem", "--tlskey", place / "key.pem"]


def _write_certificate(place: Path, name: str, authority: trustme.CA) -> None:
    issued = authority.issue_cert(name)
    issued.private_key_pem.write_to_path(str(place / "key.pem"))
    (place / "key.pem").chmod(0o600)
    issued.cert_chain_pems[0].write_to_path(str(place / "cert.pem"))


def _find(program: str) -> str:
    """Debian has them beside the newest version that is installed, and in no PATH."""
    return shutil.which(program) or sorted(glob(f"/usr/lib/postgresql/*/bin/{program}"))[-1]
