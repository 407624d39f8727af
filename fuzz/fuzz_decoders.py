"""Bytes have bounded views, each byte of which is from bytes of its parent; what others encode is one of them."""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Callable

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.content.decoders import DEPTH, SIGNS, View, open_view
    from trio_egress.content.pattern import compile_pattern
    from trio_egress.content.piece import VIEW_BYTES

PATTERNS = [compile_pattern(sign, "") for sign in SIGNS]
MARK = b"a mark of as much as thirty bytes"
ENCODERS: tuple[Callable[[bytes], bytes], ...] = (
    base64.b64encode,
    base64.urlsafe_b64encode,
    base64.b32encode,
    base64.encodebytes,
    lambda raw: raw.hex().encode(),
    lambda raw: "".join(f"%{byte:02X}" for byte in raw).encode(),
    lambda raw: "".join(f"\\u{byte:04x}" for byte in raw).encode(),
    gzip.compress,
    zlib.compress,
)


def list_views(message: bytes) -> list[View]:
    views: list[View] = []
    to_do = [open_view(message)]
    while to_do:
        view = to_do.pop()
        signs = [number for number, pattern in enumerate(PATTERNS) if pattern.search(view.data)]
        inner = list(view.decode(signs))
        views += inner
        to_do += inner
    return views


def check(raw: bytes) -> None:
    if not raw:
        return
    views = list_views(raw)
    assert sum(len(view.data) for view in views) <= 2 * VIEW_BYTES
    for view in views:
        assert 1 <= len(view.via) <= DEPTH
        for at in {0, len(view.data) // 2, max(0, len(view.data) - 1)}:
            start, end = view.find_origin(at, at + 1)
            assert 0 <= start <= end <= len(raw)
    encode = ENCODERS[raw[0] % len(ENCODERS)]
    inside = MARK + raw[1:1000]
    assert any(MARK in view.data for view in list_views(encode(inside)))


if __name__ == "__main__":
    fuzz(check, "decoders")
