"""A stream is the same events in whatever pieces it comes, and their bytes are the stream; or it raises BadMessage."""

from __future__ import annotations

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.wire.message import BadMessage
    from trio_egress.wire.sse import Event, EventStream


def read(raw: bytes, step: int) -> list[Event] | None:
    stream = EventStream()
    events: list[Event] = []
    try:
        for at in range(0, len(raw), step):
            events += stream.feed(raw[at : at + step])
        return [*events, stream.finish()]
    except BadMessage:
        return None


def check(raw: bytes) -> None:
    whole = read(raw, len(raw) or 1)
    for step in (1, 2, 3, 7):
        pieces = read(raw, step)
        assert (pieces is None) == (whole is None)
        if pieces is not None and whole is not None:
            assert [(each.kind, each.data) for each in pieces] == [(each.kind, each.data) for each in whole]
            assert b"".join(each.raw for each in pieces) == raw


if __name__ == "__main__":
    fuzz(check, "sse")
