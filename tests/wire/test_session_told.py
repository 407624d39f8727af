"""What a program understands of its supervisor's packets, and that nothing else is understood."""

from __future__ import annotations

import json

import pytest

from trio_egress.errors import PeerError
from trio_egress.wire.session_told import (
    WORDS,
    Attempted,
    Closed,
    Exited,
    FileDone,
    NotStarted,
    Ready,
    Refused,
    read_told,
)

EXITED: dict[str, object] = {"step": "exited", "number": 1, "code": -9, "limit": "memory", "timed_out": True}
EVENT: dict[str, object] = {
    "step": "event",
    **dict.fromkeys(WORDS, "x"),
    **dict.fromkeys(("port", "count", "dropped", "dropped_denied"), 1),
}


def render(members: object) -> bytes:
    return json.dumps(members).encode()


@pytest.mark.parametrize(
    ("members", "descriptors", "told"),
    [
        ({"step": "ready"}, 0, Ready()),
        (EXITED, 0, Exited(1, -9, "memory", timed_out=True)),
        ({"step": "not_started", "number": 1, "errno": 2, "message": "m"}, 0, NotStarted(1, 2, "m")),
        ({"step": "file", "number": 1, "errno": 0, "error": ""}, 1, FileDone(1, 0, "")),
        ({"step": "file", "number": 1, "errno": 0, "error": ""}, 0, FileDone(1, 0, "")),
        ({"step": "refused", "kind": "UsageError", "message": "m"}, 0, Refused("UsageError", "m")),
        ({"step": "closed", "status": {"end": "x"}}, 1, Closed({"end": "x"})),
        ({"step": "closed", "status": None}, 0, Closed(None)),
        (EVENT, 0, Attempted(dict.fromkeys(WORDS, "x"), 1, 1, 1, 1)),
    ],
)
def test_each_is_what_it_says(members: object, descriptors: int, told: object) -> None:
    assert read_told(render(members), descriptors) == told


@pytest.mark.parametrize(
    ("members", "descriptors"),
    [
        ({"step": "ready"}, 1),
        ({"step": "ready", "number": 1}, 0),
        ({**EXITED, "code": -65}, 0),
        ({**EXITED, "code": True}, 0),
        ({**EXITED, "timed_out": 1}, 0),
        ({"step": "file", "number": 1, "errno": 2, "error": "none"}, 1),
        ({"step": "file", "number": 1, "errno": 0, "error": ""}, 2),
        ({"step": "file", "number": 1, "errno": -1, "error": ""}, 0),
        ({**EVENT, "port": -1}, 0),
        ({name: value for name, value in EVENT.items() if name != "rule"}, 0),
        ({"step": "closed"}, 0),
        ({"step": "closed", "status": 1}, 0),
        ([], 0),
    ],
)
def test_nothing_else_is_understood(members: object, descriptors: int) -> None:
    with pytest.raises(PeerError):
        read_told(render(members), descriptors)
