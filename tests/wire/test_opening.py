"""The first word of a client of `trio-egress serve` is wholly understood, or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.errors import PeerError
from trio_egress.wire.opening import ALLOWED_MOST, OPENING_BYTES, Opening, read_opening

PLAIN: dict[str, object] = {
    "step": "open",
    "policy": None,
    "file": "p.toml",
    "allow": [],
    "environment": {},
    "timeout": None,
    "decides": False,
}


def read(descriptors: int = 1, **members: object) -> Opening:
    return read_opening(json.dumps({**PLAIN, **members}).encode(), descriptors)


def test_what_is_asked_for_is_read() -> None:
    assert read() == Opening(None, "p.toml", (), {}, None, False)
    asked = read(2, policy="x", file="q.yaml", allow=["a"], environment={"A": "b"}, timeout=5, decides=True)
    assert asked == Opening("x", "q.yaml", ("a",), {"A": "b"}, 5.0, True)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"step": "close"}, "an opening is an object with"),
        ({"more": 1}, "an opening is an object with"),
        ({"decides": 1}, "decides must be true or false"),
        ({"policy": 5}, "policy must be a text"),
        ({"policy": "a\0"}, "policy must be a text without NUL"),
        ({"file": "a/p.toml"}, "file must be a name"),
        ({"file": "p.txt"}, "file must be a name"),
        ({"file": "\n.toml"}, "file must be a name"),
        ({"file": "p" * 256 + ".toml"}, "file must be a name"),
        ({"allow": "a"}, "allow must be a list"),
        ({"allow": ["a"] * (ALLOWED_MOST + 1)}, "allow must be a list of at most"),
        ({"allow": [1]}, "allow must be a text"),
        ({"environment": []}, "environment must be an object"),
        ({"environment": {"A": 1}}, "a variable must be a text"),
        ({"environment": {"": "a"}}, "a name that no variable can have"),
        ({"environment": {"A=B": "a"}}, "a name that no variable can have"),
        ({"timeout": True}, "timeout must be a number"),
        ({"timeout": "5"}, "timeout must be a number"),
        ({"timeout": 0}, "timeout must be a positive number"),
        ({"timeout": 1e9}, "timeout must be a positive number"),
    ],
)
def test_what_is_anything_else_is_refused(members: dict[str, Any], told: str) -> None:
    with pytest.raises(PeerError, match=told):
        read(1, **members)


@pytest.mark.parametrize(("descriptors", "decides"), [(0, False), (2, False), (1, True), (3, True)])
def test_it_comes_with_just_the_descriptors_that_it_takes(descriptors: int, decides: bool) -> None:
    with pytest.raises(PeerError, match=f"{descriptors} descriptors"):
        read(descriptors, decides=decides)


def test_a_byte_more_than_the_most_is_refused() -> None:
    raw = json.dumps(PLAIN).encode()
    assert read_opening(raw + b" " * (OPENING_BYTES - len(raw)), 1)
    with pytest.raises(PeerError):
        read_opening(raw + b" " * (OPENING_BYTES - len(raw) + 1), 1)


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff", b"{", b'{"step": "open"}'])
def test_what_is_no_such_object_is_refused(raw: bytes) -> None:
    with pytest.raises(PeerError):
        read_opening(raw, 1)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    with pytest.raises(PeerError):
        read_opening(raw, 1)
