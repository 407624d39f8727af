"""The words of a denial, as people read them."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.policy.specimens import OTHER, graphql, jsonrpc, make_attempt, make_policy, make_request

from trio_egress.model import Attempt, Need, Protocol, RuleRef, Transport
from trio_egress.policy.budget import State, Usage
from trio_egress.policy.destination import parse_destination
from trio_egress.policy.engine import decide
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.moment import NO_MOMENT, Moment
from trio_egress.policy.obstacle import Obstacle
from trio_egress.policy.reasons import LISTED, METHOD_CHARS, WORD_CHARS, explain_obstacle, name_needs
from trio_egress.policy.rule import Rule, Terms

API = "api.example.com"
METHODS = frozenset({"HEAD", "GET"})


def rule(destination: str, methods: frozenset[str] | None = None) -> Rule:
    return Rule(
        RuleRef(2, destination, 9), Terms(destination=parse_destination(destination), methods=methods)
    )


def attempt(protocol: Protocol, port: int, method: str | None = None, host: str = API) -> Attempt:
    return Attempt(Transport.TRANSPARENT, protocol, parse_host(host), port, method)


@pytest.mark.parametrize(
    ("obstacle", "rule", "attempt", "sentence"),
    [
        (
            Obstacle.METHOD,
            rule(API, METHODS),
            attempt(Protocol.HTTP, 80, "POST"),
            "egress[2] 'api.example.com' (line 9) allows GET, HEAD, not POST",
        ),
        (
            Obstacle.METHOD,
            rule(API, METHODS),
            attempt(Protocol.HTTP, 80),
            "egress[2] 'api.example.com' (line 9) allows GET, HEAD, not a request without a method",
        ),
        (
            Obstacle.METHOD,
            rule(API, METHODS),
            attrs.evolve(attempt(Protocol.HTTP, 80, "GET"), overrides=frozenset({"HEAD", "PUT"})),
            (
                "egress[2] 'api.example.com' (line 9) allows GET, HEAD, "
                "not PUT, which a field asks for in place of GET"
            ),
        ),
        (
            Obstacle.TUNNEL,
            rule(API),
            attempt(Protocol.HTTP, 80, "CONNECT"),
            (
                "egress[2] 'api.example.com' (line 9) allows requests, not CONNECT: "
                "an upstream is not asked for a tunnel to somewhere else"
            ),
        ),
        (
            Obstacle.INTERCEPTION,
            rule(API, METHODS),
            attempt(Protocol.TLS, 443),
            (
                "egress[2] 'api.example.com' (line 9) restricts methods, which needs TLS interception, "
                "and there is none: a human can remove `methods` from the rule, to allow every request over TLS"
            ),
        ),
        (
            Obstacle.ADDRESS,
            rule("10.0.0.0/8"),
            attempt(Protocol.TLS, 443, host="10.1.2.3"),
            (
                "egress[2] '10.0.0.0/8' (line 9) leads only outside, and 10.1.2.3 is not (private (RFC 1918)): "
                "a human can add `allow_private = true` to the rule"
            ),
        ),
        (
            Obstacle.PROTOCOL,
            rule(API, METHODS),
            attempt(Protocol.TCP, 80),
            "egress[2] 'api.example.com' (line 9) restricts methods, so it allows HTTP, not TCP",
        ),
        (
            Obstacle.PROTOCOL,
            rule("*.example.com"),
            attempt(Protocol.TCP, 443),
            (
                "egress[2] '*.example.com' (line 9) names no port, so it allows HTTP on 80 and 443 and TLS on 443, "
                "not TCP on 443: a human can allow it with a rule for '*.example.com:443'"
            ),
        ),
        (
            Obstacle.PROTOCOL,
            rule("2001:db8::/32"),
            attempt(Protocol.TLS, 80, host="2001:db8::1"),
            (
                "egress[2] '2001:db8::/32' (line 9) names no port, so it allows HTTP on 80 and 443 and TLS on 443, "
                "not TLS on 80: a human can allow it with a rule for '[2001:db8::1]:80'"
            ),
        ),
        (
            Obstacle.PORT,
            rule(API),
            attempt(Protocol.TLS, 8443),
            "egress[2] 'api.example.com' (line 9) allows ports 80 and 443, not port 8443",
        ),
        (
            Obstacle.PORT,
            rule("api.example.com:22"),
            attempt(Protocol.TLS, 443),
            "egress[2] 'api.example.com:22' (line 9) allows port 22, not port 443",
        ),
    ],
)
def test_each_obstacle_is_one_sentence(
    obstacle: Obstacle, rule: Rule, attempt: Attempt, sentence: str
) -> None:
    assert explain_obstacle(obstacle, rule, attempt) == sentence


@given(st.text())
def test_a_method_of_the_agents_choice_is_repeated_only_when_short_and_printable(method: str) -> None:
    reason = explain_obstacle(Obstacle.METHOD, rule(API, METHODS), attempt(Protocol.HTTP, 80, method))
    assert reason.isprintable()
    assert len(reason) < 100 + METHOD_CHARS


def test_a_method_of_32_characters_is_the_longest_that_is_repeated() -> None:
    def said(method: str) -> str:
        return explain_obstacle(Obstacle.METHOD, rule(API, METHODS), attempt(Protocol.HTTP, 80, method))

    assert said("A" * 32).endswith("not " + "A" * 32)
    assert said("A" * 33).endswith("not another method")


def test_a_name_is_never_described_as_a_range() -> None:
    reason = explain_obstacle(Obstacle.ADDRESS, rule(API), attempt(Protocol.TLS, 443))
    assert "api.example.com is not (a name)" in reason


HTTP, TLS, TCP = Protocol.HTTP, Protocol.TLS, Protocol.TCP
SEEING = Moment(able=frozenset(Need))
FULL = Moment(State({0: Usage(1, 9, 9, 0, 9)}), 5, frozenset(Need))


@pytest.mark.parametrize(
    ("keys", "attempt", "moment", "sentence"),
    [
        ({"paths": ["/v1/**", "/b"]}, make_request("/c"), SEEING, "allows /b, /v1/**, not /c"),
        ({"paths": ["/a"]}, make_request("/" + "x" * 60), SEEING, "allows /a, not another path"),
        (
            {"paths": ["/a"]},
            make_request("/\x1b[1m"),
            SEEING,
            "allows only paths that can be read in one way, and the path has a control character",
        ),
        (
            {"paths": ["/a"]},
            make_request("/a/.."),
            SEEING,
            "allows only paths that can be read in one way, and the path has a dot segment",
        ),
        (
            {"paths": [f"/{n}" for n in range(12)]},
            make_request("/x"),
            SEEING,
            "allows /0, /1, /10, /11, /2, /3, /4, /5, /6, /7 and 2 more, not /x",
        ),
        (
            {"query": ["a"]},
            make_request(query=frozenset({"b", "a", "c\n"})),
            SEEING,
            "allows the query a, not b, another one",
        ),
        (
            {"query": []},
            make_request(query=frozenset({"b"})),
            SEEING,
            "allows the query no parameters, not b",
        ),
        (
            {"query": []},
            make_request(query=None),
            SEEING,
            "allows the query no parameters, and the query can't be seen",
        ),
        ({"headers": {"required": ["x"]}}, make_request(), SEEING, "allows only requests with the field x"),
        (
            {"headers": {"forbidden": ["host"]}},
            make_request(),
            SEEING,
            "allows no request with the field host",
        ),
        (
            {"headers": {"forbidden": ["host"]}},
            make_request(headers=None),
            SEEING,
            "is about header fields, which can't be seen",
        ),
        (
            {"git": {"fetch": ["a"]}},
            make_request("/x"),
            SEEING,
            "allows git alone, and this is no request of git's",
        ),
        (
            {"git": {"fetch": ["a"]}},
            make_request("/b/git-upload-pack", "POST"),
            SEEING,
            "doesn't allow git to fetch from b: a human can add it to `git.fetch`",
        ),
        (
            {"git": {"fetch": ["a"]}},
            make_request("/a/git-receive-pack", "POST"),
            SEEING,
            "doesn't allow git to push to a: a human can add it to `git.push`",
        ),
        (
            {"mcp": {"tools": ["a"]}},
            make_request(calls=(jsonrpc("tools/call", "b"),)),
            SEEING,
            "doesn't allow tools/call b: a human can add it to `mcp`",
        ),
        (
            {"graphql": {"queries": ["a"]}},
            make_request(calls=(graphql("query", "b", "c", name="N"), OTHER)),
            SEEING,
            "doesn't allow query N b c, other: a human can add it to `graphql`",
        ),
        (
            {"jsonrpc": {"methods": ["a"]}},
            make_request(),
            SEEING,
            "doesn't allow a request that calls nothing: a human can add it to `jsonrpc`",
        ),
        ({"times": ["Mon 08:00-09:00 UTC"]}, make_request(), SEEING, "holds only at Mon 08:00-09:00 UTC"),
        (
            {"limits": {"requests": "9/day"}},
            make_request(),
            FULL,
            "allows 9/day, and these are used up: a human can raise `limits.requests`",
        ),
        (
            {"limits": {"connections": 1}},
            make_request(),
            FULL,
            "allows 1 at once, and so many are open: a human can raise `limits.connections`",
        ),
        (
            {"websocket": {"enabled": False}},
            make_request(websocket=True),
            SEEING,
            "doesn't allow an upgrade to websocket: a human can add `websocket = { enabled = true }` to the rule",
        ),
        (
            {},
            make_request(websocket=True),
            NO_MOMENT,
            "doesn't allow an upgrade to websocket, and there is nothing here that could carry one",
        ),
        (
            {"tls": "intercept"},
            make_attempt(TLS, 443),
            NO_MOMENT,
            'says `tls = "intercept"`, and there is no TLS interception: a human can remove `tls` from the rule',
        ),
        (
            {"paths": ["/a"], "scan": True},
            make_attempt(TLS, 443),
            NO_MOMENT,
            (
                "restricts paths, scan, which needs TLS interception, and there is none: a human can remove `paths` "
                "and `scan` from the rule, to allow every request over TLS"
            ),
        ),
        (
            {"scan": True, "limits": {"body": 1}},
            make_request(),
            NO_MOMENT,
            (
                "needs a scan of what is sent and its `limits` to be counted, and there is none: a human can remove "
                "`limits` and `scan` from the rule"
            ),
        ),
        (
            {"protocol": "ws"},
            make_request(websocket=True),
            NO_MOMENT,
            "needs WebSockets to be carried, and there is none: a human can remove `protocol` from the rule",
        ),
        (
            {"paths": ["/a"], "ports": [80]},
            make_attempt(TCP, 80),
            SEEING,
            "restricts paths, so it allows HTTP, not TCP",
        ),
        ({"protocol": ["ws", "http"]}, make_request(secure=True), SEEING, "allows http, ws, not https on 80"),
        ({"protocol": "ssh", "ports": [22]}, make_attempt(TCP, 22), SEEING, "allows ssh, not TCP"),
        (
            {"tls": "passthrough"},
            make_request(secure=True),
            SEEING,
            "passes TLS through unseen, and this was seen",
        ),
        ({"ports": [22, "80-90"]}, make_attempt(TCP, 23), SEEING, "allows ports 22, 80-90, not port 23"),
        ({"ports": [22]}, make_attempt(TCP, 23), SEEING, "allows port 22, not port 23"),
        ({"protocol": ["ssh", "https"]}, make_attempt(TCP, 23), SEEING, "allows ports 22, 443, not port 23"),
    ],
)
def test_a_denial_says_what_is_allowed_and_what_was_tried(
    keys: dict[str, Any], attempt: Attempt, moment: Moment, sentence: str
) -> None:
    assert decide(make_policy(keys), attempt, moment).reason == f"egress[0] 'a.example' (line 1) {sentence}"


@pytest.mark.parametrize(
    ("keys", "attempt", "sentence"),
    [
        ({}, make_request(), "denies it"),
        ({"reason": "ask Eve"}, make_request(), "denies it: ask Eve"),
        ({"paths": ["/a"]}, make_request("/a"), "denies it"),
        (
            {"paths": ["/a"]},
            make_request("/./b"),
            "denies it because it could be one of its paths (the path has a dot segment)",
        ),
        ({"paths": ["/a"]}, make_attempt(TCP, 80), "denies it"),
        (
            {"methods": ["GET"], "protocol": ["https", "wss"]},
            make_attempt(TLS, 443),
            (
                "denies some of what could be in this (`methods` and `protocol`), and to tell needs TLS interception, "
                "which there is not: a human can make the rule deny all of the host, or remove it"
            ),
        ),
    ],
)
def test_a_rule_that_denies_says_so(keys: dict[str, Any], attempt: Attempt, sentence: str) -> None:
    policy = make_policy({"deny": True, **keys}, {"ports": ["1-65535"]})
    assert decide(policy, attempt).reason == f"egress[0] 'a.example' (line 1) {sentence}"


def test_a_rule_is_called_by_its_name() -> None:
    reason = decide(make_policy({"name": "api", "methods": ["GET"]}), make_request(method="PUT")).reason
    assert reason == "egress[0] api 'a.example' (line 1) allows GET, not PUT"


def denied(attempt: Attempt, moment: Moment = NO_MOMENT, **keys: Any) -> str:
    return decide(make_policy(keys), attempt, moment).reason


def test_each_need_has_its_words() -> None:
    assert name_needs(frozenset(Need)) == (
        "SSH to be ended here for git, TLS interception, WebSockets to be carried, a scan of WebSocket messages, "
        "a scan of what is sent, "
        "bodies of requests to be read, its `limits` to be counted and the host keys of SSH to be seen"
    )


def test_a_strange_path_is_told_only_where_paths_matter() -> None:
    strange = make_request("/a/../b")
    for keys in ({"paths": ["/a/**"]}, {"git": {"push": ["a/*"]}}):
        said = decide(make_policy({}, {"deny": True, **keys}), strange).reason
        assert " because it could be one of its paths (the path has a dot segment" in said
    for request in (strange, make_request("/b")):
        said = decide(make_policy({}, {"deny": True, "methods": ["GET"]}), request).reason
        assert "because it could be" not in said
    without = decide(make_policy({}, {"deny": True, "paths": ["/a"]}), make_attempt(method="GET")).reason
    assert "because it could be one of its paths (" in without


@pytest.mark.parametrize(
    ("keys", "attempt", "said"),
    [
        (
            {"git": {"fetch": ["a"]}},
            make_request(f"/{'r' * 300}/git-upload-pack", "POST"),
            "doesn't allow git to fetch from this repository: a human can add it to `git.fetch`",
        ),
        (
            {"headers": {"forbidden": ["x" * 200]}},
            make_request(headers=frozenset({"x" * 200})),
            "allows no request with the field that this one has",
        ),
        ({"protocol": "ssh", "ports": [80]}, make_request(websocket=True), "allows ssh, not ws"),
        ({"protocol": "ssh", "ports": [80]}, make_request(secure=True), "allows ssh, not https"),
        ({"protocol": "ssh", "ports": [80]}, make_request(), "allows ssh, not HTTP"),
        ({"protocol": "ssh", "ports": [80]}, make_attempt(Protocol.TLS, 80), "allows ssh, not TLS"),
        (
            {"mcp": {"tools": ["a"]}},
            make_request(calls=(jsonrpc("tools/call", "t" * 300),)),
            "doesn't allow tools/call …: a human can add it to `mcp`",
        ),
        ({"paths": ["/a"]}, make_request("/" + "p" * 300), "allows /a, not another path"),
        (
            {"paths": ["/a"]},
            make_attempt(method="GET"),
            "allows only paths that can be read in one way, and ",
        ),
    ],
)
def test_what_the_agent_chose_is_told_where_it_is_short(
    keys: dict[str, Any], attempt: Attempt, said: str
) -> None:
    assert said in denied(attempt, Moment(able=frozenset(Need)), **keys)


def test_a_word_is_told_up_to_its_bound_and_a_list_too() -> None:
    bound = "p" * (WORD_CHARS - 1)
    assert denied(make_request(f"/{bound}"), paths=["/a"]).endswith(f"allows /a, not /{bound}")
    assert denied(make_request(f"/{bound}p"), paths=["/a"]).endswith("allows /a, not another path")
    names = [f"/{place}" for place in range(LISTED)]
    assert f"allows {', '.join(names)}, not" in denied(make_request("/x"), paths=names)
    assert f"allows {', '.join(names)} and 1 more, not" in denied(make_request("/x"), paths=[*names, "/z"])
