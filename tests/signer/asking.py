"""Ways to ask a signer: as a run does, and over a connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.evidence.specimens import KEY, START_NS

from trio_egress.evidence.sign import PublicKey, SigningKey
from trio_egress.signer.followed import Followed
from trio_egress.signer.serve import serve_run

DAY_NS = 86_400_000_000_000


class Asking:
    """A Signer that asks a Followed; its clock stands within the specimens' time unless it is set."""

    def __init__(self, key: SigningKey = KEY) -> None:
        self.followed = Followed(key)
        self.public_hex: PublicKey = key.public_hex
        self.now_ns = START_NS
        self.asked: list[tuple[bytes, bytes]] = []

    def sign(self, message: bytes) -> bytes:
        return self.followed.sign(message)

    def sign_receipt(self, record: bytes, ext: bytes) -> bytes:
        self.asked.append((record, ext))
        return self.followed.sign_receipt(record, ext, self.now_ns)


@contextmanager
def answered(answer: Callable[[socket.socket], object]) -> Iterator[socket.socket]:
    """A connection whose other end `answer` has, in a thread, for as long as it likes."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    def run() -> None:
        with theirs:
            answer(theirs)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        with ours:
            yield ours
    finally:
        ours.close()
        thread.join()


def serve(sock: socket.socket) -> None:
    """Our own signer, with KEY."""
    serve_run(sock, KEY, ["/keys/ci.key"])
