"""An explanation says what the engine says, and what it suggests is allowed."""

from __future__ import annotations

import pytest

from trio_egress.model import NO_NEEDS, Layer, Need
from trio_egress.policy.engine import decide
from trio_egress.policy.explain import LISTED_MAX, Explanation, explain, suggest
from trio_egress.policy.load import load_policy
from trio_egress.policy.moment import Moment
from trio_egress.policy.rule import Policy
from trio_egress.policy.spelling import parse_spelling
from trio_egress.policy.writing import render_policy, render_rule

HEAD = 'version = "1.0"\ndefault_deny = true\n'

POLICY = f"""{HEAD}
[[egress]]
destination = "api.example.com"
methods = ["GET"]

[[egress]]
destination = "*.example.com"
ports = [8443]

[[egress]]
destination = "bad.example.com"
deny = true
"""

NOW = Moment(now_us=1, able=NO_NEEDS)


def load(text: str = POLICY) -> Policy:
    return load_policy(text, "x.toml")


def ask(text: str, policy: Policy | None = None, moment: Moment = NOW) -> Explanation:
    return explain(policy or load(), parse_spelling(text), moment)


def test_a_decision_is_the_engines() -> None:
    spelt = parse_spelling("http://api.example.com/x")
    explanation = ask("http://api.example.com/x")
    assert explanation.allowed
    assert [step.decision for step in explanation.steps] == [decide(load(), spelt.attempt, NOW)]


def test_each_nearer_rule_is_told_but_the_one_that_the_decision_names() -> None:
    (step,) = ask("POST http://api.example.com/x").steps
    assert step.decision.layer is Layer.METHOD
    assert len(step.misses) == 1
    assert "'*.example.com'" in step.misses[0]


def test_inside_tls_is_judged_where_the_boundary_looks() -> None:
    able = Moment(now_us=1, able=frozenset({Need.TLS}))
    assert [step.decision.allowed for step in ask("https://api.example.com/x", moment=able).steps] == [
        True,
        True,
    ]
    denied = ask("POST https://api.example.com/x", moment=able)
    assert [step.decision.layer for step in denied.steps] == [Layer.RULE, Layer.METHOD]
    assert len(ask("https://api.example.com/x").steps) == 1


def test_a_host_that_may_have_been_meant() -> None:
    assert ask("api.exmaple.com").near == "api.example.com"
    assert ask("elsewhere.test").near is None
    assert ask("api.example.com:22").near is None
    assert ask("www.exmaple.com").near is None  # another label differs, and is no slip
    assert ask("appi.exmaple.com").near == "api.example.com"
    assert ask("appi.exmaple.como").near is None
    assert ask("bda.example.com").near is None  # nobody means what is denied
    assert ask("example.com").near is None
    assert ask("exmaple.com").near == "example.com"
    address = load(f'{HEAD}[[egress]]\ndestination = "10.0.0.0/8"\n')
    assert ask("10.0.0.1:81", address).near is None
    assert ask("100.0.0.1", address).near is None


def test_a_pinned_host_is_told_as_one() -> None:
    rules = (
        '[[egress]]\ndestination = "10.0.0.1"\nmethods = ["GET"]\n'
        '[[egress]]\ndestination = "10.0.0.0/8"\nports = [81]\nprotocol = "http"\n'
        '[[egress]]\ndestination = "10.0.0.0/9"\nprotocol = "https"\n'
    )
    pin = '[resolve]\n"10.0.0.1" = "127.0.0.1"\n'
    (pinned,) = ask("POST http://10.0.0.1/", load(HEAD + rules + pin)).steps
    (plain,) = ask("POST http://10.0.0.1/", load(HEAD + rules)).steps
    assert (pinned.decision.layer, plain.decision.layer) == (Layer.METHOD, Layer.ADDRESS)
    assert not any("private" in miss for miss in pinned.misses)


def test_many_rules_are_not_all_told() -> None:
    rules = "".join(
        f'[[egress]]\ndestination = "a.example"\nports = [{port}]\n'
        for port in range(1000, 1000 + 2 * LISTED_MAX)
    )
    (step,) = ask("http://a.example", load(HEAD + rules)).steps
    assert LISTED_MAX == 20
    assert len(step.misses) == LISTED_MAX + 1
    assert step.misses[-1] == f"and {LISTED_MAX - 1} more rules for this host"
    assert "ports 1001" in step.misses[0] or "1001" in step.misses[0]
    few = rules.split("[[egress]]")[: LISTED_MAX + 2]
    (step,) = ask("http://a.example", load(HEAD + "[[egress]]".join(few))).steps
    assert len(step.misses) == LISTED_MAX
    assert not step.misses[-1].startswith("and ")


@pytest.mark.parametrize(
    ("text", "destination", "methods", "paths"),
    [
        ("POST http://api.example.com/x", "api.example.com", ("POST",), ("/x",)),
        ("POST http://api.example.com", "api.example.com", ("POST",), ()),
        ("https://api.example.com/x", "api.example.com", (), ()),
        ("other.example:22", "other.example:22", (), ()),
        ("tls://other.example", "other.example", (), ()),
        ("tls://other.example:444", "other.example:444", (), ()),
        ("tls://other.example:8443", "other.example:8443", (), ()),
        ("dns:other.example", "other.example", (), ()),
        ("10.0.0.1:5432", "10.0.0.1:5432", (), ()),
        ("host.internal:5432", "host.internal:5432", (), ()),
        ("http://host.internal", "host.internal:80", ("GET",), ()),
    ],
)
def test_a_suggested_rule_allows_it(
    text: str, destination: str, methods: tuple[str, ...], paths: tuple[str, ...]
) -> None:
    spelt = parse_spelling(text)
    assert not explain(load(), spelt, NOW).allowed
    rule = suggest(load(), spelt, NOW)
    assert rule is not None
    assert (rule.destination, rule.methods, rule.paths) == (destination, methods, paths)
    alone = load(render_policy([rule], {}))
    assert explain(alone, spelt, NOW).allowed


GIT = f"""{HEAD}
[[egress]]
destination = "git.example.com"
git = {{ fetch = ["org/one"] }}
"""


@pytest.mark.parametrize(
    ("policy", "text", "methods", "paths", "git"),
    [
        (POLICY, "DELETE https://api.example.com/v1/x", ("DELETE",), ("/v1/x",), ()),
        (POLICY, "POST https://api.example.com/", ("POST",), (), ()),
        (
            GIT,
            "GET https://git.example.com/org/two.git/info/refs?service=git-upload-pack",
            *((),) * 2,
            (("fetch", "org/two"),),
        ),
        (
            GIT,
            "POST https://git.example.com/org/one.git/git-receive-pack",
            *((),) * 2,
            (("push", "org/one"),),
        ),
        (GIT, "GET https://git.example.com/api", ("GET",), ("/api",), ()),
    ],
)
def test_where_requests_are_seen_no_more_than_one_of_them_is_suggested(
    policy: str, text: str, methods: tuple[str, ...], paths: tuple[str, ...], git: tuple[tuple[str, str], ...]
) -> None:
    able = Moment(now_us=1, able=frozenset({Need.TLS}))
    spelt = parse_spelling(text)
    assert not explain(load(policy), spelt, able).allowed
    rule = suggest(load(policy), spelt, able)
    assert rule is not None
    assert (rule.methods, rule.paths, rule.git) == (methods, paths, git)
    wider = load(f"{policy}\n{render_rule(rule)}\n")
    assert explain(wider, spelt, able).allowed
    assert not explain(wider, parse_spelling("PUT https://" + text.split("/")[2] + "/anything"), able).allowed


def test_a_path_that_no_rule_can_name_is_left_out_of_the_suggestion() -> None:
    rule = suggest(load(), parse_spelling("GET http://other.example/a//b"), NOW)
    assert rule is not None
    assert rule.paths == ()


def test_against_a_rule_that_denies_nothing_is_suggested() -> None:
    assert suggest(load(), parse_spelling("https://bad.example.com"), NOW) is None


def test_what_is_suggested_opens_private_addresses_only_where_one_is_asked_for() -> None:
    for text, private in (("10.0.0.1:5432", True), ("8.8.8.8:53", False), ("dns:other.example", False)):
        rule = suggest(load(), parse_spelling(text), NOW)
        assert rule is not None
        assert rule.allow_private is private
