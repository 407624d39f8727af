"""Destinations of the command line: the last rules of the policy's own text."""

from __future__ import annotations

import pytest

from trio_egress.errors import UsageError
from trio_egress.policy.allowed import HEAD, MARK, add_allowed
from trio_egress.policy.load import load_policy


def test_what_stood_in_the_policy_keeps_its_lines() -> None:
    policy = f'{HEAD}\n[[egress]]\ndestination = "one.example"\n'
    text = add_allowed(policy, "p.toml", ["two.example", "three.example:8443"])
    assert text.startswith(policy)
    rules = load_policy(text, "p.toml").rules
    assert [rule.ref.line for rule in rules] == [4, 8, 11]
    assert text.split(MARK)[1] == (
        '\n[[egress]]\ndestination = "two.example"\n\n[[egress]]\ndestination = "three.example:8443"\n'
    )


def test_without_any_the_text_is_the_same() -> None:
    assert add_allowed("not even a policy", "p.yaml", []) == "not even a policy"


@pytest.mark.parametrize("text", [HEAD, HEAD.rstrip("\n"), f"{HEAD}[files]\nwrite = []"])
def test_whatever_a_policy_ends_with_the_rules_are_its_own(text: str) -> None:
    assert len(load_policy(add_allowed(text, "p.toml", ["a.example"]), "p.toml").rules) == 1


@pytest.mark.parametrize(
    "given",
    [
        "",
        ":443",
        "a.example:0",
        "a.example:99999",
        "https://a.example/",
        'a.example"\n[[egress]]\ndestination = "evil.example',
        "a.example\n",
        "a example",
        "198.51.100.0/24:443",
        "\x00",
        "*",
    ],
)
def test_what_is_no_destination_is_refused_by_its_own_name(given: str) -> None:
    with pytest.raises(UsageError, match="--allow"):
        add_allowed(HEAD, "p.toml", [given])


def test_a_policy_in_yaml_says_where_the_rule_would_stand() -> None:
    with pytest.raises(UsageError, match="add them there"):
        add_allowed("version: '1.0'\n", "p.yaml", ["a.example"])


@pytest.mark.parametrize(
    "given",
    [
        "*.example.com",
        "*.example.com:8443",
        "[2001:db8::1]:443",
        "192.0.2.1",
        "192.0.2.1:22",
        "198.51.100.0/24",
        "münchen.example",
        "host.internal:5432",
    ],
)
def test_whatever_a_rule_takes_as_its_destination_is_taken(given: str) -> None:
    assert len(load_policy(add_allowed(HEAD, "p.toml", [given]), "p.toml").rules) == 1
