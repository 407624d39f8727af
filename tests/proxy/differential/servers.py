"""Real servers that write down what they read: nginx, node, aiohttp, gunicorn and Python's own.

A line of a server's log is a request that it read whole; what it refuses, or what is cut off, is in none.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import attrs
import trio
from tests.programs.servers import start_server
from tests.runs.launch import wait_until

PROGRAMS = Path(__file__).with_name("readers")


@attrs.frozen
class Read:
    """One request: by what it was judged, and what was in it."""

    method: str
    target: str
    body: bytes = b""
    host: tuple[str, ...] = ("api.example",)


@attrs.frozen
class Server:
    name: str
    address: int | str
    """A port on 127.0.0.1, or the path of a socket."""
    log: Path

    async def connect(self) -> trio.SocketStream:
        if isinstance(self.address, int):
            return await trio.open_tcp_stream("127.0.0.1", self.address)
        return await trio.open_unix_socket(self.address)

    def take(self) -> list[Read]:
        """What it has read since the last call, of connections that have ended."""
        lines = self.log.read_text("latin-1").splitlines()
        os.truncate(self.log, 0)
        return [
            Read(read["method"], read["target"], read["body"].encode("latin-1"), tuple(read["host"]))
            for read in map(json.loads, lines)
            if read.get("status", 200) == 200
        ]

    async def read(self, raw: bytes) -> list[Read]:
        """What it reads on a connection that says this and no more."""
        async with await self.connect() as stream:
            try:
                await stream.send_all(raw)
                await stream.send_eof()
                async for _ in stream:
                    pass
            except trio.BrokenResourceError:
                pass  # it has heard enough
        return self.take()


def render_nginx(place: Path) -> str:
    """Of a request body nginx logs what it would pass on, so it passes it on: to itself."""
    user = "user root;" if os.geteuid() == 0 else ""
    temporary = "".join(
        f"{kind}_temp_path {place}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""
daemon off; worker_processes 1; pid {place}/nginx.pid; error_log {place}/error.log notice; {user}
events {{ }}
http {{
  {temporary} client_body_buffer_size 1m; access_log off;
  log_format read escape=json '{{"method":"$request_method","target":"$request_uri","host":["$http_host"],'
    '"body":"$request_body","status":$status}}';
  server {{
    listen unix:{place}/nginx.sock; access_log {place}/nginx.log read;
    location / {{ proxy_pass http://unix:{place}/sink.sock; }}
  }}
  server {{ listen unix:{place}/sink.sock; location / {{ return 200; }} }}
}}
"""


@contextmanager
def open_nginx(place: Path) -> Iterator[Server]:
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") or "nginx"
    (place / "nginx.conf").write_text(render_nginx(place))
    path, log = place / "nginx.sock", place / "nginx.log"
    command: list[str | Path] = [program, "-e", place / "error.log", "-p", place, "-c", place / "nginx.conf"]
    with start_server(command, place / "servers.log") as process:
        wait_until(lambda: process.poll() is not None or accepts(path), "nginx")
        assert process.poll() is None, (place / "error.log").read_text()
        yield Server("nginx", str(path), log)


def accepts(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(path)) == 0


@contextmanager
def open_program(name: str, program: str, place: Path) -> Iterator[Server]:
    """One of ours around a reader that is not: told its log, it tells its port."""
    log = place / f"{name}.log"
    log.touch()
    interpreter = "node" if program.endswith(".js") else sys.executable
    with (
        (place / "servers.log").open("ab") as errors,
        subprocess.Popen(
            [interpreter, PROGRAMS / program, log], stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):
        assert process.stdout is not None
        try:
            port = process.stdout.readline()
            assert port, (place / "servers.log").read_text()
            yield Server(name, int(port), log)
        finally:
            process.terminate()


OPENERS: dict[str, Callable[[Path], AbstractContextManager[Server]]] = {
    "nginx": open_nginx,
    "node": partial(open_program, "node", "node.js"),
    "aiohttp": partial(open_program, "aiohttp", "aiohttp_server.py"),
    "gunicorn": partial(open_program, "gunicorn", "gunicorn_parser.py"),
    "http.server": partial(open_program, "http.server", "http_server.py"),
}
