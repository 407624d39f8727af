"""Tries of one kind, many at once, and what a peer says. Standard library only: part of the attacking program.

Rule 1: what was stopped says `denied:` and why; what got through says what it got.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

DENIED = "denied:"
SECONDS = 5.0
SHOWN = 5

Try = Callable[[], str]


def refuse_all(tries: Iterable[tuple[str, Try]]) -> str:
    """`denied:` with how many there were, by reason; or which got through."""
    through: list[str] = []
    reasons: Counter[str] = Counter()
    for name, attempt in tries:
        answer = answer_of(attempt)
        if answer.startswith(DENIED):
            reasons[answer.removeprefix(DENIED)] += 1
        else:
            through.append(f"{name} {answer}")
    if through:
        more = f", and {len(through) - SHOWN} more" if len(through) > SHOWN else ""
        return f"{', '.join(through[:SHOWN])}{more}"
    total = sum(reasons.values())
    if total == 0:
        return "nothing was tried"
    told = ", ".join(f"{reason} {count}" if len(reasons) > 1 else reason for reason, count in reasons.items())
    return f"{DENIED}{f'{total} times ' if total > 1 else ''}{told}"


def answer_of(attempt: Try) -> str:
    try:
        return attempt()
    except TimeoutError:
        return f"{DENIED}no answer"
    except OSError as error:
        return f"{DENIED}{errno.errorcode.get(error.errno or 0, str(error))}"


def open_socket(family: int, kind: int, protocol: int = 0) -> str:
    socket.socket(family, kind, protocol).close()
    return "opened"


def connect(family: int, kind: int, address: Any) -> str:
    with socket.socket(family, kind) as sock:
        sock.settimeout(SECONDS)
        sock.connect(address)
    return "connected"


def talk(family: int, address: tuple[str, int], raw: bytes) -> str:
    """Say something over TCP. Who is redirected is connected all the same: what counts is the answer."""
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.settimeout(SECONDS)
        sock.connect(address)
        sock.sendall(raw)
        return judge_answer(sock.recv(4096))


def judge_answer(raw: bytes) -> str:
    """The ways in which the proxy refuses are refusals; anything else was an answer."""
    if not raw:
        return f"{DENIED}closed"
    if raw[:1] == b"\x15":
        return f"{DENIED}TLS alert"
    head = raw.partition(b"\r\n\r\n")[0].lower()
    if head.startswith(b"http/1.") and head.split()[1][:1] in (b"4", b"5") and b"x-trio-egress" in head:
        return f"{DENIED}HTTP {head.split()[1].decode('ascii', 'replace')}"
    return f"answered {raw[:40]!r}"


def in_child(attempt: Try) -> str:
    """The answer of a try that changes the process for good, or kills it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, answer_of(attempt).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        raw = file.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"{DENIED}{signal.Signals(os.WTERMSIG(status)).name}"
    return raw.decode() or "ended without a word"
