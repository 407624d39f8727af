"""Connections that end at the worst moment: an intent on record whose outcome gets lost would be a way to hide one.

Every one is allowed, so it is recorded when it begins; what the world looks for is a beginning without its end.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from collections.abc import Callable

from tests.escapes.attacks.direct import hello
from tests.escapes.attacks.names import connect
from tests.escapes.frame import Ways, add

Stage = Callable[[socket.socket, str], None]
OPEN = r"allow (transparent|connect) \S*{token}\.wild\.test"
POST = "POST / HTTP/1.1\r\nHost: {}\r\n"


def get(sock: socket.socket, name: str) -> None:
    sock.sendall(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())


def get_and_read(sock: socket.socket, name: str) -> None:
    get(sock, name)
    sock.recv(1)


def get_twice(sock: socket.socket, name: str) -> None:
    get(sock, name)
    get(sock, name)


def get_and_end(sock: socket.socket, name: str) -> None:
    get(sock, name)
    sock.shutdown(socket.SHUT_WR)


def upload_less(sock: socket.socket, name: str) -> None:
    sock.sendall(f"{POST.format(name)}Content-Length: 1000\r\n\r\nless".encode())
    time.sleep(0.05)


def upload_broken_chunks(sock: socket.socket, name: str) -> None:
    sock.sendall(f"{POST.format(name)}Transfer-Encoding: chunked\r\n\r\n4\r\nless\r\nno number\r\n".encode())
    time.sleep(0.05)


def upload_much(sock: socket.socket, name: str) -> None:
    sock.sendall(f"{POST.format(name)}Content-Length: 10000000\r\n\r\n".encode() + bytes(400_000))


def say_hello(sock: socket.socket, name: str) -> None:
    sock.sendall(hello(name.encode()))
    time.sleep(0.05)


def say_hello_and_read(sock: socket.socket, name: str) -> None:
    sock.sendall(hello(name.encode()))
    sock.recv(1)


def say_hello_and_end(sock: socket.socket, name: str) -> None:
    sock.sendall(hello(name.encode()))
    sock.shutdown(socket.SHUT_WR)


def say_hello_by_connect(sock: socket.socket, name: str) -> None:
    sock.sendall(connect(f"{name}:443"))
    sock.recv(4096)
    say_hello(sock, name)


def _reset(stage: Stage, port: int) -> Callable[[Ways], None]:
    """The stage, then a reset instead of an end (SO_LINGER of zero)."""

    def attempt(w: Ways) -> None:
        with open_connection(w, port) as sock:
            stage(sock, f"{w.token}.wild.test")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return attempt


def _die(stage: Stage, port: int) -> Callable[[Ways], None]:
    """The stage, in a process that is killed in the midst of it."""

    def attempt(w: Ways) -> None:
        child = os.fork()
        if child == 0:
            sock = open_connection(w, port)
            stage(sock, f"{w.token}.wild.test")
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)

    return attempt


def _stay(stage: Stage, port: int) -> Callable[[Ways], None]:
    """The stage, in a process that keeps it open until the run is over."""

    def attempt(w: Ways) -> None:
        reader, writer = os.pipe()
        if os.fork() == 0:
            sock = open_connection(w, port)
            stage(sock, f"{w.token}.wild.test")
            os.write(writer, b"x")
            null = os.open("/dev/null", os.O_RDWR)
            os.dup2(null, 1)
            time.sleep(60)
            os._exit(0)
        os.close(writer)
        os.read(reader, 1)

    return attempt


def open_connection(w: Ways, port: int) -> socket.socket:
    proxy = int(os.environ["TRIO_EGRESS_PROXY"].rpartition(":")[2])
    where = ("127.0.0.1", proxy) if port == 0 else (f"{w.token}.wild.test", port)
    return socket.create_connection(where, 3)


_STAGES: dict[str, tuple[Stage, int]] = {
    "request": (get, 80),
    "answer": (get_and_read, 80),
    "second_request": (get_twice, 80),
    "half_closed_request": (get_and_end, 80),
    "short_upload": (upload_less, 80),
    "broken_upload": (upload_broken_chunks, 80),
    "long_upload": (upload_much, 80),
    "hello": (say_hello, 443),
    "tunnel": (say_hello_and_read, 443),
    "half_closed_tunnel": (say_hello_and_end, 443),
    "connected_tunnel": (say_hello_by_connect, 0),
}

for _name, (_stage, _port) in _STAGES.items():
    add(f"reset_in_{_name}", _reset(_stage, _port), "outcome", proof="unpaired", receipt=OPEN)
for _name in ("request", "long_upload", "tunnel"):
    add(f"death_in_{_name}", _die(*_STAGES[_name]), "outcome", proof="unpaired", receipt=OPEN)
for _name in ("short_upload", "tunnel", "connected_tunnel"):
    add(f"staying_in_{_name}", _stay(*_STAGES[_name]), "outcome", proof="unpaired", receipt=OPEN)
