"""Text has a normal form whose every byte is from bytes of it, in their order; what is ASCII and no HTML is its own."""

from __future__ import annotations

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.content.normal import HTML_SIGNS, normalise


def check(raw: bytes) -> None:
    normal = normalise(raw)
    if normal is None:
        return
    assert not raw.isascii() or any(sign in raw for sign in HTML_SIGNS)
    normal.data.decode()
    assert len(normal.data) <= 18 * len(raw), "U+FDFA is the longest, 33 bytes for 3"
    if not normal.data:
        return
    places = [normal.find_origin(at, at + 1) for at in range(len(normal.data))]
    assert places == sorted(places)
    assert all(0 <= start < end <= len(raw) for start, end in places)
    assert normal.find_origin(0, len(normal.data)) == (places[0][0], places[-1][1])


if __name__ == "__main__":
    fuzz(check, "normal")
