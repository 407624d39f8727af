"""A change of policy is told whole, and what opens first."""

from __future__ import annotations

import pytest

from trio_egress.policy.change import Change
from trio_egress.policy.diff import _compare_rest, compare
from trio_egress.policy.load import load_policy

HEAD = 'version = "1.0"\ndefault_deny = true\n'


def rule(destination: str, more: str = "") -> str:
    return f'[[egress]]\ndestination = "{destination}"\n{more}\n'


def told(old: str, new: str) -> list[tuple[str, str]]:
    changes = compare(load_policy(HEAD + old, "old.toml"), load_policy(HEAD + new, "new.toml"))
    return [(change.effect, change.text) for change in changes]


def secure(more: str) -> str:
    return rule("a.example:8443", f'protocol = "https"\n{more}')


ROWS = [
    (
        '[resolve]\n"a.example" = "127.0.0.1"\n',
        '[resolve]\n"a.example" = "127.0.0.1"\n"b.example" = "::1"\n',
        [("changes", "[resolve] b.example: looked up → ::1")],
    ),
    ("", rule("*.a.example"), [("opens", "*.a.example: a new rule")]),
    (
        rule("a.example", 'tls = "passthrough"'),
        rule("a.example", 'tls = "intercept"'),
        [("closes", "a.example: tls passthrough → intercept")],
    ),
    ("", rule("example.com"), [("opens", "example.com: a new rule")]),
    (rule("example.com"), "", [("closes", "example.com: no rule any more")]),
    (rule("a.example"), rule("a.example", "allow_private = true"), None),
    (
        rule("example.com", 'methods = ["GET"]'),
        rule("example.com", 'methods = ["GET", "POST"]'),
        [("opens", "example.com: methods GET → GET, POST")],
    ),
    (
        rule("example.com"),
        rule("example.com", 'methods = ["GET"]'),
        [("closes", "example.com: methods not set → GET")],
    ),
    (
        rule("*.example.com"),
        rule("*.example.com") + rule("a.example.com"),
        [("changes", "a.example.com: a new rule (no example shows a difference)")],
    ),
    (rule("10.0.0.0/8"), rule("10.0.0.0/16"), None),
    ('[files]\nwrite = ["a"]\n', '[files]\nhide = ["b"]\n', None),
    (
        "",
        '[files]\nprotect = ["Makefile", "!.vscode"]\n',
        [("opens", "the agent may change .vscode"), ("closes", "the agent can't change Makefile any more")],
    ),
    (
        "",
        '[resolve]\n"a.example" = "127.0.0.1"\n',
        [("changes", "[resolve] a.example: looked up → 127.0.0.1")],
    ),
    (
        rule("a.example"),
        rule("a.example", "websocket = { enabled = true }"),
        [("opens", 'a.example: websocket not set → {"enabled": true, "frame_scan": false}')],
    ),
    (
        rule("a.example"),
        rule("a.example", "websocket = { enabled = false }"),
        [("closes", 'a.example: websocket not set → {"enabled": false, "frame_scan": false}')],
    ),
    (
        '[resolve]\n"a.example" = "127.0.0.1"\n',
        "",
        [("changes", "[resolve] a.example: 127.0.0.1 → looked up")],
    ),
    ("[env]\npass = []\n", "", [("changes", "[env] pass: none → not set")]),
    ("", "[limits]\nopen_files = 64\n", [("changes", "[limits] open_files: not set → 64")]),
    ("", '[env]\npass = ["PATH"]\n', [("changes", "[env] pass: not set → PATH")]),
    ("[env]\npass = []\n", '[env]\npass = ["PATH"]\n', [("changes", "[env] pass: none → PATH")]),
    (
        '[env]\nset = {A = "1", B = "2"}\n',
        '[env]\nset = {A = "1", B = "3", C = "4"}\n',
        [("changes", "[env] set: B, C")],
    ),
    (
        rule("a.example:22"),
        rule("a.example:22", 'protocol = "ssh"'),
        [("closes", "a.example:22: protocol not set → ssh")],
    ),
    (
        rule("a.example", 'protocol = "tcp"\nports = [5432, "8000-8010"]'),
        rule("a.example", 'protocol = "tcp"\nports = [5432]'),
        [("closes", "a.example: ports 5432, 8000-8010 → 5432")],
    ),
    (
        rule("10.0.0.0/8"),
        rule("10.0.0.0/8", "allow_private = true"),
        [("opens", "10.0.0.0/8: allow_private not set → true")],
    ),
    (
        rule("1.1.1.0/24"),
        rule("1.1.1.0/24", "allow_private = true"),
        [("opens", "1.1.1.0/24: allow_private not set → true")],
    ),
    (
        rule("a.example"),
        rule("a.example", "mcp = {tools = ['x']}"),
        [("closes", 'a.example: mcp not set → {"tools": ["x"]}')],
    ),
    *(
        (secure(old), secure(new), said)
        for old, new, said in (
            (
                "methods = ['GET']",
                "methods = ['GET', 'PUT']",
                [("opens", "a.example:8443: methods GET → GET, PUT")],
            ),
            ("paths = ['/a/*']", "paths = ['/a/**']", [("opens", "a.example:8443: paths /a/* → /a/**")]),
            ("query = ['a']", "query = ['a', 'b']", [("opens", "a.example:8443: query a → a, b")]),
            ("query = ['a']", "", [("opens", "a.example:8443: query a → not set")]),
            ("headers = {forbidden = ['x']}", "", None),
            ("headers = {required = ['x', 'y']}", "headers = {required = ['x']}", None),
            ("git = {fetch = ['a/*']}", "git = {fetch = ['a/*', 'b/*']}", None),
            ("graphql = {queries = ['a']}", "graphql = {queries = ['a'], mutations = ['b']}", None),
            ("graphql = {operations = ['a']}", "graphql = {operations = ['*']}", None),
            ("jsonrpc = {methods = ['a']}", "jsonrpc = {methods = ['a', 'b']}", None),
            ("mcp = {methods = ['a']}", "mcp = {methods = ['a', 'b']}", None),
            ("mcp = {tools = ['a']}", "mcp = {tools = ['a', 'b']}", None),
            ("mcp = {tools = ['a']}", "", None),
            ("times = ['Mon 08:00-18:00 UTC']", "times = ['Mon 08:00-19:00 UTC']", None),
            ("times = ['Mon 08:00-18:00 UTC']", "times = ['Mon-Tue 08:00-18:00 UTC']", None),
            ("times = ['Mon 08:00-18:00 UTC']", "", None),
        )
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), [row for row in ROWS if row[2] is not None])
def test_a_change_in_words(old: str, new: str, expected: list[tuple[str, str]]) -> None:
    assert told(old, new) == expected


@pytest.mark.parametrize(("old", "new"), [row[:2] for row in ROWS])
def test_every_change_is_told_both_ways(old: str, new: str) -> None:
    there, back = told(old, new), told(new, old)
    assert there
    assert back
    opposite = {"opens": "closes", "closes": "opens", "changes": "changes"}
    assert sorted(opposite[effect] for effect, _ in there) == sorted(effect for effect, _ in back)


@pytest.mark.parametrize(("old", "new"), [row[:2] for row in ROWS if ":8443" in row[0]])
def test_what_is_widened_or_narrowed_inside_tls_is_told_as_that(old: str, new: str) -> None:
    assert [effect for effect, _ in told(old, new)] == ["opens"]
    assert [effect for effect, _ in told(new, old)] == ["closes"]


def test_what_opens_something_and_closes_something_is_told_as_opening() -> None:
    for one, other in (("fetch", "push"), ("push", "fetch")):
        old, new = (secure(f"git = {{{key} = ['a/b']}}") for key in (one, other))
        assert [effect for effect, _ in told(old, new)] == ["opens"]


def test_a_limit_that_is_raised_is_a_change_whatever_an_example_shows() -> None:
    old, new = (rule("a.example", f"limits = {{connections = {count}}}") for count in (1, 2))
    ((effect, text),) = told(old, new)
    assert (effect, text) == ("changes", 'a.example: limits {"connections": 1} → {"connections": 2}')


def test_each_table_has_its_words() -> None:
    files = '[files]\nwrite = ["w"]\nhide = ["h"]\nprotect = ["p"]\n'
    assert told("", files) == [
        ("opens", "the agent may write w"),
        ("closes", "the agent can't change p any more"),
        ("closes", "the agent does not see h any more"),
    ]
    assert told(files, "") == [
        ("opens", "the agent may change p"),
        ("opens", "the agent sees h"),
        ("closes", "the agent can't write w any more"),
    ]


def test_a_rule_that_denies_is_told_apart_from_one_that_allows() -> None:
    assert told(rule("*.example"), rule("*.example") + rule("a.example", "deny = true")) == [
        ("closes", "a.example (denied): a new rule")
    ]
    assert told(
        rule("*.example") + rule("a.example", "deny = true\nmethods = ['GET']"), rule("*.example")
    ) == [("opens", "a.example (denied): no rule any more, with methods GET")]
    assert sorted(told(rule("a.example"), rule("a.example", "deny = true"))) == [
        ("closes", "a.example (denied): a new rule"),
        ("closes", "a.example: no rule any more"),
    ]


def test_all_that_is_new_of_a_rule_is_told() -> None:
    assert told("", rule("a.example", "methods = ['GET', 'PUT']\nscan = false\npaths = ['/a']")) == [
        ("opens", "a.example: a new rule, with methods GET, PUT, paths /a")
    ]
    assert told(rule("a.example", "methods = ['GET']"), rule("a.example", "paths = ['/a']")) == [
        ("opens", "a.example: methods GET → not set; paths not set → /a")
    ]
    assert told(rule("a.example", "websocket = {enabled = false}"), rule("a.example")) == [
        ("opens", 'a.example: websocket {"enabled": false, "frame_scan": false} → not set')
    ]


def test_a_values_of_a_variable_is_not_told() -> None:
    text = str(told('[env]\nset = {TOKEN = "one"}\n', '[env]\nset = {TOKEN = "two"}\n'))
    assert "TOKEN" in text
    assert "two" not in text


def test_equal_meanings_have_no_difference() -> None:
    one = HEAD + rule("Example.COM") + rule("b.example") + "# words\n"
    other = HEAD + rule("b.example") + rule("example.com") + rule("example.com")
    assert compare(load_policy(one, "a"), load_policy(other, "b")) == ()


def test_a_difference_that_has_no_words_yet_is_told_all_the_same() -> None:
    assert list(_compare_rest({"new": 1, "same": 2}, {"same": 2})) == [Change("changes", "new: 1 → not set")]


def test_a_change_is_a_value() -> None:
    assert Change("opens", "x") == Change("opens", "x")


def secret(name: str, source: str) -> str:
    return f'[[secret]]\nname = "{name}"\nfrom = {{ {source} }}\n'


def test_what_is_secret_is_told_by_its_name() -> None:
    one, other = secret("a", 'env = "A"'), secret("a", 'file = "/a"')
    both = one + secret("b", 'env = "B"')
    assert told(one, both) == [("changes", "b is secret: receipts have a commitment for it")]
    assert told(both, one) == [("changes", "b is not secret any more: receipts tell it where it stands")]
    assert told(one, other) == [("changes", 'the secret a: from {"env": "A"} → {"file": "/a"}')]
