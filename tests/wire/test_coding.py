"""Bodies beneath their codings: every coding whole, in pieces, stacked, broken, and as a bomb."""

from __future__ import annotations

import collections
import gzip
import random
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import brotli
import pytest
import zstandard

from trio_egress.wire.coding import (
    CODINGS,
    FREE_BYTES,
    RATIO,
    Decoder,
    load_codings,
    parse_codings,
)
from trio_egress.wire.message import BadMessage

BODY = b"".join(b'{"line": %d, "said": "hello"}\n' % number for number in range(3000))
LIMIT = 1 << 24


def deflate_raw(raw: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(raw) + stream.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "deflate without its frame": ("deflate", deflate_raw),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.compress),
}
ALL = pytest.mark.parametrize(("coding", "encode"), ENCODERS.values(), ids=ENCODERS)


def decode(coded: bytes, *codings: str, limit: int = LIMIT, step: int = 1 << 20) -> bytes:
    decoder = Decoder(codings, limit)
    said = b""
    for at in range(0, len(coded), step):
        said += b"".join(decoder.feed(coded[at : at + step]))
    decoder.end()
    return said


def finish(decoder: Decoder, raw: bytes) -> None:
    collections.deque(decoder.feed(raw), 0)
    decoder.end()


def refuse(coded: bytes, *codings: str, limit: int = LIMIT, status: int = 400) -> str:
    with pytest.raises(BadMessage) as caught:
        decode(coded, *codings, limit=limit)
    assert caught.value.status == status
    return str(caught.value)


# which


@pytest.mark.parametrize(
    ("values", "codings"),
    [
        ([], ()),
        ([b""], ()),
        ([b"identity"], ()),
        ([b"gzip"], ("gzip",)),
        ([b"X-GZip"], ("gzip",)),
        ([b" deflate , identity,, br\t"], ("deflate", "br")),
        ([b"gzip", b"zstd"], ("gzip", "zstd")),
        ([b"gzip, gzip, gzip"], ("gzip",) * CODINGS),
    ],
)
def test_codings_are_those_of_all_fields_in_order(values: list[bytes], codings: tuple[str, ...]) -> None:
    assert parse_codings(values) == codings


@pytest.mark.parametrize(
    "value", [b"compress", b"dcb", b"dcz", b"x-br", b"gzip;q=1", b"\xff", b"exi", b"gzip,gzip,gzip,br"]
)
def test_what_is_unknown_or_too_much_is_refused(value: bytes) -> None:
    with pytest.raises(BadMessage) as caught:
        parse_codings([value])
    assert caught.value.status == 415


# what


def test_a_body_without_codings_is_what_it_is() -> None:
    assert decode(BODY) == BODY


@ALL
def test_a_body_is_what_was_coded(coding: str, encode: Callable[[bytes], bytes]) -> None:
    for body in (BODY, b"", b"x", random.Random(1).randbytes(300_000)):
        assert decode(encode(body), coding) == body


@ALL
def test_a_body_may_come_in_any_pieces(coding: str, encode: Callable[[bytes], bytes]) -> None:
    coded = encode(BODY[:2000])
    for step in (1, 2, 3, 7, 100):
        assert decode(coded, coding, step=step) == BODY[:2000]


@ALL
def test_what_has_come_is_said_before_the_rest_comes(coding: str, encode: Callable[[bytes], bytes]) -> None:
    noise = random.Random(1).randbytes(1 << 20)
    coded = encode(noise)
    decoder = Decoder((coding,), LIMIT)
    said = b"".join(decoder.feed(coded[: len(coded) // 2]))
    assert len(said) > len(noise) // 4
    assert noise.startswith(said)


@ALL
def test_nothing_is_no_body_whatever_its_coding(coding: str, encode: Callable[[bytes], bytes]) -> None:
    assert decode(b"", coding) == b""


def test_stacked_codings_are_taken_off_in_reverse() -> None:
    coded = zstandard.compress(brotli.compress(gzip.compress(BODY)))
    assert decode(coded, "gzip", "br", "zstd") == BODY
    assert decode(coded, "gzip", "br", "zstd", step=1) == BODY
    refuse(coded, "zstd", "br", "gzip")


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_all_members_are_read(coding: str) -> None:
    """Some readers stop after the first; what is looked at is what any of them may see."""
    encode = ENCODERS[coding][1]
    coded = encode(b"first ") + encode(b"second")
    for step in (1, 3, 1000):
        assert decode(coded, coding, step=step) == b"first second"


# refused


@ALL
def test_a_body_that_is_cut_off_is_refused(coding: str, encode: Callable[[bytes], bytes]) -> None:
    coded = encode(BODY[:500])
    for size in range(1, len(coded)):
        assert "cut off" in refuse(coded[:size], coding)


@ALL
@pytest.mark.parametrize("behind", [b"\0", b"rest", b"\0" * 100])
def test_what_comes_behind_the_end_is_refused(
    coding: str, encode: Callable[[bytes], bytes], behind: bytes
) -> None:
    coded = encode(BODY)
    refuse(coded + behind, coding)
    decoder = Decoder((coding,), LIMIT)
    assert b"".join(decoder.feed(coded)) == BODY
    with pytest.raises(BadMessage):
        finish(decoder, behind)


@ALL
def test_what_is_none_is_refused(coding: str, encode: Callable[[bytes], bytes]) -> None:
    for noise in (b"hello, world", b"\xff" * 100, random.Random(1).randbytes(1000)):
        refuse(noise, coding)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_a_wrong_checksum_is_refused(coding: str) -> None:
    encode = {"zstd": zstandard.ZstdCompressor(write_checksum=True).compress}.get(coding, ENCODERS[coding][1])
    coded = bytearray(encode(BODY))
    coded[-5 if coding == "gzip" else -1] ^= 1
    assert "broken" in refuse(bytes(coded), coding)


def test_what_needs_a_dictionary_is_refused() -> None:
    stream = zlib.compressobj(zdict=b"hello world")
    refuse(stream.compress(b"hello world") + stream.flush(), "deflate")
    samples: list[bytes | bytearray | memoryview[int]] = [
        b'{"line": %d, "said": "hello %d"}' % (number, number * 7) for number in range(3000)
    ]
    trained = zstandard.train_dictionary(4000, samples)
    refuse(zstandard.ZstdCompressor(dict_data=trained).compress(bytes(samples[0])), "zstd")


def test_a_frame_to_be_skipped_is_refused() -> None:
    """It says nothing, to a reader that knows it."""
    refuse(b"\x50\x2a\x4d\x18\x04\0\0\0abcd" + zstandard.compress(b"x"), "zstd")
    refuse(zstandard.compress(b"x") + b"\x50\x2a\x4d\x18\x04\0\0\0abcd", "zstd")


def test_a_size_that_is_told_and_is_not_so_is_refused_in_pieces_too() -> None:
    """Found by fuzz_coding.py: the library minds it only where it has the frame as a whole."""
    for size in (0, 35, 37):
        told = b"\x28\xb5\x2f\xfd\x20" + bytes([36]) + (size << 3 | 1).to_bytes(3, "little") + b"x" * size
        decoder = Decoder(("zstd",), LIMIT)
        with pytest.raises(BadMessage):
            [list(decoder.feed(told[at : at + 1])) for at in range(len(told))]
    assert decode(b"\x28\xb5\x2f\xfd\x20\x24\x21\x01\x00" + b"x" * 36, "zstd", step=1) == b"x" * 36


def test_a_window_that_nobody_has_to_hold_is_refused() -> None:
    wide = zstandard.ZstdCompressionParameters(window_log=24)
    stream = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    refuse(stream.compress(BODY) + stream.flush(), "zstd")


# bounds


def test_the_limit_holds_to_the_byte() -> None:
    for coding, encode in ENCODERS.values():
        assert decode(encode(BODY), coding, limit=len(BODY)) == BODY
        assert "longer" in refuse(encode(BODY), coding, limit=len(BODY) - 1, status=413)
    assert decode(BODY, limit=len(BODY)) == BODY
    refuse(BODY, limit=len(BODY) - 1, status=413)


@ALL
def test_what_is_small_may_have_any_ratio(coding: str, encode: Callable[[bytes], bytes]) -> None:
    assert decode(encode(bytes(FREE_BYTES)), coding) == bytes(FREE_BYTES)


@ALL
def test_what_is_large_may_not(coding: str, encode: Callable[[bytes], bytes]) -> None:
    assert f"{RATIO} times" in refuse(encode(bytes(4 * FREE_BYTES)), coding, status=413)


def test_a_stacked_bomb_is_one_at_each_stage() -> None:
    """gzip over gzip: little comes of either that the other would notice, and much of both."""
    bomb = gzip.compress(gzip.compress(bytes(100 << 20)))
    assert f"{RATIO} times" in refuse(bomb, "gzip", "gzip", limit=1 << 40, status=413)


def bombs() -> Iterator[tuple[str, bytes]]:
    """10 MiB of gzip that say 10 GiB, of zstd that say 320; of the others the start of as much."""
    for coding, stream in (
        ("gzip", zlib.compressobj(wbits=31)),
        ("deflate", zlib.compressobj()),
        ("zstd", zstandard.ZstdCompressor().compressobj()),
    ):
        coded = b"".join([*(stream.compress(bytes(1 << 20)) for _ in range(64)), stream.flush()])
        yield coding, coded * (160 if coding == "gzip" else 1)
    yield "br", brotli.compress(bytes(64 << 20), quality=5)
    block = b"\x02\x00\x10\x00"  # of 128 KiB, said in 4 bytes (RFC 8878 3.1.1.2.2)
    yield "zstd", b"\x28\xb5\x2f\xfd\x00\x58" + block * (10 << 18)


@pytest.mark.parametrize("limit", [1 << 20, 16 << 20])
@pytest.mark.parametrize(("coding", "bomb"), list(bombs()))
def test_a_bomb_ends_at_the_bound_in_little_memory(coding: str, bomb: bytes, limit: int) -> None:
    decoder = Decoder((coding,), limit)
    load_codings()
    sizes: list[int] = []
    tracemalloc.start()
    try:
        with pytest.raises(BadMessage) as caught:
            sizes.extend(len(piece) for piece in decoder.feed(bomb))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.status == 413
    assert sum(sizes) <= limit
    assert peak < 8 << 20


def test_nothing_is_imported_before_it_is_asked_for_and_nothing_after() -> None:
    program = (
        "import sys; from trio_egress.wire.coding import Decoder, load_codings\n"
        "assert not {'brotli', 'zstandard'} & set(sys.modules)\n"
        "load_codings(); before = set(sys.modules)\n"
        "for coding in ('gzip', 'deflate', 'br', 'zstd'):\n"
        "    try: list(Decoder((coding,), 10).feed(b'none'))\n"
        "    except Exception: pass\n"
        "assert set(sys.modules) == before, set(sys.modules) - before\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
