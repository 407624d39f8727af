"""Anchors: a line each, which says a state of a log or nothing."""

from __future__ import annotations

import pytest

from trio_egress.evidence.anchor import Anchor, parse_anchors, render_anchor
from trio_egress.evidence.checkpoint import Checkpoint

STATE = Checkpoint("trio-egress/run/run-1", 8, bytes(range(32)))
LINE = render_anchor(Anchor(STATE, "ab" * 32, 1_800_000_000_500_000_000))


def test_a_line_says_the_state_and_the_time() -> None:
    assert LINE == (
        b'{"log":"trio-egress/run/run-1","root":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",'
        b'"size":8,"time":"2027-01-15T08:00:00.5Z"}\n'
    )
    assert list(parse_anchors(LINE)) == [(1, STATE)]


def test_a_torn_last_line_is_passed_over() -> None:
    for cut in range(2, len(LINE)):  # without its LF alone it is whole
        assert list(parse_anchors(LINE + LINE[:-cut])) == [(1, STATE)]


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"x",
        b"[]",
        b"\xff",
        LINE[:-3],
        LINE[:-1].replace(b'"size":8', b'"size":true'),
        LINE[:-1].replace(b'"size":8', b'"size":-8'),
        LINE[:-1].replace(b'"size":8', b'"size":"8"'),
        LINE[:-1].replace(b'"size":8', b'"size":8.0'),
        LINE[:-1].replace(b'"size":8', b'"size":' + b"9" * 20),
        LINE[:-1].replace(b'"000', b'"00'),
        LINE[:-1].replace(b"0a0b", b"0A0B"),
        LINE[:-1].replace(b'{"log"', b'{"more":1,"log"'),
        LINE[:-1].replace(b'"time"', b'"times"'),
        b"[" * 3000,
    ],
)
def test_any_other_line_says_nothing(bad: bytes) -> None:
    assert list(parse_anchors(LINE + bad + b"\n" + LINE)) == [(1, STATE), (3, STATE)]
