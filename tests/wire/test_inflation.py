"""permessage-deflate: what is refused because receivers read it differently, and how much comes at once."""

from __future__ import annotations

import itertools
import zlib

import pytest

from trio_egress.wire.inflation import FREE_BYTES, PIECE_BYTES, RATIO, Inflater, NotDeflated

HELLO = bytes.fromhex("f248cdc9c90700")
"""RFC 7692 7.2.3.1."""
FINAL = bytes.fromhex("f348cdc9c90700") + b"\x00"
"""RFC 7692 7.2.3.4: a final block, and the byte that a sender adds."""


def inflate(*messages: bytes, takes_over: bool) -> list[bytes]:
    inflater = Inflater(takes_over=takes_over)
    return [b"".join(inflater.feed(each, last=True)) for each in messages]


def test_the_examples_of_the_standard_are_read() -> None:
    assert inflate(HELLO, bytes.fromhex("f200110000"), takes_over=True) == [b"Hello", b"Hello"]
    assert inflate(bytes.fromhex("000500faff48656c6c6f00"), takes_over=True) == [b"Hello"]
    assert inflate(bytes.fromhex("f248050000 00ffffcac9c90700"), takes_over=True) == [b"Hello"]
    assert inflate(HELLO, HELLO, takes_over=False) == [b"Hello", b"Hello"]


def test_an_empty_message_is_one() -> None:
    assert inflate(b"\x00", HELLO, takes_over=True) == [b"", b"Hello"]


def test_a_message_that_repeats_what_is_forgotten_is_refused() -> None:
    with pytest.raises(NotDeflated, match="DEFLATE"):
        inflate(HELLO, bytes.fromhex("f200110000"), takes_over=False)


def test_a_final_block_ends_a_message_where_none_builds_on_it() -> None:
    assert inflate(FINAL, FINAL, HELLO, takes_over=False) == [b"Hello", b"Hello", b"Hello"]


def test_a_final_block_is_refused_where_later_messages_build_on_it() -> None:
    with pytest.raises(NotDeflated, match="later ones build on"):
        inflate(FINAL, takes_over=True)


@pytest.mark.parametrize("behind", [HELLO, b"\x01", b"\x00\x00", bytes(100)])
def test_nothing_hides_behind_a_final_block(behind: bytes) -> None:
    for cut in (0, 1):
        inflater = Inflater(takes_over=False)
        fed = itertools.chain(
            inflater.feed(FINAL + behind[:cut], last=False), inflater.feed(behind[cut:], last=True)
        )
        with pytest.raises(NotDeflated, match="behind its final block"):
            list(fed)


def test_a_message_in_single_bytes_is_the_same() -> None:
    stream = zlib.compressobj(wbits=-15)
    raw = stream.compress(b"abc" * 1000) + stream.flush()
    for message in (HELLO, FINAL, raw + b"\x00"):
        inflater = Inflater(takes_over=False)
        pieces = [b"".join(inflater.feed(message[at : at + 1], last=False)) for at in range(len(message))]
        pieces += inflater.feed(b"", last=True)
        assert [b"".join(pieces)] == inflate(message, takes_over=False)


def test_no_piece_is_larger_than_the_bound() -> None:
    stream = zlib.compressobj(wbits=-15)
    raw = stream.compress(bytes(FREE_BYTES)) + stream.flush(zlib.Z_SYNC_FLUSH)
    inflater = Inflater(takes_over=True)
    sizes = [len(each) for each in inflater.feed(raw[:-4], last=True)]
    assert (max(sizes), sum(sizes)) == (PIECE_BYTES, FREE_BYTES)


def test_the_ratio_is_of_each_message() -> None:
    stream = zlib.compressobj(wbits=-15)
    inflater = Inflater(takes_over=True)
    for _ in range(3):
        raw = (stream.compress(bytes(FREE_BYTES)) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
        assert len(raw) * RATIO < FREE_BYTES
        list(inflater.feed(raw, last=True))
    raw = (stream.compress(bytes(FREE_BYTES + 1)) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]
    with pytest.raises(NotDeflated, match=f"{RATIO} times"):
        list(inflater.feed(raw, last=True))
