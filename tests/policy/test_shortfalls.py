"""What a policy needs and doesn't get, said beforehand."""

from __future__ import annotations

from typing import Any

import pytest
from tests.policy.specimens import make_policy

from trio_egress.model import NO_NEEDS, Need
from trio_egress.policy.shortfalls import find_shortfalls

TLS = "needs TLS interception, which this version can't do: it allows no TLS"
SCAN = "a scan of what is sent"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, []),
        ({"name": "x", "ports": [80, 443]}, []),
        ({"methods": ["GET"]}, [TLS]),
        ({"methods": ["GET"], "protocol": "http"}, []),
        ({"paths": ["/a"], "times": ["Mon 00:00-24:00 UTC"]}, [TLS]),
        ({"tls": "passthrough"}, []),
        ({"deny": True, "paths": ["/a"]}, []),
        (
            {"scan": True},
            [
                f"needs TLS interception and {SCAN}, which this version can't do: it allows no TLS",
                f"needs {SCAN}, which this version can't do: it allows no HTTP",
            ],
        ),
        (
            {"scan": True, "ports": [22]},
            [
                f"needs TLS interception and {SCAN}, which this version can't do: it allows no TLS",
                f"needs {SCAN}, which this version can't do: it allows no HTTP",
            ],
        ),
        (
            {"protocol": ["ws", "http"], "websocket": {"enabled": True}},
            ["needs WebSockets to be carried, which this version can't do: it allows no WebSocket"],
        ),
        (
            {"limits": {"connections": 1}},
            ["needs its `limits` to be counted, which this version can't do: it allows no TLS and no HTTP"],
        ),
    ],
)
def test_each_rule_is_told_what_it_does_not_allow_for_want_of_what(
    keys: dict[str, Any], said: list[str]
) -> None:
    found = list(find_shortfalls(make_policy(keys), NO_NEEDS))
    assert [shortfall.message for shortfall in found] == said
    assert {shortfall.rule.index for shortfall in found} <= {0}
    assert list(find_shortfalls(make_policy(keys), frozenset(Need))) == []
