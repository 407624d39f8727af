"""However bytes are cut, they give the same lines, each without an end in it, and no more is kept than the limit."""

from __future__ import annotations

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.wire.lines import Line, Lines

LIMIT = 64


def split(pieces: list[bytes]) -> list[Line]:
    lines, found = Lines(LIMIT), []
    for raw in pieces:
        found += lines.feed(raw)
        assert len(lines._held) <= LIMIT + 1
    return found + lines.finish()


def check(raw: bytes) -> None:
    cut, text = raw[:1], raw[1:]
    step = (cut or b"\1")[0] % 7 + 1
    found = split([text])
    assert found == split([text[place : place + step] for place in range(0, len(text), step)])
    for line in found:
        assert b"\n" not in line.raw
        assert b"\r" not in line.raw
        assert len(line.raw) <= LIMIT
        assert not (line.raw and line.fault)
    if not any(line.fault for line in found):
        assert b"".join(line.raw + b"\n" for line in found) == text.replace(b"\r\n", b"\n")


if __name__ == "__main__":
    fuzz(check, "lines")
