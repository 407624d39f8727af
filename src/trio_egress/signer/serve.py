"""The signer's side: answers one run over one connection, and is done.

Blocking, one question after the other. Reads no key file and makes no socket: both are given.

Rule: whatever the other side sends, it gets a signature, or a refusal after which the connection is closed.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Container, Sequence

from trio_egress.errors import EvidenceError
from trio_egress.evidence.sign import SigningKey
from trio_egress.signer.followed import Followed
from trio_egress.signer.frames import (
    HELLO,
    KEY,
    MESSAGE,
    REASON_CHARS,
    RECEIPT,
    REFUSAL,
    SIGNATURE,
    VERSION,
    receive,
    send,
    split_receipt,
)

_CREDENTIALS = struct.Struct("3i")
"""pid, uid, gid (`man 7 unix`, SO_PEERCRED)."""


def find_peer(sock: socket.socket) -> int:
    """The uid of whoever connected, as the kernel noted it then."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    uid: int = _CREDENTIALS.unpack(raw)[1]
    return uid


def accept_run(listener: socket.socket, users: Container[int]) -> socket.socket:
    """The first connection of one of these users; others are hung up on."""
    while True:
        sock, _ = listener.accept()
        if find_peer(sock) in users:
            return sock
        sock.close()


def serve_run(sock: socket.socket, key: SigningKey, hide: Sequence[str]) -> tuple[Followed, str]:
    """Answer until the other side hangs up. With why it ended early, or ''. `hide`: paths that no agent may see."""
    followed = Followed(key)
    try:
        while True:
            kind, body = receive(sock)
            send(sock, *_answer(followed, key, hide, kind, body))
    except EOFError:
        return followed, ""
    except OSError as error:
        return followed, f"the connection broke: {error.strerror or error}"
    except (EvidenceError, ValueError) as error:
        reason = str(error)[:REASON_CHARS]
        try:
            send(sock, REFUSAL, reason.encode(errors="backslashreplace"))
        except OSError:
            return followed, f"{reason} (and the connection broke)"
        return followed, reason


def _answer(
    followed: Followed, key: SigningKey, hide: Sequence[str], kind: bytes, body: bytes
) -> tuple[bytes, bytes]:
    match kind:
        case _ if kind == HELLO and body == VERSION:
            told = json.dumps({"hide": list(hide)}).encode()
            return KEY, bytes.fromhex(key.public_hex) + told
        case _ if kind == RECEIPT:
            return SIGNATURE, followed.sign_receipt(*split_receipt(body), time.time_ns())
        case _ if kind == MESSAGE:
            return SIGNATURE, followed.sign(body)
    raise ValueError(f"the signer does not know this question, or this version: {kind!r}")
