"""The run's side: it signs as the key does, or the run is over."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY, STRANGER, Scribe, write_chain
from tests.signer.asking import answered, serve

from trio_egress.errors import RecorderError, SandboxError
from trio_egress.signer.frames import KEY as TELLS_KEY
from trio_egress.signer.frames import REFUSAL, SIGNATURE, receive, send
from trio_egress.signer.remote import RemoteKey, open_signer

MANIFEST = b"SSHSIG" + (20).to_bytes(4, "big") + b"trio-egress-manifest"


def checkpoint_of(scribe: Scribe) -> bytes:
    """What a run signs of its log as it is."""
    return scribe.chain.sign_checkpoint().rpartition(b"\n\n")[0] + b"\n"


HELLO = bytes.fromhex(KEY.public_hex)


def test_it_signs_as_the_key_itself_does() -> None:
    with answered(serve) as sock:
        remote = RemoteKey(sock)
        assert remote.public_hex == KEY.public_hex
        assert remote.hide == ("/keys/ci.key",)
        scribe = Scribe(key=remote)
        scribe.now_ns = 0  # far behind the signer's clock, which is no reason
        assert scribe.open().block().close().lines
        assert remote.sign(MANIFEST) == KEY.sign(MANIFEST)


def _answering(*answers: tuple[bytes, bytes]) -> Callable[[socket.socket], None]:
    """Tells KEY, then gives these answers, whatever is asked, and hangs up."""

    def answer(sock: socket.socket) -> None:
        for kind, body in ((TELLS_KEY, HELLO), *answers):
            receive(sock)
            send(sock, kind, body)

    return answer


def _silent(sock: socket.socket) -> None:
    receive(sock)
    send(sock, TELLS_KEY, HELLO)
    while sock.recv(4096):
        pass


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (_answering(), "is gone"),
        (_answering((SIGNATURE, bytes(64))), "not one of its key"),
        (_answering((SIGNATURE, STRANGER.sign(bytes(32)))), "not one of its key"),
        (_answering((SIGNATURE, b"")), "not one of its key"),
        (_answering((SIGNATURE, bytes(65))), "not one of its key"),
        (_answering((TELLS_KEY, HELLO)), "was expected"),
        (_answering((REFUSAL, b"no such thing \xff")), r"no such thing \\xff"),
        (_answering((REFUSAL, b"\x1b[31mred\nand more" + bytes(5000))), r"^ \[31mred and more {,1000}$"),
        (_silent, "did not answer within"),
    ],
)
def test_without_a_right_signature_there_is_an_error_and_then_nothing_else(
    answer: Callable[[socket.socket], None], reason: str
) -> None:
    with answered(answer) as sock:
        remote = RemoteKey(sock, seconds=60)
        if answer is _silent:
            remote._seconds = 0.05
        with pytest.raises(RecorderError, match=reason):
            remote.sign_receipt(b"record", b"{}")
        with pytest.raises(RecorderError, match=reason):
            remote.sign(b"message")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((TELLS_KEY, b""), "does not tell its key"),
        ((TELLS_KEY, bytes(32)), "does not tell its key"),
        ((TELLS_KEY, HELLO + b"x"), "does not tell its key"),
        ((TELLS_KEY, HELLO + b"[]"), "does not tell its key"),
        ((REFUSAL, b"another version"), "another version"),
        ((REFUSAL, b""), "the signer refuses"),
        ((TELLS_KEY, HELLO + b'{"hide": "/key"}'), "no list of paths"),
        ((TELLS_KEY, HELLO + b'{"hide": ["/a\\u0000b"]}'), "no list of paths"),
        ((TELLS_KEY, HELLO + b"[" * 200_000), "does not tell its key"),
        ((b"?", HELLO), "was expected"),
    ],
)
def test_what_is_no_signer_is_refused_at_once(answer: tuple[bytes, bytes], reason: str) -> None:
    def say(sock: socket.socket) -> None:
        receive(sock)
        send(sock, *answer)

    with answered(say) as sock, pytest.raises(RecorderError, match=reason):
        RemoteKey(sock)


def test_two_threads_ask_one_after_the_other() -> None:
    with answered(serve) as sock:
        remote = RemoteKey(sock)
        scribe = Scribe(key=remote)
        scribe.now_ns = 0
        scribe.open()
        message = checkpoint_of(scribe)
        signed: list[bytes] = []
        threads = [threading.Thread(target=lambda: signed.append(remote.sign(message))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert signed == [KEY.sign(message)] * 8


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "is empty"),
        ("/nowhere/signer.sock", "neither a socket nor a program"),
        ("'unclosed", "No closing quotation"),
        ("true", "is gone"),
        ("trio-egress signer --key /nowhere", "is gone"),
    ],
)
def test_a_signer_that_can_not_be_had_is_told_by_its_name(
    given: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SandboxError, match=reason):
        open_signer(given)


def test_a_socket_that_nobody_listens_at_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
    with pytest.raises(SandboxError, match="refused"):
        open_signer(str(tmp_path / "s"))


FOREIGN = """
import json, socket, struct, sys
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import Hash, SHA256
key = Ed25519PrivateKey.from_private_bytes(b"\\x01" * 32)
sock = socket.socket(fileno=0)
while head := sock.recv(5, socket.MSG_WAITALL):
    kind, size = struct.unpack(">cI", head)
    body = sock.recv(size, socket.MSG_WAITALL) if size else b""
    if kind == b"H":
        kind, answer = b"K", key.public_key().public_bytes_raw()
    else:
        if kind == b"R":
            (length,) = struct.unpack_from(">I", body)
            digest = Hash(SHA256())
            digest.update(body[4 : 4 + length])
            body = digest.finalize()
        kind, answer = b"S", key.sign(body)
    sock.sendall(struct.pack(">cI", kind, len(answer)) + answer)
"""
"""A signer by docs/keys.md alone, with another library."""


def test_a_signer_that_knows_only_the_frames_will_do(tmp_path: Path) -> None:
    (tmp_path / "foreign.py").write_text(FOREIGN)
    remote = open_signer(f"{sys.executable} {tmp_path / 'foreign.py'}")
    try:
        assert write_chain(key=remote) == write_chain()
    finally:
        remote.close()
    with pytest.raises(RecorderError, match="the run is over"):
        remote.sign(b"message")
