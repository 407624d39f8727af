"""The canaries: everything outside that would notice an attack which gets out. They believe no one.

Rule 1: they only record; what it means is decided by `judgement.py`.
Rule 2: they live in a thread of their own, and every byte that reaches them is kept for the run that it was meant for.
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import sys
import threading
from collections.abc import Callable
from ipaddress import ip_address

from tests.escapes.frame import ALLOWED, ALLOWED_V4

ETH_P_ALL = 3
ANYWHERE = "93.184.254.254"
HTTP_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUFFER_BYTES = 64 << 20
SOL_PACKET, PACKET_STATISTICS = 263, 6

Act = Callable[[socket.socket], object]


class Canaries:
    """Sockets, and what was heard on them. `packets`: every packet of the world's network, without link headers."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.heard: list[bytes] = []
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, lambda sock: sock.recv(1))
        threading.Thread(target=self._keep, daemon=True).start()

    def add(self, sock: socket.socket, act: Act) -> None:
        with self._lock:
            self._selector.register(sock, selectors.EVENT_READ, act)
        self._wake.send(b"x")

    def remove(self, sock: socket.socket) -> None:
        with self._lock:
            self._selector.unregister(sock)
        sock.close()

    def take(self) -> tuple[list[bytes], list[bytes]]:
        """What was seen since the last time."""
        packets, heard = self.packets, self.heard
        self.packets, self.heard = [], []
        return packets, heard

    def count_lost(self) -> int:
        """Packets that nobody looked at since the last time, because too many came at once."""
        _, lost = struct.unpack("=II", self._sniffer.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
        return int(lost)

    def open_network(self) -> None:
        """A look at every packet, an HTTP server on every address, and the machine's resolver."""
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)  # or as much as one may have
        packets.setblocking(False)
        self.add(packets, self._sniff)
        self._sniffer = packets
        for port in (80, 443):
            server = socket.create_server(
                ("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256
            )
            self.add(server, lambda sock: self._accept(sock, HTTP_ANSWER))
        resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        resolver.bind(("127.0.0.1", 53))
        self.add(resolver, self._resolve)

    def listen_at(self, address: str, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A Unix socket that tells what it hears."""
        sock = socket.socket(socket.AF_UNIX, kind)
        sock.bind(address)
        if not address.startswith("\0"):
            os.chmod(address, 0o666)
        self.attend(sock)
        return sock

    def listen_to_pipe(self, path: str) -> int:
        """A named pipe that tells what is written to it; the caller closes the descriptor."""
        os.mkfifo(path)
        os.chmod(path, 0o666)
        pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        with self._lock:
            self._selector.register(
                pipe, selectors.EVENT_READ, lambda _: self.heard.append(os.read(pipe, 4096))
            )
        self._wake.send(b"x")
        return pipe

    def leave_pipe(self, pipe: int) -> None:
        with self._lock:
            self._selector.unregister(pipe)
        os.close(pipe)

    def attend(self, sock: socket.socket) -> None:
        if sock.type == socket.SOCK_STREAM:
            sock.listen()
            self.add(sock, lambda listener: self._accept(listener, b"."))
        else:
            self.add(sock, self.hear)

    def hear(self, sock: socket.socket) -> None:
        self.heard.append(sock.recv(65536))

    def _sniff(self, sock: socket.socket) -> None:
        try:
            while True:
                self.packets.append(sock.recv(65536))
        except BlockingIOError:
            pass

    def _accept(self, sock: socket.socket, answer: bytes) -> None:
        connection, _ = sock.accept()
        connection.setblocking(False)

        def read(reader: socket.socket) -> None:
            try:
                raw = reader.recv(65536)
                if raw:
                    self.heard.append(raw)
                    reader.send(answer)
                    return
            except OSError:
                pass
            self._selector.unregister(reader)
            reader.close()

        self._selector.register(connection, selectors.EVENT_READ, read)

    def _resolve(self, sock: socket.socket) -> None:
        raw, sender = sock.recvfrom(4096)
        answer = answer_query(raw)
        if answer:
            sock.sendto(answer, sender)

    def _keep(self) -> None:
        while True:
            ready = self._selector.select()
            with self._lock:
                for key, _ in ready:
                    if isinstance(key.fileobj, socket.socket) and key.fileobj.fileno() < 0:
                        continue
                    try:
                        key.data(key.fileobj)
                    except OSError as error:  # one canary's trouble is not the others'
                        print(f"canary: {error}", file=sys.stderr)


def answer_query(raw: bytes) -> bytes:
    """The attacker's own resolver: `<address in hex>.rebind.test` is that address."""
    labels, at = [], 12
    while at < len(raw) and raw[at]:
        labels.append(raw[at + 1 : at + 1 + raw[at]])
        at += 1 + raw[at]
    question = raw[12 : at + 5]
    if len(question) < 5:
        return b""
    kind = struct.unpack_from("!H", question, len(question) - 4)[0]
    address = find_address(b".".join(labels).decode("ascii", "replace").lower())
    packed = ip_address(address).packed
    wanted = {1: 4, 28: 16}.get(kind) == len(packed)
    head = raw[:2] + struct.pack("!5H", 0x8180, 1, int(wanted), 0, 0)
    record = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 1, len(packed)) + packed
    return head + question + (record if wanted else b"")


def find_address(name: str) -> str:
    if name == ALLOWED:
        return ALLOWED_V4
    first, _, rest = name.partition(".")
    return str(ip_address(bytes.fromhex(first))) if rest == "rebind.test" else ANYWHERE
