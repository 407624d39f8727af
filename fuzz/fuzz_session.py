"""Of a session's packets, either way, there is one reading, which written again reads the same; or PeerError."""

from __future__ import annotations

import json
from collections.abc import Mapping

from driver import fuzz, instrumented

with instrumented():
    from trio_egress.errors import PeerError
    from trio_egress.wire.session import (
        MESSAGE_BYTES,
        STREAMS,
        Close,
        File,
        Kill,
        Request,
        Signal,
        Spawn,
        read_request,
    )
    from trio_egress.wire.session_told import (
        Attempted,
        Closed,
        Exited,
        FileDone,
        NotStarted,
        Ready,
        Refused,
        Started,
        Told,
        read_told,
    )


def write_request(request: Request) -> tuple[Mapping[str, object], int]:
    """As a program writes it, and how many descriptors go with it."""
    match request:
        case Spawn(number, argv, directory, environment, timeout):
            words = {"argv": argv, "directory": directory, "environment": environment, "timeout": timeout}
            return {"step": "spawn", "number": number, **words}, STREAMS
        case Signal(number, signal):
            return {"step": "signal", "number": number, "signal": signal}, 0
        case Kill(number):
            return {"step": "kill", "number": number}, 0
        case File(number, path, writes):
            return {"step": "write" if writes else "read", "number": number, "path": path}, int(writes)
        case Close():
            return {"step": "close"}, 0


def write_told(told: Told) -> Mapping[str, object]:
    """As a supervisor writes it."""
    match told:
        case Ready():
            return {"step": "ready"}
        case Started(number):
            return {"step": "started", "number": number}
        case NotStarted(number, errno, message):
            return {"step": "not_started", "number": number, "errno": errno, "message": message}
        case Exited(number, code, limit, timed_out):
            how = {"code": code, "limit": limit, "timed_out": timed_out}
            return {"step": "exited", "number": number, **how}
        case FileDone(number, errno, error):
            return {"step": "file", "number": number, "errno": errno, "error": error}
        case Refused(kind, message):
            return {"step": "refused", "kind": kind, "message": message}
        case Closed(status):
            return {"step": "closed", "status": status}
        case Attempted(words, port, count, dropped, denied):
            counts = {"port": port, "count": count, "dropped": dropped, "dropped_denied": denied}
            return {"step": "event", **words, **counts}


def render(members: Mapping[str, object]) -> bytes:
    return json.dumps(members, ensure_ascii=False).encode("utf-8")


def check(raw: bytes) -> None:
    requests = [request for count in range(STREAMS + 2) if (request := hear(raw, count)) is not None]
    assert len(requests) <= 1, "by the number of descriptors that it takes, and by no other"
    for request in requests:
        assert len(raw) <= MESSAGE_BYTES
        written, count = write_request(request)
        assert read_request(render(written), count) == request
    try:
        told = read_told(raw, 0)
    except PeerError:
        return
    assert not requests, "no packet of one direction is one of the other"
    assert read_told(render(write_told(told)), 0) == told
    assert len(raw) <= MESSAGE_BYTES


def hear(raw: bytes, descriptors: int) -> Request | None:
    try:
        return read_request(raw, descriptors)
    except PeerError:
        return None


if __name__ == "__main__":
    fuzz(check, "session")
