"""Load on one proxy, or on nothing but the upstream: `python -I bench/generate.py '{"kind": …}'`, printed as JSON.

Standard library alone, one process, raw sockets and epoll: it has to run inside of a sandbox, beside what it measures.

Rule 1: it ends after `seconds` or `count`, whichever it is told, and no wait is longer than PATIENCE_SECONDS.
Rule 2: an answer that isn't the expected one ends it with a message and status 1: a refusal is no fast answer.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

PATIENCE_SECONDS = 60.0
PIECE = 1 << 20
SETTLED_SECONDS = 0.25
"""So long the other side stands still before and after, for whoever reads what it has used."""

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
Spec = dict[str, Any]


def dial(spec: Spec) -> socket.socket:
    host, port = spec["via"] or spec["to"]
    sock = socket.create_connection((host, port), PATIENCE_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def fields(spec: Spec) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in spec.get("fields", {}).items()).encode()


def open_tunnel(spec: Spec) -> socket.socket:
    """Through the proxy, if there is one, to `authority`."""
    sock = dial(spec)
    if spec["via"]:
        authority = spec["authority"].encode()
        sock.sendall(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (authority, authority, fields(spec)))
        head = read_head(sock)
        if b" 200" not in head[:13]:
            sys.exit(f"CONNECT was answered with {head[:200]!r}")
    return sock


def read_head(sock: socket.socket) -> bytes:
    raw = b""
    while not raw.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)
        if not piece:
            sys.exit(f"the connection ended in a head: {raw!r}")
        raw += piece
    return raw


def open_tls(spec: Spec) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # a handshake more or less is not what is measured
    sock = context.wrap_socket(open_tunnel(spec), server_hostname=spec["name"])
    leaf = hashlib.sha256(sock.getpeercert(True) or b"").hexdigest()
    if spec["via"] and leaf == spec["leaf"]:
        sys.exit("the certificate is the upstream's own: nobody looks into this connection")
    return sock


def request(spec: Spec) -> bytes:
    """In absolute form where it goes to a proxy in the clear."""
    name = spec["authority"].encode()
    plain = spec["via"] and not spec.get("tls")
    target = b"http://%s%s" % (name, spec["path"].encode()) if plain else spec["path"].encode()
    return b"GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (target, name, fields(spec) if plain else b"")


class Client:
    """One kept connection that asks again as soon as it is answered."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._request = request(spec)
        self.sock: socket.socket = self._open()
        self._raw = b""

    def _open(self) -> socket.socket:
        sock = open_tls(self._spec) if self._spec.get("tls") else dial(self._spec)
        sock.settimeout(PATIENCE_SECONDS)
        return sock

    def ask(self) -> None:
        self.sock.sendall(self._request)

    def read(self) -> bool:
        """Whether the answer is whole."""
        piece = self.sock.recv(65536)
        if not piece:
            sys.exit("the connection ended before an answer")
        self._raw += piece
        end = self._raw.find(b"\r\n\r\n")
        if end < 0:
            return False
        if b" 200 " not in self._raw[:13]:
            sys.exit(f"not the answer that was expected: {self._raw[:300]!r}")
        length = LENGTH.search(self._raw, 0, end)
        if length is None:
            sys.exit(f"an answer without a length: {self._raw[:300]!r}")
        if len(self._raw) < end + 4 + int(length[1]):
            return False
        self._raw = b""
        return True

    def fetch(self) -> float:
        """Seconds of one request."""
        started = time.perf_counter()
        self.ask()
        while not self.read():
            pass
        return time.perf_counter() - started


def run_keepalive(spec: Spec) -> Spec:
    """As many connections, always one request on each. `marks`: how long it took up to so many requests."""
    clients = [Client(spec) for _ in range(spec["connections"])]
    poll = select.epoll()
    by_number = {client.sock.fileno(): client for client in clients}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    tell("begin")
    started = time.perf_counter()
    until = started + spec.get("seconds", 1e9)
    count, wanted, marks, wished = 0, spec.get("count", 1 << 62), {}, set(spec.get("marks", ()))
    for client in clients:
        client.ask()
    while count < wanted and time.perf_counter() < until:
        ready = poll.poll(PATIENCE_SECONDS)
        if not ready:
            sys.exit(f"no answer for {PATIENCE_SECONDS:.0f} s")
        for number, _ in ready:
            client = by_number[number]
            if client.read():
                count += 1
                if count in wished:
                    marks[count] = time.perf_counter() - started
                client.ask()
    took = time.perf_counter() - started
    tell("end")
    return {"rate": count / took, "count": count, "marks": marks}


def run_latency(spec: Spec) -> Spec:
    """One request at a time, with a pause before each, so that nothing is in anybody's way."""
    client = Client(spec)
    client.fetch()
    seconds = []
    for _ in range(spec["count"]):
        time.sleep(0.004)
        seconds.append(client.fetch())
    seconds.sort()
    return {"p50": seconds[len(seconds) // 2], "p99": seconds[len(seconds) * 99 // 100]}


def run_setups(spec: Spec) -> Spec:
    """Tunnels with a ClientHello in each, up to the first byte of the server's answer."""
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context()
    shake = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=spec["name"])
    try:
        shake.do_handshake()
    except ssl.SSLWantReadError:
        hello = outgoing.read()
    done = [0] * spec["connections"]
    tell("begin")
    until = time.perf_counter() + spec["seconds"]

    def work(place: int) -> None:
        while time.perf_counter() < until:
            with open_tunnel(spec) as sock:
                sock.sendall(hello)
                if sock.recv(1) != b"\x16":
                    os._exit(fail("no ServerHello"))
                done[place] += 1

    threads = [threading.Thread(target=work, args=(place,)) for place in range(spec["connections"])]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - started
    tell("end")
    return {"rate": sum(done) / took}


def run_tunnel(spec: Spec) -> Spec:
    """`bytes` of the upstream's, thrown away by the kernel."""
    with open_tunnel(spec) as sock:
        tell("begin")
        started = time.perf_counter()
        sock.sendall(b"\0" + spec["bytes"].to_bytes(8, "big"))
        left, room = spec["bytes"], bytearray(PIECE)
        while left:
            taken = sock.recv_into(room, min(PIECE, left), socket.MSG_TRUNC)
            if not taken:
                sys.exit(f"the tunnel ended with {left} bytes left")
            left -= taken
        took = time.perf_counter() - started
        tell("end")
    return {"rate": spec["bytes"] / took / 1e6}


def run_bulk(spec: Spec) -> Spec:
    """A large answer inside of TLS."""
    with open_tls(spec) as sock:
        tell("begin")
        started = time.perf_counter()
        sock.sendall(request(spec))
        head = read_head(sock)
        length = LENGTH.search(head)
        if b" 200" not in head[:13]:
            sys.exit(f"not the answer that was expected: {head[:200]!r}")
        left, room = int(length[1]) if length else spec["bytes"], bytearray(PIECE)
        whole = left
        while left:
            taken = sock.recv_into(room)
            if not taken:
                sys.exit(f"the answer ended with {left} bytes left")
            left -= taken if length else min(taken, left)
        took = time.perf_counter() - started
        tell("end")
    return {"rate": whole / took / 1e6}


def run_idle(spec: Spec) -> Spec:
    """Connections that were each used once, and wait; after one that has had everything loaded."""
    Client(spec).fetch()
    tell("rest")
    time.sleep(SETTLED_SECONDS * 2)
    clients = []
    for _ in range(spec["connections"]):
        clients.append(Client(spec))
        clients[-1].fetch()
    tell("idle")
    return {"count": len(clients)}


def serve(spec: Spec) -> Spec:
    """The upstream of `run_tunnel`, until its standard input ends."""
    data = os.memfd_create("bulk")
    os.truncate(data, 64 * PIECE)

    def answer(sock: socket.socket) -> None:
        with sock:
            raw = sock.recv(9)
            left = int.from_bytes(raw[1:], "big")
            while left:
                left -= os.sendfile(sock.fileno(), data, 0, min(left, 64 * PIECE))

    listener = socket.create_server(("127.0.0.1", spec["port"]), backlog=256)

    def accept() -> None:
        while True:
            threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()
    return {}


def tell(word: str) -> None:
    """A line for whoever watches, who then has time to look."""
    print(word, flush=True)
    time.sleep(SETTLED_SECONDS)


def fail(reason: str) -> int:
    print(reason, file=sys.stderr, flush=True)
    return 1


KINDS: dict[str, Callable[[Spec], Spec]] = {
    "keepalive": run_keepalive,
    "latency": run_latency,
    "setups": run_setups,
    "tunnel": run_tunnel,
    "bulk": run_bulk,
    "idle": run_idle,
    "serve": serve,
}

if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    print(json.dumps(KINDS[told["kind"]](told)), flush=True)
