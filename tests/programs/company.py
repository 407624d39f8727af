"""A company's proxy: a squid on this machine's loopback that asks for a password and allows one host."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
from tests.programs.servers import answers, find_ports, start_server
from tests.runs.launch import wait_until

USER, PASSWORD = "ci-runner", "hunter22:é correct"
CHECKER = "/usr/lib/squid/basic_ncsa_auth"


@attrs.frozen
class Company:
    """`port` is on 127.0.0.1; `names` are what it knows the addresses of."""

    port: int
    log: Path

    def table(self, more: str = "") -> str:
        return f'[upstream]\nproxy = "http://127.0.0.1:{self.port}"\nusername = "{USER}"\n{more}'

    def take_requests(self, count: int = 0) -> list[str]:
        """What it was asked since the last call, `count` at least: status, user, method, target. It writes them down
        when they are over."""
        wait_until(lambda: len(self._read_requests()) >= count, "squid's log")
        lines = self._read_requests()
        os.truncate(self.log, 0)
        return lines

    def _read_requests(self) -> list[str]:
        """Without whoever only looked whether it is there."""
        return [line for line in self.log.read_text().splitlines() if "transaction-end" not in line]


def render_squid(place: Path, port: int, http: int, https: int) -> str:
    user = "cache_effective_user proxy\ncache_effective_group proxy\n" if os.geteuid() == 0 else ""
    return f"""{user}
http_port 127.0.0.1:{port}
visible_hostname corp
pid_filename none
cache deny all
cache_mem 8 MB
netdb_filename none
coredump_dir {place}
cache_log {place}/cache.log
logformat short %>Hs %un %rm %ru
access_log stdio:{place}/access.log short
hosts_file {place}/hosts
auth_param basic program {CHECKER} {place}/passwords
auth_param basic children 1 startup=1
auth_param basic utf8 on
acl known proxy_auth REQUIRED
acl web port {http} {https}
acl tls port {https}
acl tunnel method CONNECT
acl evil dstdomain evil.example
http_access deny !web
http_access deny tunnel !tls
http_access deny evil
http_access allow known
http_access deny all
shutdown_lifetime 0 seconds
"""


@contextmanager
def open_company(place: Path, http: int, https: int) -> Iterator[Company]:
    """It lets through to `http` what is in the clear, and opens tunnels to `https` alone, as squid does by default."""
    (port,) = find_ports(1)
    place.mkdir()
    place.chmod(0o777)  # as root it becomes a user of its own
    company = Company(port, place / "access.log")
    company.log.touch()
    company.log.chmod(0o666)
    hashed = subprocess.check_output(["openssl", "passwd", "-apr1", PASSWORD], text=True)
    (place / "passwords").write_text(f"{USER}:{hashed}")
    (place / "hosts").write_text("127.0.0.1 api.example.com evil.example\n")
    (place / "squid.conf").write_text(render_squid(place, port, http, https))
    squid = shutil.which("squid", path=f"{os.environ['PATH']}:/usr/sbin") or "squid"
    log = place / "squid.log"
    with start_server([squid, "-N", "-f", place / "squid.conf"], log) as process:
        wait_until(lambda: process.poll() is not None or answers(port), "squid")
        assert process.poll() is None, log.read_text()
        yield company
