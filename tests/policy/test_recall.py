"""Attempts decided again from their receipts' members."""

from __future__ import annotations

from typing import Any

import pytest
from tests.policy.specimens import make_policy

from trio_egress.model import NO_NEEDS, Attempt, Name, Need, Protocol, Transport
from trio_egress.policy.load import load_policy
from trio_egress.policy.recall import (
    CHANGED,
    NAMES_CHARS,
    NAMES_LEFT_OUT,
    Difference,
    decide_again,
    read_able,
    recall_attempt,
)

FACTS: dict[str, Any] = {
    "host": "a.example",
    "port": 80,
    "proto": "http",
    "rule": "egress[0] 'a.example' (line 1)",
}
RECORD: dict[str, Any] = {
    "transport": "transparent",
    "target": "http://a.example:80/p",
    "method": "GET",
    "verdict": "allow",
    "layer": "rule",
    "decision_phase": "intent",
}


def again(
    policy: list[dict[str, Any]], facts: dict[str, Any] | None = None, **record: Any
) -> Difference | None:
    return decide_again(
        make_policy(*policy), {**RECORD, **record}, {**FACTS, **(facts or {})}, frozenset({Need.METER})
    )


def test_an_attempt_is_what_its_receipt_says() -> None:
    facts = {"query": ["a", "\\xe9\\\\"], "headers": ["host"], "service": "git-upload-pack", "body_bytes": 5}
    facts |= {"method_overrides": ["?", "PUT"]}
    assert recall_attempt(RECORD, {**FACTS, **facts, "websocket": True, "calls": []}) == Attempt(
        Transport.TRANSPARENT,
        Protocol.HTTP,
        Name("a.example"),
        80,
        "GET",
        "/p",
        websocket=True,
        query=frozenset({"a", "é\\"}),
        headers=frozenset({"host"}),
        service="git-upload-pack",
        body_bytes=5,
        calls=(),
        overrides=frozenset({"?", "PUT"}),
    )
    tls = {"transport": "connect", "target": "tls://[2001:db8::1]:443"}
    attempt = recall_attempt(tls, {"host": "2001:db8::1", "port": 443, "proto": "tls"})
    assert attempt is not None
    assert (attempt.method, attempt.path, attempt.query, attempt.calls) == (None, None, None, None)


@pytest.mark.parametrize(
    ("record", "facts"),
    [
        ({"transport": "receipt_session"}, {}),
        ({"target": 5}, {}),
        ({"target": "http://a.example:80/ppp...(12 more)"}, {}),
        ({}, {"proto": "quic"}),
        ({}, {"host": None}),
        ({}, {"host": "a b"}),
        ({}, {"port": "80"}),
        ({}, {"port": True}),
        ({}, {NAMES_LEFT_OUT: True}),
    ],
)
def test_what_is_told_in_part_is_no_attempt(record: dict[str, Any], facts: dict[str, Any]) -> None:
    assert recall_attempt({**RECORD, **record}, {**FACTS, **facts}) is None
    assert again([{"ports": [1]}], facts, **record) is None


def test_what_the_policy_says_too_is_no_difference() -> None:
    assert again([{}]) is None
    assert again([{"methods": ["PUT"]}], verdict="block", layer="method", decision_phase="") is None
    assert again([{"query": ["a"]}], {"query": ["a"]}) is None
    denied: dict[str, Any] = {"verdict": "block", "layer": "default_deny", "decision_phase": ""}
    assert again([{"destination": "b.example"}], {"rule": None}, **denied) is None


@pytest.mark.parametrize(
    ("policy", "facts", "expected"),
    [
        ([{"methods": ["PUT"]}], {}, "block method egress[0]"),
        ([{"query": ["a"]}], {"query": ["b"]}, "block query egress[0]"),
        ([{"destination": "b.example"}], {}, "block default_deny no rule"),
        ([{}, {"deny": True}], {}, "block deny_rule egress[1]"),
        ([{"destination": "b.example"}, {}], {}, "allow rule egress[1]"),
        ([{"scan": True}], {}, "block interception egress[0]"),
        ([{"times": ["Mon 00:00-24:00 UTC"]}], {"judged_us": 0}, "block time egress[0]"),
    ],
)
def test_what_the_policy_says_otherwise_is_a_difference(
    policy: list[dict[str, Any]], facts: dict[str, Any], expected: str
) -> None:
    assert again(policy, facts) == Difference("allow rule egress[0]", expected)


def test_time_and_ability_are_those_of_the_receipt() -> None:
    assert again([{"times": ["Thu 00:00-24:00 UTC"]}], {"judged_us": 0}) is None
    assert again([{"limits": {"connections": 1}}]) is None


def test_what_was_not_asked_of_the_policy_is_not_decided_again() -> None:
    nothing: list[dict[str, Any]] = [{"destination": "b.example"}]
    assert again(nothing, decision_phase="outcome") is None
    assert again(nothing, layer="observe") is None
    facts = {key: value for key, value in FACTS.items() if key != "rule"}
    malformed = {**RECORD, "layer": "malformed", "verdict": "block"}
    assert decide_again(make_policy(), malformed, facts, NO_NEEDS) is None


def test_what_was_allowed_without_a_rule_is_a_difference() -> None:
    facts = {key: value for key, value in FACTS.items() if key != "rule"}
    found = decide_again(make_policy({}), RECORD, facts, NO_NEEDS)
    assert found == Difference("allow rule no rule", "allow rule egress[0]")


def test_a_receipt_has_its_words_and_its_bounds() -> None:
    assert (NAMES_LEFT_OUT, NAMES_CHARS) == ("names_left_out", 1500)


def test_an_outcome_without_a_phase_is_decided_again_by_its_rule_or_by_the_lack_of_one() -> None:
    record = {key: value for key, value in RECORD.items() if key != "decision_phase"}
    assert decide_again(make_policy({"methods": ["PUT"]}), record, FACTS, NO_NEEDS) is not None
    facts = {key: value for key, value in FACTS.items() if key != "rule"}
    denied = {**record, "verdict": "block", "layer": "default_deny"}
    assert decide_again(make_policy({}), denied, facts, NO_NEEDS) == Difference(
        "block default_deny no rule", "allow rule egress[0]"
    )


def test_names_that_are_no_escapes_are_read_as_they_are() -> None:
    attempt = recall_attempt(RECORD, {**FACTS, "query": ["é", "\\xe9é"]})
    assert attempt is not None
    assert attempt.query == frozenset({"é", "é?"})


@pytest.mark.parametrize("name", ["\\", "\\x", "\\x9", "\\N{NO SUCH NAME}", "\\U99999999", "\\ud800"])
def test_no_name_raises(name: str) -> None:
    attempt = recall_attempt(RECORD, {**FACTS, "query": [name], "headers": [name, "x"]})
    assert attempt is not None
    assert attempt.query in (frozenset({name}), frozenset({"\ud800"}))


def test_a_denial_by_limits_stands_only_where_there_are_some() -> None:
    used: dict[str, Any] = {"verdict": "block", "layer": "limit", "decision_phase": ""}
    assert again([{"limits": {"connections": 1}}], **used) is None
    assert again([{}], **used) == Difference("block limit egress[0]", "allow rule egress[0]")
    assert again([{"limits": {"connections": 1}, "methods": ["PUT"]}], **used) is not None
    # The first rule was used up, so the second one allowed it.
    two: list[dict[str, Any]] = [{"limits": {"connections": 1}}, {"limits": {"connections": 2}}]
    assert again(two, {"rule": "egress[1] …"}) is None


def test_a_tunnel_for_some_request_is_decided_as_that() -> None:
    asked: dict[str, Any] = {"transport": "connect", "method": "", "target": "http://a.example:80"}
    assert again([{"paths": ["/a"]}], **asked) is None
    assert again([{"ports": [81]}], **asked) is not None


def test_abilities_are_read_as_far_as_they_are_known() -> None:
    assert read_able({"able": ["meter", "magic", 5, {}, ["meter"]]}) == {Need.METER}
    assert read_able({}) == read_able({"able": "meter"}) == NO_NEEDS


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ([], None),
        (["[token:0123]"], None),
        (["[token:0123]", "[other:0123]"], "the secret other put in"),
        (["[strange:0123]"], "the secret strange put in"),
    ],
)
def test_a_secret_that_was_put_in_where_the_policy_does_not_send_it_is_a_difference(
    told: list[str], found: str | None
) -> None:
    tables = "".join(
        f'[[secret]]\nname = "{name}"\nfrom = {{ env = "{name}" }}\n{to}'
        for name, to in (("token", 'to = ["a.example"]\n'), ("other", 'to = ["b.example"]\n'))
    )
    rules = "".join(f'[[egress]]\ndestination = "{host}.example"\n' for host in "ab")
    policy = load_policy(f'version = "1.0"\ndefault_deny = true\n{rules}{tables}', "f.toml")
    difference = decide_again(policy, RECORD, {**FACTS, "secrets_used": told}, frozenset({Need.METER}))
    assert (None if difference is None else difference.found) == found


TABLE = '[upstream]\nproxy = "http://corp:3128"\nno_proxy = ["b.example"]\n'


@pytest.mark.parametrize(
    ("table", "host", "via", "expected"),
    [
        (TABLE, "a.example", "corp:3128", None),
        (TABLE, "b.example", None, None),
        ("", "a.example", None, None),
        (TABLE, "a.example", None, "dialled by corp:3128"),
        (TABLE, "a.example", "other:1", "dialled by corp:3128"),
        (TABLE, "b.example", "corp:3128", "dialled by no proxy"),
        ("", "a.example", "corp:3128", "dialled by no proxy"),
    ],
)
def test_what_was_dialled_went_out_as_the_policy_says(
    table: str, host: str, via: str | None, expected: str | None
) -> None:
    policy = load_policy(f'version = "1.0"\ndefault_deny = true\n{table}', "f.toml")
    facts = {**FACTS, "host": host, "dialled": "10.0.0.1:3128", **({} if via is None else {"via": via})}
    record = {**RECORD, "decision_phase": "outcome", "target": f"http://{host}:80/p"}
    found = decide_again(policy, record, facts, NO_NEEDS)
    told = f"dialled by {via or 'no proxy'}"
    assert found == (None if expected is None else Difference(told, expected))
    facts.pop("dialled")
    assert decide_again(policy, record, facts, NO_NEEDS) is None, "what was never dialled went nowhere"


PINNED, OTHER = (f"SHA256:{letter * 42}A" for letter in "AB")
SSH = {"protocol": "ssh", "host_keys": [PINNED]}
LET, REFUSED = ("a server with the host key {} let through", "a server with the host key {} refused")


@pytest.mark.parametrize(
    ("rule", "key", "layer", "difference"),
    [
        (SSH, PINNED, "rule", None),
        (SSH, OTHER, "host_key", None),
        (SSH, None, "host_key", None),
        (SSH, OTHER, "rule", Difference(LET.format(OTHER), REFUSED.format(OTHER))),
        (SSH, PINNED, "host_key", Difference(REFUSED.format(PINNED), LET.format(PINNED))),
        ({"protocol": "ssh"}, OTHER, "rule", None),
        ({"protocol": "http"}, OTHER, "rule", None),
    ],
)
def test_which_host_keys_were_let_through_is_held_against_the_pins(
    rule: dict[str, Any], key: str | None, layer: str, difference: Difference | None
) -> None:
    facts = {**FACTS, "port": 22, "proto": "ssh", "dialled": "192.0.2.7:22", "host_key": key}
    record = {**RECORD, "target": "ssh://a.example:22", "decision_phase": "outcome", "layer": layer}
    policy, able = make_policy(rule), frozenset({Need.HOST_KEY})
    assert decide_again(policy, record, facts, able) == difference
    changed = {**facts, "reason": f"{CHANGED}: no rule allows it"}
    assert decide_again(policy, record, changed, able) is None
    assert decide_again(policy, {**record, "target": 1}, facts, able) is None
