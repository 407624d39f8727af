"""After `[` bytes are objects that Python reads too, each given as its stored line, or an EvidenceError."""

from __future__ import annotations

import io
import json

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.errors import EvidenceError
    from trio_egress.evidence.array import ArrayReader
    from trio_egress.evidence.canonical import render_stored


def check(raw: bytes) -> None:
    reader = ArrayReader(io.BytesIO(raw))
    lines = []
    try:
        while line := reader.readline():
            lines.append(line)
    except EvidenceError:
        return
    values = json.loads(b"[" + raw)
    assert all(type(value) is dict for value in values)
    assert lines == [render_stored(value) + b"\n" for value in values]


fuzz(check, "array")
