"""Frames: whole or not at all, never over their bound."""

from __future__ import annotations

import socket
import struct
import time

import pytest

from trio_egress.signer.frames import (
    FRAME_BYTES,
    MESSAGE,
    RECEIPT,
    join_receipt,
    receive,
    send,
    split_receipt,
)


def test_what_is_sent_is_received_however_it_is_cut() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, RECEIPT, b"abc")
        send(ours, MESSAGE, b"")
        raw = theirs.recv(100)
    for cut in range(len(raw) + 1):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(raw[:cut])
            ours.sendall(raw[cut:])
            assert receive(theirs) == (RECEIPT, b"abc")
            assert receive(theirs, time.monotonic() + 60) == (MESSAGE, b"")


def test_a_frame_over_the_bound_is_refused_by_its_length() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with pytest.raises(ValueError, match="over the bound"):
            send(ours, MESSAGE, bytes(FRAME_BYTES + 1))
        ours.sendall(struct.pack(">cI", MESSAGE, FRAME_BYTES + 1))
        with pytest.raises(ValueError, match="over the bound"):
            receive(theirs)


@pytest.mark.parametrize("raw", [b"", b"M", b"M\0\0\0\3ab"])
def test_a_frame_that_is_cut_short_is_the_end(raw: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            ours.sendall(raw)
        with pytest.raises(EOFError):
            receive(theirs)


def test_a_frame_that_never_comes_is_waited_for_until_the_deadline() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"M")
        with pytest.raises(TimeoutError):
            receive(theirs, time.monotonic() + 0.01)


def test_a_receipt_is_its_record_and_its_ext() -> None:
    assert split_receipt(join_receipt(b"record", b"ext")) == (b"record", b"ext")
    for broken in (b"", b"\0\0\0", b"\0\0\0\7record"):
        with pytest.raises(ValueError, match="receipt"):
            split_receipt(broken)
