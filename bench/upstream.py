"""The real upstream of `python -m bench`: nginx over HTTP and TLS, and a source of bytes, on free ports of loopback."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
from tests.programs.servers import answers, find_ports, make_certificates, start_server
from tests.runs.launch import wait_until

GENERATOR = Path(__file__).with_name("generate.py")
BIG_BYTES = 256 << 20
"""Of the answer that is fetched inside of TLS."""

CONFIGURATION = """
daemon off; worker_processes 1; pid {place}/nginx.pid; error_log {place}/error.log warn; {user}
events {{ worker_connections 8192; }}
http {{
  client_body_temp_path {place}/t1; proxy_temp_path {place}/t2; fastcgi_temp_path {place}/t3;
  uwsgi_temp_path {place}/t4; scgi_temp_path {place}/t5;
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 100000000; keepalive_timeout 600s;
  default_type application/octet-stream;
  ssl_certificate {place}/server.pem; ssl_certificate_key {place}/server.key;
  server {{
    listen 127.0.0.1:{http} backlog=4096; listen 127.0.0.1:{https} ssl backlog=4096; root {place}/root;
    location /hello {{ return 200 "hello\\n"; }}
  }}
}}
"""


@attrs.frozen
class Upstream:
    """Ports on 127.0.0.1; `authority` is the file of its CA, `leaf` the SHA-256 of its certificate."""

    http: int
    https: int
    bulk: int
    authority: Path
    leaf: str


@contextmanager
def open_upstream(place: Path) -> Iterator[Upstream]:
    """Everything in `place`, which other users may enter; ended with the body."""
    http, https, bulk = find_ports(3)
    make_certificates(place, place / "authority.pem")
    (place / "authority.pem").chmod(0o644)
    pem = (place / "server.pem").read_text()
    leaf = ssl.PEM_cert_to_DER_cert(pem[: pem.index("-----END") + len("-----END CERTIFICATE-----")])
    (place / "root").mkdir()
    with (place / "root" / "big").open("wb") as file:
        file.truncate(BIG_BYTES)
    user = "user root;" if os.geteuid() == 0 else ""
    told = CONFIGURATION.format(place=place, http=http, https=https, user=user)
    (place / "nginx.conf").write_text(told)
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        sys.exit("nginx is needed as upstream (Debian's nginx-light)")
    command: list[str | Path] = [nginx, "-e", place / "error.log", "-p", place, "-c", place / "nginx.conf"]
    serve = [sys.executable, "-I", GENERATOR, json.dumps({"kind": "serve", "port": bulk})]
    with start_server(command, place / "nginx.log") as process:
        source = subprocess.Popen(list(map(str, serve)), stdin=subprocess.PIPE)
        try:
            wait_until(
                lambda: process.poll() is not None or all(answers(port) for port in (http, https, bulk)),
                "the upstream",
            )
            if process.poll() is not None:
                sys.exit((place / "error.log").read_text())
            digest = hashlib.sha256(leaf).hexdigest()
            yield Upstream(http, https, bulk, place / "authority.pem", digest)
        finally:
            source.terminate()
            source.communicate()
