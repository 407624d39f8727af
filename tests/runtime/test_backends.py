"""Which back-end a sandbox has: what was asked for, or none."""

from __future__ import annotations

import pytest

from trio_egress.errors import SandboxError, UsageError
from trio_egress.runtime.backends import SOCKET_VARIABLE, USUAL_SOCKET, choose, find_socket

NAMED = {SOCKET_VARIABLE: "/run/s"}


@pytest.mark.parametrize(
    ("asked", "environ", "uid", "chosen"),
    [
        ("auto", {}, 0, "root"),
        ("auto", {}, 1000, "userns"),
        ("auto", NAMED, 1000, "helper"),
        ("auto", NAMED, 0, "helper"),
        ("userns", NAMED, 1000, "userns"),
        ("root", {}, 0, "root"),
        ("helper", {}, 1000, "helper"),
    ],
)
def test_it_is_what_was_asked_for(asked: str, environ: dict[str, str], uid: int, chosen: str) -> None:
    assert choose(asked, environ, uid) == chosen


def test_nothing_weaker_takes_its_place() -> None:
    with pytest.raises(SandboxError, match="'root': this program runs as uid 1000"):
        choose("root", {}, 1000)
    with pytest.raises(SandboxError, match="'userns': this program runs as root"):
        choose("userns", {}, 0)
    with pytest.raises(UsageError, match="backend must be one of"):
        choose("best", {}, 0)


def test_it_is_asked_where_the_variable_says() -> None:
    assert find_socket({}) == USUAL_SOCKET
    assert find_socket(NAMED) == "/run/s"
