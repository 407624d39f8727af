"""What a body says beneath its codings (Content-Encoding), for whoever looks inside; what is sent on stays as it came.

For scans of content and rules about bodies: nothing else needs to know.

Rule 1: what can't be read whole, and by every reader alike, raises BadMessage, and nothing else is raised: an unknown
        coding, a broken or cut-off body, one with something behind its end, one that needs a dictionary.
Rule 2: what comes out is bounded, in bytes and as a multiple of what went in, of each coding; so is what is held.
Rule 3: `load_codings` imports what reads them. It is called before the agent runs, and only where bodies are looked at.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from trio_egress.wire.message import BadMessage

CODINGS = 3
"""On top of each other: two are an accident of a proxy, more are an attack."""

RATIO = 200
"""Of what comes out to what went in (Apache's DeflateInflateRatioLimit); text has 3 to 20, logs of alike lines 100."""

FREE_BYTES = 1 << 20
"""What may come out at any ratio: a page of blanks is no bomb."""

PIECE_BYTES = 64 * 1024
"""What one step gives at most; twice that of brotli, which keeps to it loosely."""

ZSTD_WINDOW = 8 << 20
"""What a decoder has to hold, and need not exceed (RFC 9659 3)."""

ZSTD_STEP = 64
"""Bytes of one step into zstandard, which gives all that they stand for: 16 blocks of 128 KiB, of 4 bytes each."""

_ZSTD_FRAME = b"\x28\xb5\x2f\xfd"
_ZSTD_HEADER_BYTES = 18
"""At most (RFC 8878 3.1.1.1)."""


class _Stage(Protocol):
    """One coding's reader."""

    def read(self, raw: bytes) -> Iterator[bytes]:
        """What `raw` stands for, in pieces."""

    def ended(self) -> bool:
        """Whether all of it has come."""


def load_codings() -> None:
    """Import what reads brotli and zstandard, so that nothing is imported later."""
    import brotli  # noqa: F401
    import zstandard  # noqa: F401


def parse_codings(values: Iterable[bytes]) -> tuple[str, ...]:
    """The codings in the values of Content-Encoding, in the order in which they were put on (RFC 9110 8.4)."""
    names = [name.strip(b" \t").lower().decode("latin-1") for value in values for name in value.split(b",")]
    found = tuple("gzip" if name == "x-gzip" else name for name in names if name not in ("", "identity"))
    if len(found) > CODINGS:
        raise BadMessage(f"a body has more than {CODINGS} codings", 415)
    for name in found:
        if name not in _STAGES:
            raise BadMessage("a body's coding is none of gzip, deflate, br, zstd and identity", 415)
    return found


def find_readable(values: Iterable[bytes]) -> bytes:
    """The value of Accept-Encoding in which nothing is asked for that can't be read here (RFC 9110 12.5.3)."""
    offers = [offer.strip(b" \t") for value in values for offer in value.split(b",")]
    known = {*_STAGES, "x-gzip", "identity"}
    return b", ".join(o for o in offers if o.partition(b";")[0].strip().lower().decode("latin-1") in known)


class Decoder:
    """One body: what comes of it in, what it says out. `limit_bytes` bounds what comes out, of each coding."""

    def __init__(self, codings: tuple[str, ...], limit_bytes: int) -> None:
        self._stages = [_Bounded(name, limit_bytes) for name in reversed(codings)]
        self._plain_left = limit_bytes

    def feed(self, raw: bytes) -> Iterator[bytes]:
        """The pieces that `raw` stands for. To be exhausted before it is called again."""
        pieces: Iterable[bytes] = (raw,)
        for stage in self._stages:
            pieces = stage.read_all(pieces)
        for piece in pieces:
            self._plain_left -= len(piece)
            if self._plain_left < 0:
                raise BadMessage("a body is longer than may be looked at", 413)
            yield piece

    def end(self) -> None:
        """Nothing more comes. A body without a byte is none, whatever its codings."""
        for stage in self._stages:
            stage.end()


class _Bounded:
    """A stage, and what went in and came out of it."""

    def __init__(self, name: str, limit_bytes: int) -> None:
        self._name = name
        self._stage = _STAGES[name]()
        self._limit = limit_bytes
        self._taken = self._given = 0

    def read_all(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for raw in pieces:
            for at in range(0, len(raw), PIECE_BYTES):
                yield from self._read(raw[at : at + PIECE_BYTES])

    def end(self) -> None:
        if self._taken and not self._stage.ended():
            raise BadMessage(f"a body in {self._name} is cut off")

    def _read(self, raw: bytes) -> Iterator[bytes]:
        self._taken += len(raw)
        try:
            for piece in self._stage.read(raw):
                self._add(len(piece))
                yield piece
        except _find_faults() as error:
            raise BadMessage(f"a body isn't {self._name}, or is broken") from error

    def _add(self, size: int) -> None:
        self._given += size
        if self._given > self._limit:
            raise BadMessage("a body is longer than may be looked at", 413)
        if self._given > max(FREE_BYTES, RATIO * self._taken):
            raise BadMessage(f"a body says more than {RATIO} times what came of it", 413)


class _Broken(Exception):
    """What a library doesn't notice."""


def _find_faults() -> tuple[type[Exception], ...]:
    """What reading may raise, of the libraries that are there."""
    import brotli
    import zstandard

    return zlib.error, brotli.error, zstandard.ZstdError, _Broken


class _Gzip:
    """One member or several (RFC 1952 2.2): some readers stop after the first, so all of them are read."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    def read(self, raw: bytes) -> Iterator[bytes]:
        while raw:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            yield from _inflate(self._member, raw)
            raw = self._member.unused_data

    def ended(self) -> bool:
        return self._member.eof


class _Deflate:
    """With the frame that the standard demands, or without, as some servers say it: the first two bytes tell."""

    def __init__(self) -> None:
        self._start = b""
        self._stream: Any = None

    def read(self, raw: bytes) -> Iterator[bytes]:
        if self._stream is None:
            raw = self._start + raw
            if len(raw) < 2:
                self._start = raw
                return
            framed = raw[0] & 0x8F == 8 and int.from_bytes(raw[:2], "big") % 31 == 0
            self._stream = zlib.decompressobj(wbits=zlib.MAX_WBITS if framed else -zlib.MAX_WBITS)
        elif self._stream.eof:
            raise _Broken
        yield from _inflate(self._stream, raw)
        if self._stream.unused_data:
            raise _Broken

    def ended(self) -> bool:
        return self._stream is not None and self._stream.eof


def _inflate(stream: Any, raw: bytes) -> Iterator[bytes]:
    """Until nothing is left, neither to take nor to give."""
    while raw or not stream.eof:
        piece = stream.decompress(raw, PIECE_BYTES)
        raw = stream.unconsumed_tail
        if piece:
            yield piece
        if stream.eof or (not raw and len(piece) < PIECE_BYTES):
            return


class _Brotli:
    def __init__(self) -> None:
        import brotli

        self._stream = brotli.Decompressor()

    def read(self, raw: bytes) -> Iterator[bytes]:
        """It may hold back what it has read; something behind the end is an error of its own."""
        while not self._stream.is_finished() or raw:
            piece = self._stream.process(raw, output_buffer_limit=PIECE_BYTES)
            raw = b""
            if piece:
                yield piece
            elif self._stream.can_accept_more_data():
                return
            else:
                raise _Broken

    def ended(self) -> bool:
        return bool(self._stream.is_finished())


class _Zstandard:
    """One frame or several (RFC 8878 3.1); one to be skipped is none that says anything, and is refused."""

    def __init__(self) -> None:
        import zstandard

        self._find_size = zstandard.frame_content_size
        self._context = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._frame = self._context.decompressobj()
        self._start = b""
        self._said = 0

    def read(self, raw: bytes) -> Iterator[bytes]:
        for at in range(0, len(raw), ZSTD_STEP):
            yield from self._read_step(raw[at : at + ZSTD_STEP])

    def _read_step(self, raw: bytes) -> Iterator[bytes]:
        while raw:
            if self._frame.eof:
                self._frame, self._start, self._said = self._context.decompressobj(), b"", 0
            self._start += raw[: _ZSTD_HEADER_BYTES - len(self._start)]
            if self._start[:4] != _ZSTD_FRAME[: len(self._start)]:
                raise _Broken
            piece = self._frame.decompress(raw)
            self._said += len(piece)
            yield piece
            raw = self._frame.unused_data if self._frame.eof else b""
            # The library looks at the size that the head told only where it has the frame as a whole.
            if self._frame.eof and self._find_size(self._start) not in (-1, self._said):
                raise _Broken

    def ended(self) -> bool:
        return self._frame.eof


_STAGES: dict[str, Callable[[], _Stage]] = {
    "gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstandard,
}
