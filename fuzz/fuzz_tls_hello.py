"""Bytes are a hello, need more, or raise PeerError; further bytes only ever turn the second into one of the others."""

from __future__ import annotations

import re

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.errors import PeerError
    from trio_egress.wire.tls_hello import RAW_BYTES, ClientHello, parse_client_hello

NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")


def outcome(raw: bytes) -> ClientHello | str | None:
    """The three things that may happen; anything else is raised and breaks the invariant."""
    try:
        return parse_client_hello(raw)
    except PeerError:
        return "refused"


def check(raw: bytes) -> None:
    final = outcome(raw)
    assert final is not None or len(raw) < RAW_BYTES
    for size in {0, 1, 5, 6, 9, len(raw) // 2, len(raw) - 1} & set(range(len(raw))):
        assert outcome(raw[:size]) in (None, final), size
    if final is not None:
        assert outcome(raw + b"\x16") == final
    if isinstance(final, ClientHello):
        assert final.server_name is None or NAME.fullmatch(final.server_name)
        assert all(name and name.isascii() for name in final.alpn)


if __name__ == "__main__":
    fuzz(check, "tls_hello")
