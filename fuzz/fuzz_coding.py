"""A coded body is one text, in whatever pieces it comes, which others read in it too; or it raises BadMessage."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable

import brotli
import zstandard
from driver import fuzz, instrumented

with instrumented():
    from trio_egress.wire.coding import FREE_BYTES, Decoder
    from trio_egress.wire.message import BadMessage

LIMIT = FREE_BYTES // 4


def inflate(raw: bytes) -> bytes:
    try:
        return zlib.decompress(raw)
    except zlib.error:
        return zlib.decompress(raw, wbits=-zlib.MAX_WBITS)


def read_zstandard(raw: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw), read_across_frames=True).read()


OTHERS: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("gzip", gzip.decompress),
    ("deflate", inflate),
    ("br", brotli.decompress),
    ("zstd", read_zstandard),
)


def check(raw: bytes) -> None:
    if not raw:
        return
    coding, other = OTHERS[raw[0] % len(OTHERS)]
    step, coded = 1 + raw[0] // len(OTHERS), raw[1:]
    said = decode(coded, coding, len(coded) or 1)
    assert decode(coded, coding, step) == said
    if said is not None:
        assert len(said) <= LIMIT
        assert not coded or other(coded) == said


def decode(coded: bytes, coding: str, step: int) -> bytes | None:
    decoder = Decoder((coding,), LIMIT)
    said = b""
    try:
        for at in range(0, len(coded), step):
            said += b"".join(decoder.feed(coded[at : at + step]))
        decoder.end()
    except BadMessage:
        return None
    return said


if __name__ == "__main__":
    fuzz(check, "coding")
