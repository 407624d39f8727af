"""A server over TLS that wants a real token, tells it back in every way that it can, and serves git behind it."""

from __future__ import annotations

import base64
import gzip
import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import attrs

AUTHORITY_OF_OTHERS = "evil.example"


@attrs.frozen
class Guarded:
    """`asked` has what was asked of it: path and all fields, as they came."""

    port: int
    token: str
    asked: list[tuple[str, str]]

    def pins(self, *names: str) -> dict[str, str]:
        return {f"{name}:{port}": f"127.0.0.1:{self.port}" for name in names for port in (80, 443)}

    @property
    def heard(self) -> str:
        return "\n".join(f"{path}\n{fields}" for path, fields in self.asked)


class _Handler(BaseHTTPRequestHandler):
    """One request; the server has the token, and says it."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        guarded: Guarded = self.server.guarded
        guarded.asked.append((self.path, str(self.headers)))
        split = urlsplit(self.path)
        if split.path.startswith("/git/"):
            self._serve_git(split.path, split.query)
        elif split.path == "/away":
            self._answer(302, b"", Location=f"https://{AUTHORITY_OF_OTHERS}/from?key={quote(guarded.token)}")
        elif split.path == "/echo":
            self._echo(guarded.token)
        elif split.path == "/packed":
            self._answer(200, gzip.compress(guarded.token.encode()), **{"Content-Encoding": "gzip"})
        elif self._may_enter(split.query):
            self._answer(200, b"welcome\n")
        else:
            self._answer(401, b"who are you?\n")

    do_POST = do_GET

    def _may_enter(self, query: str) -> bool:
        token = self.server.guarded.token
        basic = base64.b64encode(f"agent:{token}".encode()).decode()
        told = (self.headers.get("Authorization"), self.headers.get("X-Api-Key"), query)
        return bool({*told} & {f"Bearer {token}", f"Basic {basic}", token, f"key={quote(token, safe='')}"})

    def _answer(self, status: int, body: bytes, **fields: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **fields}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _echo(self, token: str) -> None:
        """All that was asked, in a head, in a body that is cut inside of the token, and in trailers."""
        said = f"<{token}>{self.headers}<{base64.b64encode(b'ab' + token.encode()).decode()}>{token.encode().hex()}"
        self.send_response(200)
        for name, value in (("X-Told", f"a {token} b"), ("Transfer-Encoding", "chunked")):
            self.send_header(name, value)
        self.end_headers()
        for piece in (said[:5].encode(), said[5:9].encode(), said[9:].encode()):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
        self.wfile.write(f"0\r\nX-Last: {token}\r\n\r\n".encode())

    def _serve_git(self, path: str, query: str) -> None:
        """`git http-backend` as CGI (man 1 git-http-backend), for whoever has the token."""
        if not self._may_enter(query):
            self._answer(401, b"", **{"WWW-Authenticate": "Basic"})
            return
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path.removeprefix("/git"),
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        ran = subprocess.run(
            ["git", "http-backend"], input=body, capture_output=True, env=environment, check=True
        )
        head, _, answer = ran.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self._answer(int(fields.pop("Status", "200").split()[0]), answer, **fields)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def open_guarded(token: str, root: Path, place: Path | None) -> Iterator[Guarded]:
    """`place` has the certificate of `servers.make_certificates`; without it no TLS is spoken. `root`: repositories."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        guarded: Any = Guarded(server.server_port, token, [])
        server.guarded, server.root = guarded, root  # type: ignore[attr-defined]
        if place is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(place / "server.pem", place / "server.key")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield guarded
        finally:
            server.shutdown()
            thread.join()
