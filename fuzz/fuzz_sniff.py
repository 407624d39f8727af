"""An answer comes within SNIFF_BYTES, and no further byte ever changes it."""

from __future__ import annotations

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.wire.sniff import SNIFF_BYTES, sniff


def check(raw: bytes) -> None:
    final = sniff(raw)
    assert final is not None or len(raw) < SNIFF_BYTES
    for size in range(min(len(raw), SNIFF_BYTES)):
        earlier = sniff(raw[:size])
        assert earlier in (None, final), (size, earlier, final)
    assert sniff(raw[:SNIFF_BYTES]) is final


if __name__ == "__main__":
    fuzz(check, "sniff")
