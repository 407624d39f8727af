"""Colour: at a terminal that can, unless somebody said otherwise."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from trio_egress.cli.paint import is_coloured

XTERM = {"TERM": "xterm-256color"}


@pytest.mark.parametrize(
    ("environment", "at_terminal", "elsewhere"),
    [
        (XTERM, True, False),
        ({}, False, False),
        ({"TERM": "dumb"}, False, False),
        ({**XTERM, "NO_COLOR": "1"}, False, False),
        ({**XTERM, "NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"TERM": "dumb", "FORCE_COLOR": "3"}, True, True),
        ({**XTERM, "FORCE_COLOR": "0"}, True, False),
        ({**XTERM, "FORCE_COLOR": ""}, True, False),
        ({**XTERM, "FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
    ],
)
def test_who_asked_for_what_gets_it(
    environment: Mapping[str, str], at_terminal: bool, elsewhere: bool
) -> None:
    leader, follower = os.openpty()
    read, write = os.pipe()
    with os.fdopen(follower, "w") as terminal, os.fdopen(write, "w") as pipe:
        assert is_coloured(terminal, environment) is at_terminal
        assert is_coloured(pipe, environment) is elsewhere
    os.close(leader)
    os.close(read)
