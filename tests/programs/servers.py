"""Real servers on the host's loopback, on free ports, as children of the test: nginx, git http-backend, sshd.

Nothing is started as a service and nothing outlives the `with` that opened it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import trustme
from tests.runs.launch import wait_until

NAMES = ("api.example.com", "git.example.com", "index.example.com", "evil.example", "127.0.0.1")
"""Everything that the certificate is for; a denied name too, so that only the sandbox can be what denies it."""


@contextmanager
def start_server(command: Sequence[str | Path], log: Path, **popen: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A server in the foreground, ended by its own pid."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.DEVNULL, stdout=file, stderr=file, **popen
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def find_ports(count: int) -> list[int]:
    """Ports that are free on 127.0.0.1 and on ::1, all different.

    None that the kernel gives to whoever asks for any: it might, before a slow server has it.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    ports: list[int] = []
    with ExitStack() as stack:
        while len(ports) < count:
            port = random.randrange(10_000, max(first, 20_000))
            with suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
                stack.enter_context(socket.create_server(("::1", port), family=socket.AF_INET6))
                ports.append(port)
    return ports


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts there."""
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


@attrs.frozen
class Web:
    """An nginx: `http` and `https` are ports on 127.0.0.1 and on ::1, `authority` is the file of its CA.

    What is asked for below /ws goes on to `sockets`, a port that a test may serve WebSockets at.
    """

    root: Path
    http: int
    https: int
    sockets: int
    authority: Path
    log: Path

    def pins(self, *names: str, host: str = "127.0.0.1") -> dict[str, str]:
        """`[resolve]` of the names, on their usual ports."""
        return {
            f"{name}:{usual}": f"{host}:{port}"
            for name in names
            for usual, port in ((80, self.http), (443, self.https))
        }

    def take_requests(self) -> list[dict[str, Any]]:
        """What was asked of it since the last call: method, uri, host, protocol, status, length, connection."""
        lines = self.log.read_text().splitlines()
        os.truncate(self.log, 0)
        return [json.loads(line) for line in lines]


def render_nginx(web: Web, place: Path, git: Path) -> str:
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "\n".join(
        f"{kind}_temp_path {place}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
daemon off; worker_processes 1; pid {place}/nginx.pid; error_log {place}/error.log notice; {user}
events {{ worker_connections 2048; }}
http {{
  {temporary}
  log_format json escape=json '{{"method":"$request_method","uri":"$request_uri","host":"$http_host",'
    '"protocol":"$server_protocol","status":$status,"length":$request_length,"connection":$connection,'
    '"expect":"$http_expect"}}';
  access_log {web.log} json;
  types {{ text/html html; }} default_type application/octet-stream;
  sendfile on; client_max_body_size 0; keepalive_requests 1000000; keepalive_timeout 900s;
  ssl_certificate {place}/server.pem; ssl_certificate_key {place}/server.key;
  server {{
    listen 127.0.0.1:{web.http} backlog=1024; listen [::1]:{web.http} backlog=1024;
    listen 127.0.0.1:{web.https} ssl http2 backlog=1024; listen [::1]:{web.https} ssl http2 backlog=1024;
    root {web.root};
    location /hello {{ return 200 "hello $scheme $http_host $request_method\\n"; }}
    location /advertised {{ add_header Alt-Svc 'h3=":443"; ma=3600'; return 200 "$server_protocol\n"; }}
    location /away {{ return 302 http://evil.example/hello; }}
    location /take {{ proxy_pass http://127.0.0.1:{web.http}/hello; proxy_request_buffering on; }}
    location /ws {{
      proxy_pass http://127.0.0.1:{web.sockets}; proxy_http_version 1.1; proxy_read_timeout 600s;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host;
    }}
    location /put/ {{ dav_methods PUT DELETE; create_full_put_path on; }}
    location ~ ^/git(/.*)$ {{
      fastcgi_pass unix:{place}/fcgi.sock; fastcgi_request_buffering off;
      fastcgi_param SCRIPT_FILENAME {git}; fastcgi_param PATH_INFO $1;
      fastcgi_param GIT_PROJECT_ROOT {web.root}/git; fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param QUERY_STRING $query_string; fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param CONTENT_TYPE $content_type; fastcgi_param CONTENT_LENGTH $content_length;
      fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding; fastcgi_param REMOTE_USER agent;
      fastcgi_param REMOTE_ADDR $remote_addr;
    }}
  }}
}}
"""


@contextmanager
def open_web(place: Path) -> Iterator[Web]:
    """nginx in front of the files under `place/root`, of PUT, and of git http-backend."""
    root = place / "root"
    for folder in (root, root / "put", root / "git"):
        folder.mkdir()
    http, https, sockets = find_ports(3)
    web = Web(root, http, https, sockets, place / "authority.pem", place / "requests.log")
    web.log.touch()
    make_certificates(place, web.authority)
    backend = Path(subprocess.check_output(["git", "--exec-path"], text=True).strip(), "git-http-backend")
    (place / "nginx.conf").write_text(render_nginx(web, place, backend))
    log = place / "servers.log"
    nginx = [shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"]
    fcgi = [shutil.which("fcgiwrap", path=f"{os.environ['PATH']}:/usr/sbin") or "fcgiwrap"]
    with (
        start_server([*fcgi, "-f", "-s", f"unix:{place}/fcgi.sock"], log),
        start_server(
            [*nginx, "-e", place / "error.log", "-p", place, "-c", place / "nginx.conf"], log
        ) as process,
    ):
        wait_until(
            lambda: process.poll() is not None or all(answers(port) for port in (http, https)), "nginx"
        )
        assert process.poll() is None, (place / "error.log").read_text()
        yield web


def make_certificates(place: Path, authority: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(authority))
    leaf = ca.issue_cert(*NAMES)
    leaf.private_key_pem.write_to_path(str(place / "server.key"))
    with (place / "server.pem").open("wb") as file:
        file.writelines(blob.bytes() for blob in leaf.cert_chain_pems)


GREETING = b"220 mail.example.com ready\r\n"


@contextmanager
def greeting_server(clients: int = 1) -> Iterator[int]:
    """Says hello first, as SMTP does, and gives back what it is told; to as many clients as that, one after another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):  # nobody came, or is there any more
                for _ in range(clients):
                    sock, _address = listener.accept()
                    with sock, suppress(OSError):
                        sock.sendall(GREETING)
                        while raw := sock.recv(4096):
                            sock.sendall(b"250 " + raw)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)  # nobody else is waited for
        thread.join(10)
