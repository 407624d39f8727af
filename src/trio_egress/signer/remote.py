"""The run's side: a Signer whose key is in another process, started as a command or connected to by its socket.

Rule 1: every signature is checked against the public key before it is used: a wrong one ends the run.
Rule 2: an answer takes ANSWER_SECONDS at most, and after the first failure nothing is asked any more.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

from trio_egress.errors import EvidenceError, RecorderError, SandboxError
from trio_egress.evidence.sign import PublicKey, is_signed, parse_public_key
from trio_egress.signer.frames import (
    HELLO,
    KEY,
    MESSAGE,
    PUBLIC_BYTES,
    RECEIPT,
    REFUSAL,
    SIGNATURE,
    SIGNATURE_BYTES,
    VERSION,
    join_receipt,
    receive,
    send,
)

ANSWER_SECONDS = 20.0
"""A signature takes a fraction of a millisecond here, and some hundred in a slow HSM across a network."""

GREETING_SECONDS = 60.0
"""How long it may take to start, and to ask somebody for a PIN."""

END_SECONDS = 5.0
"""How long a signer that we started may take to end by itself."""

REFUSAL_BYTES = 1000
"""Of a refusal's words that are shown, on one line."""

PROGRAM = "trio-egress"
"""As the first word of a command: this very program, wherever it is installed."""

_THIS = "import sys; sys.path[:] = filter(None, sys.path); from trio_egress.cli.main import main; sys.exit(main())"
"""Not `-m`, which looks into the working directory first."""


class RemoteKey:
    """A Signer outside. One question at a time, from whatever thread asks. Made by `open_signer`."""

    def __init__(
        self,
        sock: socket.socket,
        process: subprocess.Popen[bytes] | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        """Takes over both. Raises RecorderError where the other side is no signer."""
        self._sock = sock
        self._process = process
        self._seconds = seconds
        self._lock = threading.Lock()
        self._failure = ""
        self.public_hex, self.hide = self._greet()

    def sign(self, message: bytes) -> bytes:
        """Raises RecorderError."""
        return self._sign(MESSAGE, message, message)

    def sign_receipt(self, record: bytes, ext: bytes) -> bytes:
        """Raises RecorderError."""
        return self._sign(RECEIPT, join_receipt(record, ext), hashlib.sha256(record).digest())

    def close(self) -> None:
        """Hang up; a signer that was started for this run ends with it."""
        self._failure = self._failure or "the run is over"
        self._sock.close()
        if self._process is None:
            return
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):  # as root it is another user's by now
                self._process.kill()

    def _greet(self) -> tuple[PublicKey, tuple[str, ...]]:
        answer = self._ask(KEY, HELLO, VERSION, max(self._seconds, GREETING_SECONDS))
        try:
            public = parse_public_key(answer[:PUBLIC_BYTES].hex().encode())
            hide = json.loads(answer[PUBLIC_BYTES:] or b"{}").get("hide", [])
            if type(hide) is not list or not all(type(path) is str and "\0" not in path for path in hide):
                raise ValueError("what it says to hide is no list of paths")
            return public, tuple(map(os.path.abspath, hide))
        except (EvidenceError, ValueError, AttributeError, TypeError, RecursionError) as error:
            raise self._fail(f"the signer does not tell its key: {error}") from None

    def _sign(self, kind: bytes, body: bytes, message: bytes) -> bytes:
        signature = self._ask(SIGNATURE, kind, body, self._seconds)
        public = bytes.fromhex(self.public_hex)
        if len(signature) != SIGNATURE_BYTES or not is_signed(public, message, signature):
            raise self._fail("the signer answered with a signature that is not one of its key")
        return signature

    def _ask(self, expected: bytes, kind: bytes, body: bytes, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        if not self._lock.acquire(timeout=seconds):
            raise RecorderError(f"the signer did not answer within {seconds:g} s")
        try:
            if self._failure:
                raise RecorderError(self._failure)
            self._sock.settimeout(seconds)
            send(self._sock, kind, body)
            got, answer = receive(self._sock, deadline)
        except (EOFError, BrokenPipeError, ConnectionError):
            raise self._fail("the signer is gone") from None
        except TimeoutError:
            raise self._fail(f"the signer did not answer within {seconds:g} s") from None
        except (OSError, ValueError) as error:
            raise self._fail(f"the signer can't be asked: {error}") from None
        finally:
            self._lock.release()
        if got == REFUSAL:
            said = answer[:REFUSAL_BYTES].decode(errors="backslashreplace")
            raise self._fail("".join(c if c.isprintable() else " " for c in said) or "the signer refuses")
        if got != expected:
            raise self._fail(f"the signer answered with {got!r} where {expected!r} was expected")
        return answer

    def _fail(self, reason: str) -> RecorderError:
        self._failure = self._failure or reason
        return RecorderError(reason)


def open_signer(given: str, seconds: float = ANSWER_SECONDS) -> RemoteKey:
    """The signer behind a socket's path, or that a command starts. The caller closes it. Raises SandboxError."""
    if _is_socket(given):
        return _greet(given, _connect(given), None, seconds)
    try:
        command = shlex.split(given)
    except ValueError as error:
        raise SandboxError(f"--signer {given}: {error}") from None
    if not command:
        raise SandboxError("--signer is empty: give the path of a socket, or a command")
    ours, process = _start(given, command)
    return _greet(given, ours, process, seconds)


def _greet(
    given: str, sock: socket.socket, process: subprocess.Popen[bytes] | None, seconds: float
) -> RemoteKey:
    try:
        return RemoteKey(sock, process, seconds)
    except RecorderError as error:
        sock.close()
        if process is not None:
            process.kill()
            process.wait()
        raise SandboxError(f"--signer {given}: {error}") from None


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError as error:
        sock.close()
        raise SandboxError(f"--signer {path}: cannot connect: {error.strerror or error}") from None
    return sock


def _start(given: str, command: Sequence[str]) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Its standard input is the connection. A session of its own: a Ctrl-C is the agent's, and not the signer's."""
    program = [sys.executable, "-c", _THIS] if command[0] == PROGRAM else [command[0]]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs:
        try:
            process = subprocess.Popen(
                [*program, *command[1:]],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            reason = f"{error.strerror}; it is neither a socket nor a program that can be started"
            raise SandboxError(f"--signer {given}: {reason}") from None
    return ours, process
