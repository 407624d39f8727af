"""The signer's end of a connection: whatever comes, it signs what it may or hangs up, and never breaks."""

from __future__ import annotations

import random
import socket
import struct
import threading

import pytest
from tests.evidence.specimens import KEY, Scribe
from tests.signer.asking import Asking

from trio_egress.signer.followed import Followed
from trio_egress.signer.frames import HELLO, MESSAGE, RECEIPT, REFUSAL, VERSION, join_receipt, receive, send
from trio_egress.signer.serve import accept_run, find_peer, serve_run


def answer(*frames: bytes) -> tuple[Followed, str, bytes]:
    """What a signer makes of these bytes, and what it says to them."""
    ours, theirs = socket.socketpair()
    ours.settimeout(120)
    said = b""
    result: list[tuple[Followed, str]] = []
    with ours, theirs:
        thread = threading.Thread(target=lambda: result.append(serve_run(theirs, KEY, [])))
        thread.start()
        for raw in frames:
            ours.sendall(raw)
        ours.shutdown(socket.SHUT_WR)
        thread.join()
        while theirs.recv(65536):  # what is left unread would take the answers along
            pass
        theirs.close()
        while more := ours.recv(65536):
            said += more
    return (*result[0], said)


def frame(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">cI", kind, len(body)) + body


def opening() -> tuple[bytes, bytes]:
    """An open receipt as a run asks for it."""
    asking = Asking()
    scribe = Scribe(key=asking)
    scribe.now_ns = 0
    scribe.open()
    return asking.asked[0]


def test_an_open_receipt_is_signed() -> None:
    """The control of all that follows."""
    followed, trouble, said = answer(frame(HELLO, VERSION), frame(RECEIPT, join_receipt(*opening())))
    assert (followed.receipts, trouble) == (1, "")
    assert said[-64:] == KEY.sign_receipt(*opening())


@pytest.mark.parametrize(
    "raw",
    [
        frame(b"?", b""),
        frame(HELLO, b"trio-egress-signer-v2"),
        frame(RECEIPT, b""),
        frame(RECEIPT, b"\xff" * 9),
        frame(RECEIPT, join_receipt(b"{}", b"")),
        frame(MESSAGE, b"words"),
        struct.pack(">cI", MESSAGE, 0xFFFFFFFF),
        *[
            frame(RECEIPT, join_receipt(b"[" * deep + b"]" * deep, b"{}"))
            for deep in (100, 300, 990, 1500, 10**5)
        ],
        *[
            frame(RECEIPT, join_receipt(opening()[0], b'{"a":' * deep + b"1" + b"}" * deep))
            for deep in (100, 300, 990, 1500, 10**5)
        ],
        frame(RECEIPT, join_receipt(b'{"timestamp":' + b"9" * 5000 + b"}", b"{}")),
        frame(RECEIPT, join_receipt(opening()[0] + b" ", opening()[1])),
        frame(RECEIPT, join_receipt(opening()[0], b"")),
    ],
)
def test_what_is_no_receipt_of_a_run_is_refused_and_ends_it(raw: bytes) -> None:
    followed, trouble, said = answer(frame(HELLO, VERSION), raw, frame(RECEIPT, join_receipt(*opening())))
    assert trouble
    assert followed.receipts == 0
    assert REFUSAL in said[-(5 + len(trouble)) :] or "broke" in trouble


def test_a_connection_that_ends_anywhere_is_an_end() -> None:
    whole = frame(HELLO, VERSION) + frame(RECEIPT, join_receipt(*opening()))
    for cut in {*range(40), len(whole) - 1}:
        followed, trouble, _ = answer(whole[:cut])
        assert (followed.receipts, trouble) == (0, "")


def test_noise_is_never_signed() -> None:
    noise = random.Random(1)
    for _ in range(200):
        body = noise.randbytes(noise.randrange(200))
        followed, _, _ = answer(frame(noise.choice([b"R", b"M", b"H", b"K"]), body), noise.randbytes(20))
        assert (followed.receipts, followed.messages) == (0, 0)


def test_only_the_users_that_are_named_are_served() -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")  # an abstract name, which only this test knows
        listener.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(listener.getsockname())
            with accept_run(listener, [find_peer(client)]) as accepted:
                send(client, HELLO, VERSION)
                assert receive(accepted) == (HELLO, VERSION)
