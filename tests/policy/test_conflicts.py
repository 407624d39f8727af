"""What rules do to each other: each case with the neighbour that is no conflict."""

from __future__ import annotations

import time

import pytest
from tests.policy.specimens import make_terms

from trio_egress.errors import PolicyError
from trio_egress.policy.conflicts import find_conflicts, find_ports
from trio_egress.policy.doors import Ports
from trio_egress.policy.load import load_policy
from trio_egress.texts.faults import PROBLEMS_MAX

HEAD = 'version = "1.0"\ndefault_deny = true\n'


def load(*rules: str) -> list[str]:
    """What is said, without the file; each rule is one line."""
    text = HEAD + "".join(f"[[egress]]\n{rule}\n" for rule in rules)
    try:
        return [str(problem).split("\n")[0] for problem in load_policy(text, "f").warnings]
    except PolicyError as error:
        return [str(problem).split("\n")[0] for problem in error.problems]


def rule(destination: str, *keys: str) -> str:
    return "\n".join([f'destination = "{destination}"', *keys])


DENY = "deny = true"
NEVER = "egress[0] denies all that this rule allows, so it can never match"


@pytest.mark.parametrize(
    ("denial", "allowed"),
    [
        (rule("a.example", DENY), rule("a.example")),
        (rule("*.example", DENY), rule("a.b.example:22")),
        (rule("*.example", DENY), rule("*.example")),
        (rule("*.example", DENY), rule("*.b.example", 'methods = ["GET"]')),
        (rule("10.0.0.0/8", DENY), rule("10.1.0.0/16")),
        (rule("10.0.0.0/8", DENY), rule("10.1.2.3")),
        (rule("a.example:443", DENY), rule("a.example", 'protocol = ["https", "wss"]')),
        (rule("a.example", DENY, 'ports = ["1-1000"]'), rule("a.example", 'ports = [22, "80-90"]')),
        (rule("a.example", DENY, "ports = [80, 443]"), rule("a.example")),
        (rule("a.example", DENY, 'protocol = ["ssh", "http"]'), rule("a.example", 'protocol = "ssh"')),
        (rule("a.example", DENY, 'protocol = "tcp"'), rule("a.example")),
        (rule("a.example", DENY, 'protocol = "ssh"'), rule("a.example", 'protocol = "ssh"')),
        (rule("a.example", DENY, 'methods = ["GET"]'), rule("a.example", 'methods = ["GET"]')),
        (rule("a.example", DENY, 'methods = ["GET", "PUT"]'), rule("a.example", 'methods = ["GET"]')),
    ],
)
def test_a_rule_that_is_denied_as_a_whole_is_an_error(denial: str, allowed: str) -> None:
    line = 4 + denial.count("\n") + 1
    assert load(denial, allowed) == [f"f:{line}:1: error: {NEVER}"]


@pytest.mark.parametrize(
    ("denial", "allowed"),
    [
        (rule("a.example", DENY), rule("*.example")),
        (rule("*.b.example", DENY), rule("b.example")),
        (rule("10.1.0.0/16", DENY), rule("10.0.0.0/8")),
        (rule("::/8", DENY), rule("10.0.0.0/8")),
        (rule("a.example:443", DENY), rule("a.example")),
        (rule("a.example", DENY, "ports = [80]"), rule("a.example:81")),
        (rule("a.example", DENY, 'protocol = "http"'), rule("a.example")),
        (rule("a.example", DENY, 'protocol = "http"'), rule("a.example", 'protocol = "https"')),
        (rule("a.example", DENY, 'paths = ["/a"]'), rule("a.example")),
        (rule("a.example", DENY, 'methods = ["GET"]'), rule("a.example")),
        (rule("a.example", DENY, 'methods = ["GET"]'), rule("a.example", 'methods = ["GET", "PUT"]')),
        (rule("a.example", DENY, 'times = ["Mon 00:00-24:00 UTC"]'), rule("a.example")),
        (rule("b.example", DENY), rule("a.example")),
        (rule("a.example", DENY), rule("a.example", DENY, 'methods = ["GET"]')),
    ],
)
def test_a_rule_of_which_something_is_left_is_none(denial: str, allowed: str) -> None:
    assert load(denial, allowed) == []


@pytest.mark.parametrize(
    ("wide", "narrow", "said"),
    [
        (
            rule("*.x.example"),
            rule("a.x.example", 'methods = ["GET"]'),
            "without `methods`, so here that restricts nothing",
        ),
        (
            rule("a.example"),
            rule("a.example", "scan = true", 'paths = ["/a"]'),
            "without `paths` and `scan`, so here",
        ),
        (rule("a.example"), rule("a.example", "limits = { connections = 1 }"), "without `limits`"),
        (
            rule("a.example:8080"),
            rule("a.example:8080", 'protocol = "http"'),
            "allows all that this rule allows",
        ),
        (rule("a.example", "ports = [80, 443]"), rule("a.example"), "allows all that this rule allows"),
        (rule("a.example"), rule("a.example", 'protocol = ["https"]'), "allows all that this rule allows"),
        (rule("a.example"), rule("a.example", 'protocol = ["http", "https"]'), "allows all that this rule"),
        (
            rule("a.example", 'protocol = ["https", "ssh"]'),
            rule("a.example", 'protocol = "ssh"'),
            "allows all that",
        ),
        (
            rule("a.example", "ports = [22, 23]", 'protocol = ["ssh"]'),
            rule("a.example:22", 'protocol = "ssh"'),
            "allows all that this rule allows",
        ),
        (
            rule("10.0.0.0/8", "allow_private = true"),
            rule("10.1.0.0/16", "allow_private = true"),
            "allows all that",
        ),
    ],
)
def test_a_rule_that_adds_nothing_is_a_warning(wide: str, narrow: str, said: str) -> None:
    first, second = load(wide, narrow), load(narrow, wide)
    assert [len(first), len(second)] == [1, 1]
    assert first[0].startswith(f"f:{4 + wide.count(chr(10)) + 1}:1: warning: egress[0] allows all ")
    assert second[0].startswith("f:3:1: warning: egress[1] allows all ")
    assert said in first[0]
    assert said in second[0]


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        (rule("*.x.example"), rule("x.example")),
        (rule("a.example", 'methods = ["GET"]'), rule("a.example", 'methods = ["GET"]', 'paths = ["/a"]')),
        (rule("a.example"), rule("a.example:22")),
        (rule("a.example"), rule("a.example", 'protocol = "ssh"')),
        (rule("a.example"), rule("a.example:80", 'protocol = "http"')),
        (rule("a.example", 'protocol = "https"'), rule("a.example:80", 'protocol = "https"')),
        (rule("a.example:22"), rule("a.example:23")),
        (rule("10.0.0.0/8"), rule("10.1.0.0/16", "allow_private = true")),
        (rule("a.example"), rule("a.example", "websocket = { enabled = true }")),
        (rule("a.example", "scan = true"), rule("a.example", 'methods = ["GET"]', 'paths = ["/a"]')),
    ],
)
def test_a_rule_that_adds_something_is_none(wide: str, narrow: str) -> None:
    assert load(wide, narrow) == []
    assert load(narrow, wide) == []


def test_of_rules_that_say_the_same_the_later_ones_are_told() -> None:
    assert [line[:5] for line in load(*[rule("a.example")] * 3)] == ["f:5:1", "f:7:1"]


def test_a_rule_is_held_against_each_that_is_wider_and_not_only_against_the_first() -> None:
    useless = rule("a.example", 'methods = ["GET"]')
    (said,) = load(rule("a.example:22"), rule("a.example"), useless)
    assert said.startswith("f:7:1: warning: egress[1] allows all of these hosts without `methods`")
    told = load(rule("a.example"), rule("a.example"), rule("*.example"))
    assert [line.split(": ")[2] for line in told] == [
        "egress[2] allows all that this rule allows",
        "egress[0] allows all that this rule allows",
    ]


def test_the_ports_of_a_rule_are_named_or_those_of_what_it_speaks() -> None:
    assert find_ports(make_terms()) == (Ports(80, 80), Ports(443, 443))
    assert find_ports(make_terms("a.example:22")) == (Ports(22, 22),)
    assert find_ports(make_terms(ports=["1-9"])) == (Ports(1, 9),)
    assert find_ports(make_terms(protocol=["ssh", "https"])) == (Ports(22, 22), Ports(443, 443))


def test_a_name_stands_for_one_rule() -> None:
    names = [
        rule("a.example", 'name = "x"'),
        rule("b.example", 'name = "x"'),
        rule("c.example", 'name = "y"'),
    ]
    assert load(*names) == ['f:8:1: error: egress[0] has the name "x" already'.replace("8:1", "8:8")]


@pytest.mark.parametrize("name", ["com", "co.uk", "github.io"])
def test_a_wildcard_on_a_public_suffix_is_a_warning(name: str) -> None:
    (said,) = load(rule(f"*.{name}"))
    assert said.startswith(f"f:4:15: warning: anybody can have a name below {name}, which is a public suffix")


def test_a_wildcard_that_denies_a_public_suffix_is_none() -> None:
    assert load(rule("*.com", DENY)) == []
    assert load(rule("*.example.com")) == []


def test_tls_that_is_passed_through_past_a_denial_of_some_of_it_is_a_warning() -> None:
    through = rule("a.example", 'tls = "passthrough"')
    (said,) = load(through, rule("*.example", DENY, 'paths = ["/a"]'))
    assert said == (
        "f:5:7: warning: egress[1] denies some requests to these hosts, which can't be told apart in TLS that is "
        "passed through: this rule allows no TLS"
    )
    for keys in (['protocol = "http"', 'paths = ["/a"]'], ["ports = [22]"]):
        assert load(through, rule("*.example", DENY, *keys)) == []


def test_many_rules_for_one_host_take_no_longer_each() -> None:
    count = 5000
    text = HEAD + "".join(f'[[egress]]\ndestination = "a.example:{port}"\n' for port in range(1, count + 1))
    started = time.monotonic()
    assert load_policy(text, "f").warnings == ()
    assert time.monotonic() - started < 30


def test_no_more_warnings_are_told_than_people_read() -> None:
    assert len(load(*[rule("a.example")] * (PROBLEMS_MAX + 2))) == PROBLEMS_MAX


def test_nothing_is_said_of_no_rules() -> None:
    assert list(find_conflicts([])) == []


def test_what_an_included_file_allows_may_be_denied_and_repeated() -> None:
    included = f"{HEAD}[[egress]]\n{rule('a.example')}\n".encode()
    for own in (rule("*.example", DENY), rule("a.example", 'methods = ["GET"]')):
        text = f'include = ["other.toml"]\n{HEAD}[[egress]]\n{own}\n'
        assert load_policy(text, "f", lambda _name: included).warnings == ()


@pytest.mark.parametrize(
    ("destination", "named"),
    [
        ("localhost:18443", "18443"),
        ("LOCALHOST", "PORT"),
        ("127.0.0.1:5432", "5432"),
        ("127.8.9.1", "PORT"),
        ("[::1]:80", "80"),
    ],
)
def test_the_sandboxs_own_loopback_is_a_warning_that_names_the_hosts(destination: str, named: str) -> None:
    (warning,) = load(rule(destination, "allow_private = true"))
    assert warning.startswith("f:4:15: warning: inside, ")
    assert warning.endswith(f'is the sandbox\'s own; a service of this machine is "host.internal:{named}"')


@pytest.mark.parametrize(
    "text", [rule("host.internal:5432"), rule("localhost.example"), rule("10.0.0.1"), rule("localhost", DENY)]
)
def test_other_hosts_and_denials_are_none(text: str) -> None:
    assert load(text) == []
