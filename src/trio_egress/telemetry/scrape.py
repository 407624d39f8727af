"""The figures of a run over HTTP on a Unix socket: `curl --unix-socket PATH http://run/metrics`.

Rule 1: one at a time, each with READ_SECONDS: who reads slowly holds up other readers, and never the run.
Rule 2: the socket is its owner's alone (mode 0600), and gone when the run is.
"""

from __future__ import annotations

import os
import socket
import socketserver
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
READ_SECONDS = 2.0
END_SECONDS = 1.0


class _Handler(BaseHTTPRequestHandler):
    timeout = READ_SECONDS
    server: _Server

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, explain="the figures are at /metrics")
            return
        body = self.server.render().encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return ""

    def log_message(self, format: str, *args: object) -> None:
        """Standard error is the agent's too."""


class _Server(socketserver.UnixStreamServer):
    def __init__(self, path: str, render: Callable[[], str]) -> None:
        self.render = render
        super().__init__(path, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked is gone."""


class Scrape:
    """Answers from `start` to `close`. Raises OSError where the socket can't be made; a dead one's place is taken."""

    def __init__(self, path: str, render: Callable[[], str]) -> None:
        self._path = path
        _clear_dead(path)
        before = os.umask(0o177)
        try:
            self._server = _Server(path, render)
        finally:
            os.umask(before)
        self._closed = False
        self._thread = threading.Thread(target=self._keep, name="metrics", daemon=True)

    def start(self) -> None:
        """Once the run has the rights that it keeps."""
        with suppress(RuntimeError):  # no more threads for this user
            self._thread.start()

    def close(self) -> None:
        self._closed = True
        with suppress(OSError):
            self._server.socket.shutdown(socket.SHUT_RDWR)  # which wakes the thread
        if self._thread.is_alive():
            self._thread.join(END_SECONDS)
        self._server.server_close()
        with suppress(OSError):  # where a run that root started may not go any more
            os.unlink(self._path)

    def _keep(self) -> None:
        while not self._closed:
            self._server.handle_request()


def _clear_dead(path: str) -> None:
    """Remove a socket that nobody listens on any more."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
