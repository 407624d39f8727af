"""What a program may ask of its session's supervisor, and that nothing else is understood."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.errors import PeerError
from trio_egress.wire.session import Close, File, Kill, Signal, Spawn, read_request

SPAWN: dict[str, Any] = {
    "step": "spawn",
    "number": 1,
    "argv": ["sh", "-c", "true"],
    "directory": "sub",
    "environment": {"A": "b"},
    "timeout": None,
}


def render(members: object) -> bytes:
    return json.dumps(members).encode()


def test_a_command_is_asked_for_with_its_three_streams() -> None:
    assert read_request(render(SPAWN), 3) == Spawn(1, ("sh", "-c", "true"), "sub", {"A": "b"}, None)
    assert read_request(render({**SPAWN, "timeout": 2}), 3) == Spawn(
        1, ("sh", "-c", "true"), "sub", {"A": "b"}, 2
    )


@pytest.mark.parametrize(
    ("members", "descriptors", "request_"),
    [
        ({"step": "signal", "number": 7, "signal": 15}, 0, Signal(7, 15)),
        ({"step": "kill", "number": 7}, 0, Kill(7)),
        ({"step": "read", "number": 8, "path": "a"}, 0, File(8, "a", writes=False)),
        ({"step": "write", "number": 8, "path": "a"}, 1, File(8, "a", writes=True)),
        ({"step": "close"}, 0, Close()),
    ],
)
def test_so_is_all_else(members: dict[str, object], descriptors: int, request_: object) -> None:
    assert read_request(render(members), descriptors) == request_


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_with_other_descriptors_than_it_takes_it_is_refused(count: int) -> None:
    with pytest.raises(PeerError, match=f"{count} descriptors"):
        read_request(render(SPAWN), count)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"number": 0}, "number"),
        ({"number": True}, "number"),
        ({"argv": []}, "argv"),
        ({"argv": [""]}, "argv"),
        ({"argv": ["a\0b"]}, "argv"),
        ({"argv": "ls"}, "argv"),
        ({"directory": "\0"}, "directory"),
        ({"environment": {"A=B": "c"}}, "environment"),
        ({"environment": {"": "c"}}, "environment"),
        ({"environment": {"A": 1}}, "environment"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 1e300}, "timeout"),
        ({"timeout": "1"}, "timeout"),
        ({"step": "format"}, "no known kind"),
        ({"more": 1}, "not known"),
    ],
)
def test_what_can_not_be_meant_is_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(PeerError, match=message):
        read_request(render({**SPAWN, **changed}), 3)


@pytest.mark.parametrize("name", SPAWN)
def test_no_member_is_missing(name: str) -> None:
    with pytest.raises(PeerError, match=name):
        read_request(render({key: value for key, value in SPAWN.items() if key != name}), 3)


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(max_size=9), st.lists).map(render))
def test_no_other_bytes_are_a_request(raw: bytes) -> None:
    with pytest.raises(PeerError):
        read_request(raw, 0)
