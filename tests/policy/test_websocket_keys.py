"""The keys of `websocket`: what they may say, what they come to, and whom they let in."""

from __future__ import annotations

from typing import Any

import pytest
from tests.policy.specimens import HOST, make_attempt, make_policy, make_request, make_rule

from trio_egress.errors import PolicyError
from trio_egress.fuzzing.policies import render_toml
from trio_egress.model import MessageTerms, Need, Protocol, Rate
from trio_egress.policy.compiled import parse_compiled, render_compiled
from trio_egress.policy.engine import decide
from trio_egress.policy.load import load_policy
from trio_egress.policy.moment import Moment
from trio_egress.policy.obstacle import find_needs
from trio_egress.policy.websocket_keys import READERS
from trio_egress.texts.faults import Faults

ALL_ABLE = Moment(able=frozenset(Need))
ORIGIN = "https://app.example.com"
EVERYTHING: dict[str, Any] = {
    "enabled": True,
    "frame_scan": False,
    "origins": [ORIGIN, "null"],
    "subprotocols": ["chat"],
    "binary": False,
    "message": "1 KiB",
    "messages": "9/second",
    "seconds": 60,
}
BAD: dict[str, list[object]] = {
    "origins": [
        [],
        ["app.example.com"],
        [f"{ORIGIN}/"],
        ["https://APP.example"],
        ["https://a b"],
        [1],
        ORIGIN,
    ],
    "subprotocols": [[], ["a b"], [""], "chat", ["a" * 201]],
    "binary": [1, "no"],
    "message": [0, "much", True],
    "messages": [9, "9", "9/fortnight", "0/second"],
    "seconds": [0, "1h", True],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD.items() for value in values])
def test_what_a_key_may_not_say_is_refused_by_its_name(key: str, value: object) -> None:
    with pytest.raises((ValueError, Faults)) as fault:
        READERS[key](value)
    told = fault.value
    said = " ".join(each.message for each in told.faults) if isinstance(told, Faults) else str(told)
    assert f"websocket.{key}" in said or "is no origin" in said or "is no subprotocol" in said


def test_a_slip_in_an_origin_is_named() -> None:
    with pytest.raises(Faults) as fault:
        READERS["origins"](["HTTPS://App.example.com/"])
    assert 'did you mean "https://app.example.com"?' in fault.value.faults[0].message


def test_all_of_it_comes_to_terms_and_survives_being_compiled() -> None:
    document = {
        "version": "1.0",
        "default_deny": True,
        "egress": [{"destination": HOST, "protocol": ["ws"], "websocket": EVERYTHING}],
    }
    policy = load_policy(render_toml(document), "agent.toml")
    attempt = make_request(websocket=True, origin=ORIGIN, subprotocols=frozenset({"chat"}))
    for each in (policy, parse_compiled(render_compiled(policy))):
        decision = decide(each, attempt, ALL_ABLE)
        assert decision.allowed
        assert decision.messages == MessageTerms(
            binary=False, message_bytes=1024, messages=Rate(9, "second"), seconds=60
        )
        assert "opening" in each.looks_at


ASKS = [
    ({"origins": [ORIGIN]}, {"origin": ORIGIN}, None),
    ({"origins": [ORIGIN]}, {"origin": "https://b.example"}, f"the origin {ORIGIN}, not another"),
    ({"origins": [ORIGIN]}, {}, f"the origin {ORIGIN}, not one without"),
    ({"subprotocols": ["a", "b"]}, {"subprotocols": frozenset({"a"})}, None),
    (
        {"subprotocols": ["a", "b"]},
        {"subprotocols": frozenset({"a", "c"})},
        "the subprotocols a, b, not others",
    ),
    ({"subprotocols": ["a"]}, {"subprotocols": frozenset()}, "the subprotocols a, not none"),
    ({"subprotocols": ["a"]}, {}, "the subprotocols a, not none"),
]


@pytest.mark.parametrize(("says", "asked", "reason"), ASKS)
def test_who_asks_and_what_for_is_judged(
    says: dict[str, Any], asked: dict[str, Any], reason: str | None
) -> None:
    policy = make_policy({"websocket": says})
    decision = decide(policy, make_request(websocket=True, **asked), ALL_ABLE)
    if reason is None:
        assert decision.allowed
    else:
        assert (decision.allowed, decision.layer.value) == (False, "header")
        assert reason in decision.reason
    assert decide(policy, make_request(), ALL_ABLE).allowed  # no WebSocket is asked for


@pytest.mark.parametrize("key", [key for key in EVERYTHING if key not in ("enabled", "frame_scan")])
def test_what_could_not_be_held_unseen_has_tls_opened(key: str) -> None:
    """Control: `enabled = true` has not."""
    tls = make_attempt(Protocol.TLS, 443)
    assert find_needs(make_rule(websocket={key: EVERYTHING[key]}), tls) == {Need.TLS}
    assert find_needs(make_rule(websocket={"enabled": True}), tls) == frozenset()
    document = {
        "version": "1.0",
        "default_deny": True,
        "egress": [{"destination": HOST, "tls": "passthrough", "websocket": {key: EVERYTHING[key]}}],
    }
    with pytest.raises(PolicyError, match="passthrough leaves unseen what `websocket` is about"):
        load_policy(render_toml(document), "agent.toml")


@pytest.mark.parametrize("key", [key for key in EVERYTHING if key not in ("enabled", "frame_scan")])
def test_no_bound_stands_where_there_are_no_websockets(key: str) -> None:
    document = {
        "version": "1.0",
        "default_deny": True,
        "egress": [{"destination": HOST, "websocket": {"enabled": False, key: EVERYTHING[key]}}],
    }
    with pytest.raises(PolicyError, match=f"`{key}` is for WebSockets"):
        load_policy(render_toml(document), "agent.toml")
