"""Rules that deny, rules that need something, and what no further rule can do: decisions by several rules at once."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import attrs
import pytest
from cattrs import BaseValidationError
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.policy.specimens import jsonrpc, make_attempt, make_policy, make_request

from trio_egress.model import Attempt, Layer, Name, Need, Protocol, RuleLimits, Upstream
from trio_egress.policy.budget import State, Usage
from trio_egress.policy.engine import decide, decide_some
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Pin, Policy, Resolve

HTTP, TLS, SSH, TCP, DNS = Protocol.HTTP, Protocol.TLS, Protocol.SSH, Protocol.TCP, Protocol.DNS
EVERY = Moment(able=frozenset(Need))
ALLOW: dict[str, Any] = {}
DENY: dict[str, Any] = {"deny": True}


def place_of(policy: Policy, attempt: Attempt, moment: Moment = EVERY) -> int | None:
    rule = decide(policy, attempt, moment).rule
    return None if rule is None else rule.index


@pytest.mark.parametrize(
    "rules", [(ALLOW, DENY), (DENY, ALLOW), (ALLOW, {**DENY, "destination": "*.example"})]
)
def test_a_rule_that_denies_wins_wherever_it_stands(rules: tuple[dict[str, Any], ...]) -> None:
    policy = make_policy(*rules)
    for attempt in (make_attempt(TLS, 443), make_request(), make_attempt(DNS, 0)):
        decision = decide(policy, attempt, EVERY)
        assert (decision.allowed, decision.layer) == (False, Layer.DENY_RULE)
        assert decision.rule is not None
        assert rules[decision.rule.index] is not ALLOW
        assert decision.line == decision.rule.index + 1


def test_the_surest_denial_is_named_and_of_equals_the_first() -> None:
    policy = make_policy(ALLOW, {**DENY, "paths": ["/a"]}, {**DENY, "protocol": ["https", "wss"]}, DENY)
    assert place_of(policy, make_attempt(TLS, 443)) == 2
    assert place_of(make_policy({**DENY, "ports": [1]}, {**DENY, "ports": [80]}, ALLOW), make_request()) == 1


def test_where_something_of_a_host_is_left_its_name_may_be_asked_for() -> None:
    policy = make_policy(ALLOW, {**DENY, "paths": ["/a"]})
    assert decide(policy, make_attempt(DNS, 0)).allowed


def test_tls_in_which_something_could_be_denied_is_opened_or_denied() -> None:
    policy = make_policy(ALLOW, {**DENY, "paths": ["/a"]})
    blind = decide(policy, make_attempt(TLS, 443))
    assert (blind.allowed, blind.layer, blind.line) == (False, Layer.INTERCEPTION, 2)
    assert blind.needs == {Need.TLS}
    seeing = decide(policy, make_attempt(TLS, 443), EVERY)
    assert (seeing.allowed, seeing.line, seeing.needs) == (True, 1, frozenset({Need.TLS}))


def test_tls_that_is_passed_through_opens_nothing_past_such_a_rule() -> None:
    passing = {"tls": "passthrough"}
    policy = make_policy(passing, {**DENY, "paths": ["/a"]})
    decision = decide(policy, make_attempt(TLS, 443), EVERY)
    assert (decision.allowed, decision.layer, decision.line) == (False, Layer.INTERCEPTION, 2)
    policy = make_policy(passing, {**DENY, "paths": ["/a"]}, ALLOW)
    assert place_of(policy, make_attempt(TLS, 443)) == 2


def test_a_body_in_which_something_could_be_denied_is_read_or_denied() -> None:
    policy = make_policy(ALLOW, {**DENY, "mcp": {"tools": ["delete"]}})
    unread = make_request(calls=None)
    assert decide(policy, unread).layer is Layer.INTERCEPTION
    assert decide(policy, unread, EVERY).needs == {Need.BODIES}
    assert decide(policy, make_request(calls=(jsonrpc("tools/call", "x"),))).needs == frozenset()
    assert (
        decide(policy, make_request(calls=(jsonrpc("tools/call", "delete"),)), EVERY).layer is Layer.DENY_RULE
    )


def test_what_no_rule_allows_is_told_as_that_and_not_as_something_that_could_be_denied() -> None:
    policy = make_policy({"ports": [22]}, {**DENY, "paths": ["/a"]})
    decision = decide(policy, make_attempt(TLS, 443), EVERY)
    assert (decision.layer, decision.line) == (Layer.DEFAULT_DENY, 1)
    nothing = decide(make_policy({**DENY, "paths": ["/a"]}), make_attempt(TLS, 443), EVERY)
    assert (nothing.layer, nothing.rule) == (Layer.DEFAULT_DENY, None)


def test_what_is_denied_by_address_is_avoided_by_whatever_name() -> None:
    deny_more = {**DENY, "destination": "1.1.1.1", "ports": [22]}
    policy = make_policy(
        ALLOW, {**DENY, "destination": "10.0.0.0/8"}, deny_more, {**DENY, "destination": "b.example"}
    )
    for attempt, rules in ((make_request(), [1]), (make_attempt(TLS, 443), [1])):
        upstream = decide(policy, attempt, EVERY).upstream
        assert upstream is not None
        assert [avoided.rule.index for avoided in upstream.avoided] == rules
        assert upstream.avoided[0].holds(ip_address("10.1.2.3"))
        assert not upstream.avoided[0].holds(ip_address("11.1.2.3"))
        assert not upstream.avoided[0].holds(ip_address("::1"))
    some = make_policy({"ports": [22]}, deny_more)
    upstream = decide(some, make_attempt(TCP, 22), EVERY).upstream
    assert upstream is not None
    assert upstream.avoided[0].holds(ip_address("1.1.1.1"))


def test_what_is_avoided_is_the_same_whatever_the_order_of_rules() -> None:
    denials = [
        {**DENY, "destination": "10.0.0.0/8"},
        {**DENY, "destination": "8.8.8.0/24"},
        {**DENY, "destination": "10.0.0.0/8", "ports": [80]},
    ]
    one, other = make_policy(ALLOW, *denials), make_policy(*denials[::-1], ALLOW)
    upstream = decide(one, make_request()).upstream
    assert upstream is not None
    assert upstream == decide(other, make_request()).upstream
    assert len(upstream.avoided) == 2


def test_an_address_that_is_allowed_avoids_nothing() -> None:
    policy = make_policy({"destination": "1.1.1.1"}, {**DENY, "destination": "10.0.0.0/8"})
    upstream = decide(policy, make_attempt(TLS, 443, "1.1.1.1"), EVERY).upstream
    assert upstream is not None
    assert upstream.avoided == ()


def test_among_rules_that_allow_the_one_that_asks_less_decides() -> None:
    scan, limited = {"scan": True}, {"limits": {"connections": 1}}
    assert place_of(make_policy(scan, ALLOW), make_request()) == 1
    assert place_of(make_policy(limited, scan, ALLOW), make_request()) == 2
    assert place_of(make_policy(limited, scan), make_request()) == 1
    assert place_of(make_policy({"ports": [80]}, {"ports": [80, 81]}), make_request()) == 0
    assert place_of(make_policy(scan, {**limited, "scan": True}), make_request()) == 0
    assert place_of(make_policy(ALLOW, {**scan, "allow_private": True}), make_request()) == 1


def test_a_rule_that_is_used_up_leaves_it_to_another() -> None:
    limited = {"limits": {"connections": 1}}
    moment = attrs.evolve(EVERY, state=State({0: Usage(open=1)}))
    decision = decide(make_policy(limited), make_request(), EVERY)
    assert decision.limits == RuleLimits(connections=1)
    assert decide(make_policy(limited), make_request(), moment).layer is Layer.LIMIT
    assert place_of(make_policy(limited, {"limits": {"connections": 2}}), make_request(), moment) == 1


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ([{"paths": ["/a"]}], True),
        ([{"protocol": "ws"}], True),
        ([{"protocol": "ssh"}], False),
        ([{"ports": [81]}], False),
        ([{"methods": ["GET"]}, {**DENY, "paths": ["/a"]}], True),
        ([ALLOW, {**DENY, "protocol": "http"}], False),
        ([ALLOW, DENY], False),
        ([], False),
    ],
)
def test_some_request_could_be_allowed(rules: list[dict[str, Any]], allowed: bool) -> None:
    decision = decide_some(make_policy(*rules), make_attempt(TCP, 80))
    assert decision.allowed == allowed
    assert (decision.upstream is not None) == allowed


def test_of_rules_that_could_allow_a_request_one_that_reaches_more_is_named() -> None:
    policy = make_policy({"paths": ["/a"]}, {"paths": ["/b"], "allow_private": True})
    decision = decide_some(policy, make_attempt(TCP, 80))
    assert decision.upstream is not None
    assert (decision.line, decision.upstream.allow_private) == (2, True)


def test_what_says_that_some_request_could_be_allowed_says_where_it_leads() -> None:
    policy = make_policy({"destination": "host.internal:5432"}, {"paths": ["/a"]})
    decision = decide_some(policy, make_attempt(TCP, 5432, "host.internal"))
    assert decision.upstream == Upstream(Name("host.internal"), 5432, loopback=True)
    decision = decide_some(policy, make_attempt(TCP, 80))
    assert decision.upstream == Upstream(Name("a.example"), 80)
    assert decision.reason == "egress[1] 'a.example' (line 2) allows some requests"


def test_some_request_could_be_allowed_to_a_private_address_that_is_pinned() -> None:
    policy = make_policy({"destination": "10.0.0.1", "paths": ["/a"]})
    pin = Pin(ip_address("10.0.0.1"), None, ip_address("127.0.0.1"), None)
    asked = make_attempt(TCP, 80, "10.0.0.1")
    assert decide_some(policy, asked).layer is Layer.ADDRESS
    decision = decide_some(attrs.evolve(policy, resolve=Resolve((pin,))), asked)
    assert decision.upstream is not None
    assert decision.upstream.pin is not None


# whatever the rules

_MATCHERS: dict[str, Any] = {
    "destination": st.sampled_from(["a.example", "*.example", "b.a.example", "*.a.example", "10.0.0.0/8"]),
    "methods": st.sampled_from([["GET"], ["GET", "POST"]]),
    "paths": st.sampled_from([["/a/**"], ["/a/*", "/b"], ["/**"]]),
    "protocol": st.sampled_from(["http", "https", "ws", "wss", "ssh", ["http", "https"]]),
    "ports": st.sampled_from([[80], [22, 80, 443], ["1-65535"]]),
    "git": st.just({"fetch": ["*"], "push": ["x"]}),
    "mcp": st.just({"tools": ["x*"]}),
    "graphql": st.just({"queries": ["x"]}),
    "times": st.just(["Mon-Wed 00:00-24:00 UTC"]),
}
_MORE: dict[str, Any] = {
    "query": st.sampled_from([[], ["a"]]),
    "headers": st.sampled_from([{"required": ["x"]}, {"forbidden": ["x"]}]),
    "tls": st.sampled_from(["intercept", "passthrough"]),
    "scan": st.just(True),
    "websocket": st.sampled_from([{"enabled": True}, {"enabled": False}, {"frame_scan": True}]),
    "limits": st.sampled_from([{"connections": 1}, {"requests": "1/day"}, {"body": 5}]),
    "allow_private": st.booleans(),
}


def _rules(keys: dict[str, Any], **fixed: Any) -> st.SearchStrategy[dict[str, Any]]:
    made = st.fixed_dictionaries({name: st.just(value) for name, value in fixed.items()}, optional=keys)
    return made.filter(_is_sound)


def _is_sound(rule: dict[str, Any]) -> bool:
    try:
        make_policy(rule)
    except BaseValidationError:
        return False
    return True


_ALLOWING = _rules({**_MATCHERS, **_MORE})
_DENYING = _rules(_MATCHERS, deny=True)
_ATTEMPTS = st.builds(
    make_attempt,
    st.sampled_from([HTTP, TLS, SSH, TCP, DNS]),
    st.sampled_from([22, 80, 443, 8443]),
    st.sampled_from(["a.example", "b.a.example", "x.example", "10.1.2.3", "1.1.1.1"]),
    st.sampled_from(["GET", "POST", "PUT", "CONNECT", None]),
    path=st.sampled_from(["/a/x", "/b", "/a/../b", "/x/info/refs", "/A/x%2fy", None]),
    secure=st.booleans(),
    websocket=st.booleans(),
    query=st.sampled_from([None, frozenset(), frozenset({"a"}), frozenset({"b"})]),
    headers=st.sampled_from([None, frozenset({"host"}), frozenset({"x"})]),
    service=st.sampled_from([None, "git-upload-pack", "git-receive-pack"]),
    body_bytes=st.sampled_from([None, 0, 9]),
    calls=st.sampled_from([None, (), (jsonrpc("tools/call", "xy"),), (jsonrpc("a"),)]),
)
_MOMENTS = st.builds(
    Moment,
    st.sampled_from([State(), State({0: Usage(open=1, requests=1)})]),
    st.sampled_from([None, 0, 5 * 86_400_000_000]),
    st.frozensets(st.sampled_from(Need)),
)
_POLICIES = st.lists(_ALLOWING | _DENYING, max_size=5)


@given(_POLICIES, _ATTEMPTS, _MOMENTS)
def test_every_attempt_is_decided_and_always_alike(
    rules: list[dict[str, Any]], attempt: Attempt, moment: Moment
) -> None:
    decision = decide(make_policy(*rules), attempt, moment)
    assert decision == decide(make_policy(*rules), attempt, moment)
    assert decision.reason
    assert (decision.upstream is not None) == (decision.allowed and attempt.protocol is not DNS)
    assert (decision.layer is Layer.RULE) == decision.allowed
    if decision.allowed:
        assert decision.needs <= moment.able


@given(_POLICIES, _DENYING, _ATTEMPTS, _MOMENTS)
def test_a_further_denial_never_allows_more(
    rules: list[dict[str, Any]], denial: dict[str, Any], attempt: Attempt, moment: Moment
) -> None:
    assume(not decide(make_policy(*rules), attempt, moment).allowed)
    assert not decide(make_policy(*rules, denial), attempt, moment).allowed


@given(_POLICIES, _ALLOWING, _ATTEMPTS, _MOMENTS)
def test_a_further_rule_never_allows_less_and_its_removal_never_more(
    rules: list[dict[str, Any]], rule: dict[str, Any], attempt: Attempt, moment: Moment
) -> None:
    if decide(make_policy(*rules), attempt, moment).allowed:
        assert decide(make_policy(*rules, rule), attempt, moment).allowed


@given(_POLICIES, _ATTEMPTS, st.booleans(), st.randoms(use_true_random=False))
def test_the_order_of_rules_decides_nothing(
    rules: list[dict[str, Any]], attempt: Attempt, able: bool, chance: Any
) -> None:
    shuffled = list(rules)
    chance.shuffle(shuffled)
    moment = Moment(able=frozenset(Need) if able else frozenset())
    one, other = decide(make_policy(*rules), attempt, moment), decide(make_policy(*shuffled), attempt, moment)
    assert (one.allowed, one.needs if one.allowed else None) == (
        other.allowed,
        other.needs if one.allowed else None,
    )


@given(_POLICIES, _ATTEMPTS, _MOMENTS, st.sampled_from(Need))
def test_who_can_do_less_is_never_allowed_more(
    rules: list[dict[str, Any]], attempt: Attempt, moment: Moment, need: Need
) -> None:
    less = attrs.evolve(moment, able=moment.able - {need})
    if decide(make_policy(*rules), attempt, less).allowed:
        assert decide(make_policy(*rules), attempt, moment).allowed


@given(_POLICIES, _ATTEMPTS, _MOMENTS)
def test_what_is_allowed_in_the_clear_would_be_so_only_if_some_request_could_be(
    rules: list[dict[str, Any]], attempt: Attempt, moment: Moment
) -> None:
    asked = attrs.evolve(attempt, protocol=HTTP, secure=False)
    if decide(make_policy(*rules), asked, moment).allowed:
        plain = make_attempt(TCP, asked.port, str(asked.host))
        assert decide_some(make_policy(*rules), plain, moment).allowed
