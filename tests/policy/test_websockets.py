"""What the posture says of WebSockets: all are looked through, or not."""

from __future__ import annotations

from typing import Any

import pytest
from tests.policy.specimens import make_policy

from trio_egress.policy.websockets import scans_every_websocket

SCANS: dict[str, Any] = {"websocket": {"frame_scan": True}}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([SCANS], True),
        ([{"scan": True, "websocket": {"enabled": True}}], True),
        ([{"scan": True, "protocol": ["wss"]}], True),
        ([SCANS, {"methods": ["GET"]}], True),
        ([SCANS, {"protocol": "ssh"}], True),
        ([SCANS, {"deny": True}], True),
        ([], False),
        ([{"methods": ["GET"]}], False),
        ([{"websocket": {"enabled": True}}], False),
        ([{"protocol": "ws"}], False),
        ([SCANS, {}], False),
        ([SCANS, {"websocket": {"message": 1}}], False),
        ([SCANS, {"protocol": "tcp", "ports": [5432]}], False),
        ([SCANS, {"tls": "passthrough", "protocol": ["https"]}], False),
    ],
)
def test_a_posture_says_always_on_only_where_nothing_could_pass_unseen(
    rules: list[dict[str, Any]], expected: bool
) -> None:
    assert scans_every_websocket(make_policy(*rules)) is expected
