"""Bytes are a zip that packing its files makes again, byte for byte, or an EvidenceError."""

from __future__ import annotations

import io

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.errors import EvidenceError
    from trio_egress.evidence.archive import read_index, write_archive


def check(raw: bytes) -> None:
    try:
        index = read_index(io.BytesIO(raw))
    except EvidenceError:
        return
    files = {name: raw[where.offset : where.offset + where.size] for name, where in index.items()}
    again = io.BytesIO()
    write_archive(again, ((name, len(files[name]), io.BytesIO(files[name])) for name in sorted(files)))
    assert again.getvalue() == raw


fuzz(check, "archive")
