"""What a run and its signer say to each other: frames over a stream socket, a question and its answer at a time.

A frame is a kind (one byte), the length of its body (four bytes, big-endian) and the body; docs/keys.md has the kinds.

Rule 1: no frame has a body of more than FRAME_BYTES; a longer one is refused by its length alone.
Rule 2: `receive` raises EOFError where the other side hung up, and OSError (TimeoutError) or ValueError, nothing else.
"""

from __future__ import annotations

import socket
import struct
import time

FRAME_BYTES = 2 << 20
"""A receipt's record and its ext, each under the format's bound of 1 MiB a line."""

HELLO = b"H"
RECEIPT = b"R"
MESSAGE = b"M"
KEY = b"K"
SIGNATURE = b"S"
REFUSAL = b"X"

VERSION = b"trio-egress-signer-v1"
"""The body of HELLO."""

SIGNATURE_BYTES = 64
PUBLIC_BYTES = 32
REASON_CHARS = 500

_HEAD = struct.Struct(">cI")
_SIZE = struct.Struct(">I")


def send(sock: socket.socket, kind: bytes, body: bytes) -> None:
    """One frame, whole."""
    if len(body) > FRAME_BYTES:
        raise ValueError(f"a frame of {len(body)} bytes is over the bound of {FRAME_BYTES}")
    sock.sendall(_HEAD.pack(kind, len(body)) + body)


def receive(sock: socket.socket, deadline: float | None = None) -> tuple[bytes, bytes]:
    """The next frame: its kind and body. `deadline`: of time.monotonic(), for all of it."""
    kind, size = _HEAD.unpack(_receive_exactly(sock, _HEAD.size, deadline))
    if size > FRAME_BYTES:
        raise ValueError(f"a frame of {size} bytes is over the bound of {FRAME_BYTES}")
    return kind, _receive_exactly(sock, size, deadline)


def _receive_exactly(sock: socket.socket, size: int, deadline: float | None) -> bytes:
    raw = b""
    while len(raw) < size:
        if deadline is not None:
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
        more = sock.recv(size - len(raw))
        if not more:
            raise EOFError("the other side hung up")
        raw += more
    return raw


def join_receipt(record: bytes, ext: bytes) -> bytes:
    """The body of RECEIPT: the length of the canonical record in four bytes, the record, the stored ext."""
    return _SIZE.pack(len(record)) + record + ext


def split_receipt(body: bytes) -> tuple[bytes, bytes]:
    """Raises ValueError."""
    if len(body) < _SIZE.size:
        raise ValueError("a receipt without its length")
    (size,) = _SIZE.unpack_from(body)
    record, ext = body[_SIZE.size :][:size], body[_SIZE.size + size :]
    if len(record) != size:
        raise ValueError("a receipt that is shorter than it says")
    return record, ext
