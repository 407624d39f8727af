"""The cursor: what it reads, and that it never reads past the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.errors import PeerError
from trio_egress.wire.reader import Reader


def test_integers_and_vectors_are_big_endian() -> None:
    reader = Reader(b"\x01\x02\x00\x03abcZ", "x")
    assert reader.integer(2) == 0x0102
    assert reader.vector(2) == b"abc"
    assert reader.at == 7
    assert reader.more()
    assert reader.take(1) == b"Z"
    assert not reader.more()
    reader.end()


def test_a_start_skips_what_is_before_it() -> None:
    assert Reader(b"head body", "x", start=5).take(4) == b"body"


@pytest.mark.parametrize("raw", [b"", b"\x00", b"\x00\x05abcd"])
def test_a_vector_that_promises_more_than_there_is_is_refused(raw: bytes) -> None:
    with pytest.raises(PeerError, match=r"^gift is cut short: "):
        Reader(raw, "gift").vector(2)


def test_bytes_left_over_are_refused() -> None:
    with pytest.raises(PeerError, match=r"^gift has 2 bytes too many$"):
        Reader(b"abc", "gift", start=1).end()


@given(st.binary(max_size=40), st.lists(st.integers(0, 50), max_size=8))
def test_what_was_taken_is_the_start_of_the_bytes(raw: bytes, sizes: list[int]) -> None:
    reader = Reader(raw, "x")
    taken = b""
    for size in sizes:
        if size > len(raw) - len(taken):
            with pytest.raises(PeerError):
                reader.take(size)
        else:
            taken += reader.take(size)
    assert raw.startswith(taken)
    assert reader.at == len(taken)
