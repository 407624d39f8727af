"""The outside of the lab: names, a web server that is allowed, one that is not, and a record of all that they get.

Run in a network namespace of its own; argv[1] is a directory with `cert.pem` and `key.pem`, where `seen` is written.
"""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import ssl
import struct
import sys
import threading
from pathlib import Path

ALLOWED_IP, EVIL_IP, DNS_IP = "20.0.0.10", "20.0.0.66", "20.0.0.53"
SECONDS = 3.0


def note(folder: Path, raw: bytes) -> None:
    """Appended in one write."""
    with (folder / "seen").open("ab", buffering=0) as file:
        file.write(raw.lower() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    folder: Path
    context: ssl.SSLContext | None = None

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is none."""


class Handler(socketserver.BaseRequestHandler):
    server: Server

    def handle(self) -> None:
        stream: socket.socket = self.request
        stream.settimeout(SECONDS)
        if self.server.context is not None:
            with contextlib.suppress(OSError):
                note(self.server.folder, stream.recv(65536, socket.MSG_PEEK))  # the ClientHello, as it came
            stream = self.server.context.wrap_socket(stream, server_side=True)
        note(self.server.folder, stream.recv(65536))
        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


def serve(folder: Path, address: tuple[str, int], *, tls: bool = False) -> None:
    server = Server(address, Handler)
    server.folder = folder
    if tls:
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    threading.Thread(target=server.serve_forever, daemon=True).start()


def keep_datagrams(folder: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((EVIL_IP, 9999))
        while True:
            note(folder, receiver.recv(65536))


def keep_pings(folder: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as receiver:
        while True:
            note(folder, receiver.recv(65536))


def answer(query: bytes) -> bytes:
    """`allowed.example` is at one place, everything else at the other; no IPv6."""
    at = 12
    while query[at]:
        at += query[at] + 1
    question, kind = query[12 : at + 5], query[at + 1 : at + 3]
    address = ALLOWED_IP if b"\x07allowed\x07example" in question.lower() else EVIL_IP
    found = b"\xc0\x0c\0\x01\0\x01" + struct.pack(">IH", 60, 4) + socket.inet_aton(address)
    count = int(kind == b"\0\x01")
    return query[:2] + struct.pack(">5H", 0x8180, 1, count, 0, 0) + question + found * count


def keep_names(folder: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((DNS_IP, 53))
        while True:
            query, client = server.recvfrom(4096)
            note(folder, query)
            with contextlib.suppress(IndexError):
                server.sendto(answer(query), client)


def main(folder: Path) -> None:
    for keep in (keep_datagrams, keep_pings, keep_names):
        threading.Thread(target=keep, args=(folder,), daemon=True).start()
    serve(folder, (ALLOWED_IP, 443), tls=True)
    for port in (80, 443, 9999):
        serve(folder, (EVIL_IP, port))
    os.write(1, b"ready\n")
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
