"""Any bytes are members and reasons, within the bounds; reading them raises OSError and nothing else."""

from __future__ import annotations

import contextlib
import io

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.static import archives
    from trio_egress.static.archives import open_archive
    from trio_egress.static.source import Source

archives.FREE_BYTES = 1 << 20
archives.MEMBERS = 50


def check(raw: bytes) -> None:
    came = members = 0
    for member in open_archive("x", io.BytesIO(raw), len(raw)):
        members += 1
        assert member.path.startswith("x")
        if not isinstance(member, Source):
            assert member.reason
            continue
        with contextlib.suppress(OSError):
            for piece in member.pieces:
                came += len(piece)
    assert came <= max(1 << 20, len(raw) * archives.RATIO)
    assert members <= 3 * 50 + 10


fuzz(check, "members")
