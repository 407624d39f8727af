"""Decisions about attempts."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.model import Attempt, Decision, Endpoint, Layer, Name, Protocol, RuleRef, Transport, Upstream
from trio_egress.policy.destination import parse_destination
from trio_egress.policy.engine import decide
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Pin, Policy, Resolve, Rule, Terms

POLICY = load_policy(
    """\
version = "1.0"
default_deny = true
[[egress]]
destination = "api.example.com"
methods = ["GET", "HEAD"]
[[egress]]
destination = "*.example.org"
[[egress]]
destination = "git.example.com:22"
[[egress]]
destination = "10.0.0.0/8"
[[egress]]
destination = "10.20.0.0/16"
allow_private = true
[[egress]]
destination = "1.1.1.1"
[resolve]
"pinned.example.org:443" = "127.0.0.1:8443"
""",
    "agent.toml",
)


def attempt(protocol: Protocol, host: str, port: int, method: str | None = None) -> Attempt:
    return Attempt(Transport.TRANSPARENT, protocol, parse_host(host), port, method)


def judge(protocol: Protocol, host: str, port: int, method: str | None = None) -> Decision:
    return decide(POLICY, attempt(protocol, host, port, method))


def test_an_allowed_attempt_names_its_rule_and_where_it_may_go() -> None:
    ref = RuleRef(0, "api.example.com", 3)
    assert judge(Protocol.HTTP, "api.example.com", 80, "GET") == Decision(
        allowed=True,
        layer=Layer.RULE,
        reason="egress[0] 'api.example.com' (line 3) allows it",
        rule=ref,
        upstream=Upstream(Name("api.example.com"), 80),
    )


def test_a_pin_stands_in_the_upstream() -> None:
    upstream = judge(Protocol.TLS, "pinned.example.org", 443).upstream
    assert upstream is not None
    assert upstream.pin == Endpoint(ip_address("127.0.0.1"), 8443)


INTERNAL = load_policy(
    """\
version = "1.0"
default_deny = true
[[egress]]
destination = "host.internal:5432"
[[egress]]
destination = "*.internal:6379"
""",
    "agent.toml",
)


def test_the_loopback_of_the_host_is_reached_by_name_on_the_port_of_its_rule() -> None:
    decision = decide(INTERNAL, attempt(Protocol.TCP, "host.internal", 5432))
    assert decision.upstream == Upstream(Name("host.internal"), 5432, loopback=True)
    assert decide(INTERNAL, attempt(Protocol.DNS, "host.internal", 0)).allowed


@pytest.mark.parametrize(
    ("host", "port"), [("host.internal", 5433), ("host.internal", 6379), ("127.0.0.1", 5432), ("::1", 5432)]
)
def test_no_other_port_of_the_host_is_reached_and_no_wildcard_opens_one(host: str, port: int) -> None:
    assert not decide(INTERNAL, attempt(Protocol.TCP, host, port)).allowed


def test_a_name_beside_that_of_the_loopback_leads_to_no_loopback() -> None:
    upstream = decide(INTERNAL, attempt(Protocol.TCP, "db.internal", 6379)).upstream
    assert upstream == Upstream(Name("db.internal"), 6379)


def test_a_pin_allows_nothing_by_itself() -> None:
    policy = load_policy(
        'version = "1.0"\ndefault_deny = true\n[resolve]\n"a.example" = "127.0.0.1"\n', "agent.toml"
    )
    assert not decide(policy, attempt(Protocol.TLS, "a.example", 443)).allowed


def test_a_pinned_address_is_not_checked_for_its_range() -> None:
    rule = Rule(RuleRef(0, "10.0.0.1", 1), Terms(destination=parse_destination("10.0.0.1")))
    pin = Pin(ip_address("10.0.0.1"), None, ip_address("127.0.0.1"), None)
    asked = attempt(Protocol.TLS, "10.0.0.1", 443)
    assert decide(Policy((rule,)), asked).layer is Layer.ADDRESS
    assert decide(Policy((rule,), Resolve((pin,))), asked).allowed


def test_a_denial_at_a_pinned_address_is_not_about_its_range() -> None:
    terms = Terms(destination=parse_destination("10.0.0.1"), methods=frozenset({"GET"}))
    pin = Pin(ip_address("10.0.0.1"), None, ip_address("127.0.0.1"), None)
    asked = attempt(Protocol.HTTP, "10.0.0.1", 80, "POST")
    assert decide(build([terms]), asked).layer is Layer.ADDRESS
    assert decide(build([terms], [pin]), asked).layer is Layer.METHOD


@pytest.mark.parametrize(
    ("protocol", "host", "port", "method", "layer", "rule"),
    [
        (Protocol.HTTP, "api.example.com", 80, "POST", Layer.METHOD, 0),
        (Protocol.HTTP, "api.example.com", 80, "CONNECT", Layer.METHOD, 0),
        (Protocol.TLS, "api.example.com", 443, None, Layer.INTERCEPTION, 0),
        (Protocol.TCP, "api.example.com", 80, None, Layer.PROTOCOL, 0),
        (Protocol.TLS, "api.example.com", 8443, None, Layer.DEFAULT_DENY, 0),
        (Protocol.TLS, "10.1.1.1", 443, None, Layer.ADDRESS, 3),
        (Protocol.TLS, "example.org", 443, None, Layer.DEFAULT_DENY, 1),
        (Protocol.TLS, "evil.example", 443, None, Layer.DEFAULT_DENY, None),
        (Protocol.TLS, "8.8.8.8", 443, None, Layer.DEFAULT_DENY, None),
    ],
)
def test_a_denial_says_which_layer_and_which_rule_came_nearest(
    protocol: Protocol, host: str, port: int, method: str | None, layer: Layer, rule: int | None
) -> None:
    decision = judge(protocol, host, port, method)
    assert (decision.allowed, decision.layer, decision.upstream) == (False, layer, None)
    assert (None if decision.rule is None else decision.rule.index) == rule


@pytest.mark.parametrize(
    ("protocol", "method", "nearest"),
    [(Protocol.HTTP, "POST", 3), (Protocol.TLS, None, 3), (Protocol.TCP, None, 1)],
)
def test_of_several_rules_that_miss_the_nearest_is_named(
    protocol: Protocol, method: str | None, nearest: int
) -> None:
    put = frozenset({"PUT"})
    terms = [
        Terms(destination=parse_destination("10.0.0.1:22")),
        Terms(destination=parse_destination("10.0.0.1"), methods=put),
        Terms(destination=parse_destination("10.0.0.1")),
        Terms(destination=parse_destination("10.0.0.1"), methods=put, allow_private=True),
        Terms(destination=parse_destination("10.0.0.1"), methods=put, allow_private=True),
    ]
    decision = decide(build(terms), attempt(protocol, "10.0.0.1", 443, method))
    assert decision.rule is not None
    assert decision.rule.index == nearest


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("api.evil.example", "no rule allows api.evil.example:443"),
        ("2001:db8::1", "no rule allows [2001:db8::1]:443"),
        (
            "example.org",
            "no rule allows example.org:443: egress[1] '*.example.org' (line 6) allows only the names below it",
        ),
    ],
)
def test_a_host_that_no_rule_names_is_denied_by_default(host: str, reason: str) -> None:
    assert judge(Protocol.TLS, host, 443).reason == reason


def test_a_denial_by_a_rule_says_what_it_allows() -> None:
    decision = judge(Protocol.HTTP, "api.example.com", 80, "POST")
    assert decision.reason == "egress[0] 'api.example.com' (line 3) allows GET, HEAD, not POST"


def test_among_rules_that_allow_the_one_that_reaches_private_addresses_decides() -> None:
    decision = judge(Protocol.TLS, "10.20.0.1", 443)
    assert (decision.allowed, decision.rule) == (True, RuleRef(4, "10.20.0.0/16", 12))
    assert decision.upstream == Upstream(ip_address("10.20.0.1"), 443, allow_private=True)


def test_among_equal_rules_the_first_in_the_file_decides() -> None:
    # The index finds the exact host before the wildcard; the file has them the other way round.
    rules = [
        Rule(RuleRef(0, "*.a.example", 1), Terms(destination=parse_destination("*.a.example"))),
        Rule(RuleRef(1, "b.a.example", 2), Terms(destination=parse_destination("b.a.example"))),
        Rule(RuleRef(2, "b.a.example", 3), Terms(destination=parse_destination("b.a.example"))),
    ]
    for protocol, port in ((Protocol.TLS, 443), (Protocol.TLS, 1), (Protocol.DNS, 0)):
        decision = decide(Policy(tuple(rules)), attempt(protocol, "b.a.example", port))
        assert decision.rule == rules[0].ref


@pytest.mark.parametrize("private_place", [0, 1, 2])
def test_a_rule_that_reaches_private_addresses_decides_wherever_it_stands(private_place: int) -> None:
    a_example = parse_destination("a.example")
    terms = [Terms(destination=a_example, allow_private=place == private_place) for place in range(3)]
    decision = decide(build(terms), attempt(Protocol.TLS, "a.example", 443))
    assert decision.rule == RuleRef(private_place, "a.example", private_place + 1)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("api.example.com", "egress[0] 'api.example.com' (line 3) allows the name"),
        ("deep.down.example.org", "egress[1] '*.example.org' (line 6) allows the name"),
        ("git.example.com", "egress[2] 'git.example.com:22' (line 8) allows the name"),
    ],
)
def test_a_name_may_be_asked_for_if_some_rule_could_allow_it(host: str, reason: str) -> None:
    decision = judge(Protocol.DNS, host, 0)
    assert (decision.allowed, decision.reason, decision.upstream) == (True, reason, None)


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("secret.evil.example", "no rule allows secret.evil.example"),
        (
            "example.org",
            "no rule allows example.org: egress[1] '*.example.org' (line 6) allows only the names below it",
        ),
        ("1.1.1.1", "1.1.1.1 is an address, not a name to look up"),
    ],
)
def test_a_name_that_no_rule_could_allow_is_not_asked_for(host: str, reason: str) -> None:
    decision = judge(Protocol.DNS, host, 0)
    assert (decision.allowed, decision.layer, decision.reason) == (False, Layer.DEFAULT_DENY, reason)


def test_an_empty_policy_allows_nothing() -> None:
    for protocol in Protocol:
        assert not decide(Policy(), attempt(protocol, "a.example", 443, "GET")).allowed


# From here on: what holds for any policy and any attempt.

_NAMES = ["a.example", "b.a.example", "c.b.a.example", "example"]
_ADDRESSES = ["1.1.1.1", "10.1.2.3", "2606:4700::1", "::1"]
_TEXTS = [
    *_NAMES,
    *(f"*.{name}" for name in _NAMES),
    *(f"{name}:8443" for name in _NAMES),
    *_ADDRESSES,
    "10.1.2.3:80",
    "[::1]:443",
    "0.0.0.0/0",
    "10.0.0.0/8",
    "::/0",
]
_TERMS = st.builds(
    Terms,
    destination=st.sampled_from(_TEXTS).map(parse_destination),
    methods=st.none() | st.sets(st.sampled_from(["GET", "POST"]), min_size=1).map(frozenset),
    allow_private=st.booleans(),
)
_PINS = st.lists(
    st.builds(
        Pin,
        host=st.sampled_from([*_NAMES, *_ADDRESSES]).map(parse_host),
        port=st.none() | st.just(443),
        address=st.just(ip_address("127.0.0.1")),
        address_port=st.none() | st.just(8443),
    ),
    max_size=2,
    unique_by=lambda pin: pin.target,
)
_ATTEMPTS = st.builds(
    Attempt,
    transport=st.sampled_from(Transport),
    protocol=st.sampled_from(Protocol),
    host=st.sampled_from([*_NAMES, *_ADDRESSES]).map(parse_host),
    port=st.sampled_from([0, 22, 80, 443, 8443]),
    method=st.none() | st.sampled_from(["GET", "POST", "CONNECT", "get"]) | st.text(max_size=3),
)


def build(terms: Sequence[Terms], pins: Sequence[Pin] = ()) -> Policy:
    rules = [Rule(RuleRef(place, str(each.destination), place + 1), each) for place, each in enumerate(terms)]
    return Policy(tuple(rules), Resolve(tuple(pins)))


def reach(decision: Decision) -> tuple[bool, bool]:
    """What a decision opens: anything at all, and private addresses."""
    return decision.allowed, decision.upstream is not None and decision.upstream.allow_private


@given(st.lists(_TERMS, max_size=5), _PINS, _ATTEMPTS)
def test_every_attempt_gets_a_whole_decision(terms: list[Terms], pins: list[Pin], asked: Attempt) -> None:
    policy = build(terms, pins)
    decision = decide(policy, asked)
    assert decision == decide(policy, asked)
    assert decision.reason.isprintable()
    assert (decision.upstream is not None) is (decision.allowed and asked.protocol is not Protocol.DNS)
    assert decision.allowed is (decision.layer is Layer.RULE)
    assert decision.rule is not None or not decision.allowed


@given(st.lists(_TERMS, max_size=4), _TERMS, st.integers(0, 4), _PINS, _ATTEMPTS)
def test_a_further_rule_never_denies_more(
    terms: list[Terms], further: Terms, place: int, pins: list[Pin], asked: Attempt
) -> None:
    before = reach(decide(build(terms, pins), asked))
    after = reach(decide(build([*terms[:place], further, *terms[place:]], pins), asked))
    assert before <= after
    assert before[1] <= after[1]


@given(st.permutations(range(4)), st.lists(_TERMS, min_size=4, max_size=4), _PINS, _ATTEMPTS)
def test_the_order_of_rules_never_changes_what_is_reached(
    order: list[int], terms: list[Terms], pins: list[Pin], asked: Attempt
) -> None:
    shuffled = build([terms[place] for place in order], pins)
    assert reach(decide(shuffled, asked)) == reach(decide(build(terms, pins), asked))


@given(st.lists(_TERMS, max_size=5), _PINS, _ATTEMPTS)
def test_an_allowed_connection_is_to_a_name_that_may_be_asked_for(
    terms: list[Terms], pins: list[Pin], asked: Attempt
) -> None:
    policy = build(terms, pins)
    if isinstance(asked.host, str) and decide(policy, asked).allowed:
        assert decide(policy, Attempt(Transport.DNS, Protocol.DNS, asked.host, 0)).allowed


@given(st.lists(_TERMS, max_size=5), _PINS, _ATTEMPTS)
def test_a_policy_allows_what_one_of_its_rules_alone_allows(
    terms: list[Terms], pins: list[Pin], asked: Attempt
) -> None:
    alone = [reach(decide(build([each], pins), asked)) for each in terms]
    assert decide(build(terms, pins), asked).allowed is any(allowed for allowed, _ in alone)
