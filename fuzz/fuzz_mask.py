"""What a Mask lets by is as long as what came in, the same in any pieces, and has no value in it."""

from __future__ import annotations

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.evidence.spellings import list_spellings
    from trio_egress.proxy.masking import Mask

VALUES = (b"ab/ab+ab", b"ab+abb<<", b"abcabcabcab")
SPELLINGS = [spelling for value in VALUES for spelling in list_spellings(value)]


def check(raw: bytes) -> None:
    """The first byte says in what pieces; the rest is text, and some bytes of it stand for whole spellings."""
    size, text = raw[:1], b"".join(map(spell, raw[1:]))
    pieces = cut(text, 1 + size[0] if size else 1)
    mask = Mask(VALUES)
    let_by = b"".join([*map(mask.feed, pieces), mask.finish()])
    assert let_by == Mask(VALUES).clean(text)
    assert len(let_by) == len(text)
    assert all(one in (other, ord("*")) for one, other in zip(let_by, text, strict=True))
    low = let_by.lower()
    assert not any(spelling in low for spelling in SPELLINGS)


def spell(byte: int) -> bytes:
    if byte >= 128:
        return SPELLINGS[byte % len(SPELLINGS)]
    return b"ab+/<c"[byte % 6 : byte % 6 + 1] if byte % 2 else bytes([byte])


def cut(text: bytes, size: int) -> list[bytes]:
    return [text[at : at + size] for at in range(0, len(text), size)]


if __name__ == "__main__":
    fuzz(check, "mask")
