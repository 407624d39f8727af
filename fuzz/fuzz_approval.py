"""However what a program says is cut, it gives the same answers, one a question at most, or PeerError."""

from __future__ import annotations

import contextlib

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.errors import PeerError
    from trio_egress.wire.approval import Answer, Asker, Decider

QUESTION: dict[str, object] = {
    "transport": "forward",
    "protocol": "http",
    "host": "a.example",
    "port": 80,
    "method": "GET",
    "path": "/",
    "query": [],
    "secure": False,
    "websocket": False,
    "service": None,
    "rule": "",
    "reason": "",
    "marked": True,
    "seconds": 60,
}


def hear(pieces: list[bytes]) -> list[tuple[int, Answer]] | None:
    """Four questions stand, of which one is over; None where what is said is not to be believed."""
    asker, found = Asker(), []
    for _ in range(4):
        asker.ask(**QUESTION)
    asker.end(2)
    try:
        for piece in pieces:
            found += asker.feed(piece)
    except PeerError:
        return None
    return found


def check(raw: bytes) -> None:
    whole = hear([raw])
    assert hear([raw[at : at + 1] for at in range(len(raw))]) == whole
    numbers = [number for number, _ in whole or ()]
    assert len(set(numbers)) == len(numbers)
    assert set(numbers) <= {1, 3, 4}
    with contextlib.suppress(PeerError):
        for told in Decider().feed(raw):
            assert told.keys() in ({"over"}, {"id", *QUESTION})


if __name__ == "__main__":
    fuzz(check, "approval")
