"""The agent of a soak: many kinds of clients at once, each over and over, until all that was asked for is done.

Standard library only, as it runs inside. Its words: requests, idle connections, seconds at most. It stands still twice,
after a tenth and at the end, with nothing open but the idle connections: it then makes `quiet-N` and waits for `go-N`.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import ssl
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

ALLOWED, INSPECTED, DENIED, ECHO = "api.example.com", "git.example.com", "evil.example", "echo.example.com"
NO_LINGER = struct.pack("ii", 1, 0)
HELLO = b"GET /hello HTTP/1.1\r\nHost: %s\r\n\r\n"
PATIENCE = 120.0
WORKERS = 12
FLOOD = 200
KEPT_SECONDS = 20.0
KEPT_AT_ONCE = 100

Work = Callable[[random.Random], int]
"""Makes some requests, and says how many."""


def connect(host: str, port: int) -> socket.socket:
    return socket.create_connection((host, port), PATIENCE)


def ask(sock: socket.socket, host: str = ALLOWED) -> None:
    """One request and its whole answer, on a connection that goes on."""
    sock.sendall(HELLO % host.encode())
    hear(sock)


def hear(sock: socket.socket) -> None:
    """One whole answer."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        more = sock.recv(65536)
        if not more:
            raise ConnectionError("ended before an answer")
        raw += more
    head, _, body = raw.partition(b"\r\n\r\n")
    (length,) = (
        int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
    )
    while len(body) < length:
        body += sock.recv(65536)
    if not head.startswith(b"HTTP/1.1 200 "):
        raise ConnectionError(f"{head[9:40]!r} {body[:400]!r}")


def open_one() -> socket.socket:
    """A connection that has been of use, and may be again."""
    sock = connect(ALLOWED, 80)
    ask(sock)
    return sock


def keep_alive(rng: random.Random) -> int:
    count = rng.randrange(50, 400)
    with connect(ALLOWED, 80) as sock:
        for _ in range(count):
            ask(sock)
    return count


def connect_anew(rng: random.Random) -> int:
    for _ in range(10):
        with connect(ALLOWED, 80) as sock:
            ask(sock)
    return 10


def speak_tls(rng: random.Random) -> int:
    """Through a tunnel, or where the proxy ends TLS to see requests."""
    host = rng.choice((ALLOWED, INSPECTED))
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # trust is for other tests
    with context.wrap_socket(connect(host, 443), server_hostname=host) as sock:
        for _ in range(20):
            ask(sock, host)
    return 20


def be_refused(rng: random.Random) -> int:
    """By name, by address, and by method."""
    with contextlib.suppress(OSError):
        connect(DENIED, 80).close()
    with contextlib.suppress(OSError):
        connect("203.0.113.9", 443).close()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(connect(INSPECTED, 443), server_hostname=INSPECTED) as sock:
        sock.sendall(b"DELETE /hello HTTP/1.1\r\nHost: %s\r\n\r\n" % INSPECTED.encode())
        if not sock.recv(65536).startswith(b"HTTP/1.1 403 "):
            raise ConnectionError("not refused")
    return 3


def reset(rng: random.Random) -> int:
    """Gone in the middle: of the head, before the answer, or before a word."""
    for _ in range(10):
        sock = connect(ALLOWED, 80)
        sock.sendall((HELLO % ALLOWED.encode())[: rng.randrange(60)])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        sock.close()
    return 10


def be_slow(rng: random.Random) -> int:
    with connect(ALLOWED, 80) as sock:
        for byte in HELLO % ALLOWED.encode():
            sock.sendall(bytes((byte,)))
            time.sleep(0.02)
        sock.settimeout(PATIENCE)
        sock.recv(65536)
    return 1


def echo(rng: random.Random) -> int:
    """Plain TCP by name, in pieces of every size."""
    with connect(ECHO, 7) as sock:
        for _ in range(20):
            raw = rng.randbytes(rng.randrange(1, 30_000))
            sock.sendall(raw)
            left = len(raw)
            while left:
                left -= len(sock.recv(left)) or sys.exit("the echo ended")
    return 20


def flood(rng: random.Random) -> int:
    """At once: connections to nowhere, names that nobody allowed, and packets that have no way."""
    socks = [socket.socket() for _ in range(FLOOD)]
    for sock in socks:
        sock.setblocking(False)
        sock.connect_ex(("203.0.113.9", 443))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        for number in range(FLOOD):
            with contextlib.suppress(OSError):
                udp.sendto(b"x", ("203.0.113.9", 10_000 + number))
    for number in range(10):
        with contextlib.suppress(OSError):
            socket.getaddrinfo(f"n{number}.{rng.randrange(1 << 30)}.{DENIED}", 80)
    for sock in socks:
        sock.close()
    return FLOOD


KINDS: list[tuple[Work, int]] = [
    (keep_alive, 40),
    (connect_anew, 20),
    (speak_tls, 15),
    (be_refused, 5),
    (reset, 8),
    (be_slow, 4),
    (echo, 6),
    (flood, 2),
]
"""What, and how often."""


class Load:
    """What is done so far, by kind; and what went wrong, which is not part of a kind."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self._lock = threading.Lock()

    def run(self, total: int, deadline: float) -> None:
        """Until so many requests are made in all, or it is too late."""
        workers = [threading.Thread(target=self._work, args=(n, total, deadline)) for n in range(WORKERS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _work(self, number: int, total: int, deadline: float) -> None:
        rng = random.Random(number * 1_000_003 + total)  # noqa: S311  it is for the same load each time
        works, weights = zip(*KINDS, strict=True)
        while self.done.total() < total and time.monotonic() < deadline:
            (work,) = rng.choices(works, weights)
            try:
                count = work(rng)
            except OSError as error:
                with self._lock:
                    self.wrong[f"{work.__name__}: {type(error).__name__}: {error}"[:500]] += 1
                continue
            with self._lock:
                self.done[work.__name__] += count


def keep(held: list[socket.socket], done: threading.Event) -> None:
    """Each is of use now and then, or the proxy closes it (after 75 s). Many at once: one waits behind all others."""
    while True:
        for first in range(0, len(held), KEPT_AT_ONCE):
            some = held[first : first + KEPT_AT_ONCE]
            for act in (lambda sock: sock.sendall(HELLO % ALLOWED.encode()), hear):
                for sock in some:
                    with contextlib.suppress(OSError):  # found at the end
                        act(sock)
        if done.wait(KEPT_SECONDS):
            return


def stand_still(number: int) -> None:
    open(f"quiet-{number}", "x").close()
    while not os.path.exists(f"go-{number}"):
        time.sleep(0.1)


def main() -> None:
    total, idle, seconds = (int(word) for word in sys.argv[1:])
    deadline = time.monotonic() + seconds
    load = Load()
    held = [open_one() for _ in range(idle)]
    for number, part in enumerate((total // 10, total), 1):
        done = threading.Event()
        keeper = threading.Thread(target=keep, args=(held, done))
        keeper.start()
        load.run(part, deadline)
        done.set()
        keeper.join()
        stand_still(number)
    lost = 0
    for sock in held:
        try:
            ask(sock)
        except OSError:
            lost += 1
    print(json.dumps({"done": load.done, "wrong": load.wrong, "held": idle, "lost": lost}))


if __name__ == "__main__":
    main()
