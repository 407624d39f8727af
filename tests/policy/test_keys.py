"""How each key of a policy file is read."""

from __future__ import annotations

from typing import Any

import attrs
import cattrs
import pytest
import tomli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trio_egress.model import RuleLimits
from trio_egress.policy import keys
from trio_egress.policy.destination import parse_destination
from trio_egress.policy.document import TABLES, Document
from trio_egress.policy.doors import Ports, Scheme
from trio_egress.policy.keys import RULES_MAX, structure
from trio_egress.policy.problems import find_faults
from trio_egress.policy.rule import Terms, Tls
from trio_egress.policy.scan import Scan
from trio_egress.policy.services import Headers, WebSocket
from trio_egress.texts.faults import Fault

KEYS = [field.name for field in attrs.fields(Terms)]
TOP: dict[str, Any] = {"version": "1.0", "default_deny": True}


def faults_of(**changed: Any) -> list[Fault]:
    with pytest.raises(cattrs.BaseValidationError) as caught:
        structure({**TOP, **changed})
    return list(find_faults(caught.value, TABLES))


def terms_fault(**changed: Any) -> str:
    """The one message about a rule with these keys."""
    (fault,) = faults_of(egress=[{"destination": "a.example", **changed}])
    return fault.message


def test_only_two_keys_are_required() -> None:
    assert structure(TOP) == Document(version="1.0", default_deny=True)
    assert [fault.message for fault in faults_of_nothing()] == [
        'the key "version" is missing at the top of the file; write version = "1.0"',
        'the key "default_deny" is missing at the top of the file; write default_deny = true',
    ]


def faults_of_nothing() -> list[Fault]:
    with pytest.raises(cattrs.BaseValidationError) as caught:
        structure({})
    return list(find_faults(caught.value, TABLES))


def test_a_rule_has_every_key_of_its_table() -> None:
    rule = {"destination": "a.example", "methods": ["GET", "HEAD", "GET"], "allow_private": True}
    assert structure({**TOP, "dns_resolution": "proxy_only", "egress": [rule], "resolve": {}}).egress == (
        Terms(
            destination=parse_destination("a.example"), methods=frozenset({"GET", "HEAD"}), allow_private=True
        ),
    )


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("version", "1", 'version must be "1.0", not "1"'),
        ("version", 1.0, 'version must be "1.0", not 1.0'),
        ("default_deny", False, "default_deny must be true, not false: what no rule allows is denied"),
        ("default_deny", 1, "default_deny must be true, not 1: what no rule allows is denied"),
        ("dns_resolution", "system", 'dns_resolution must be "proxy_only", not "system"'),
        ("egress", {}, 'egress must be a list of tables, not a table; did you mean "[[egress]]"?'),
        ("test", {}, 'test must be a list of tables, not a table; did you mean "[[test]]"?'),
        ("secret", {}, 'secret must be a list of tables, not a table; did you mean "[[secret]]"?'),
        ("files", [], 'files must be a table, not a list; did you mean "[files]"?'),
        ("env", "PATH", 'env must be a table, not "PATH"; did you mean "[env]"?'),
        ("limits", 5, 'limits must be a table, not 5; did you mean "[limits]"?'),
        ("include", "a.toml", "include must be a list such as"),
        ("resolve", [], 'resolve must be a table, not a list; did you mean "[resolve]"?'),
        (
            "defualt_deny",
            True,
            'unknown key "defualt_deny" at the top of the file; did you mean "default_deny"?',
        ),
        (
            "methods",
            ["GET"],
            'unknown key "methods" at the top of the file; it belongs in an [[egress]] table',
        ),
    ],
)
def test_a_wrong_key_at_the_top_is_told(key: str, value: object, said: str) -> None:
    (fault,) = faults_of(**{key: value})
    assert fault.path == (key,)
    assert fault.message.startswith(said)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("destination", 80, 'destination must be a string such as "api.example.com", not 80'),
        ("destination", "a b", "the character ' ' is not allowed in a host name"),
        ("methods", "GET", 'methods must be a list such as ["GET", "HEAD"], not "GET"'),
        ("methods", [], "methods is empty, which would allow nothing; leave it out to allow every method"),
        ("methods", [1], 'a method must be a string such as "GET", not 1'),
        ("methods", ["get"], '"get" is not a method: methods are upper-case words; did you mean "GET"?'),
        ("methods", ["FOO BAR"], '"FOO BAR" is not a method: methods are upper-case words'),
        ("methods", ["PSOT"], '"PSOT" is not a method; did you mean "POST"?'),
        ("methods", ["CONECT"], '"CONECT" is not a method; did you mean "CONNECT"?'),
        ("methods", ["CONNECT"], "CONNECT can't be allowed by a rule: a tunnel is judged by what is in it"),
        ("methods", ["connect"], "CONNECT can't be allowed by a rule: a tunnel is judged by what is in it"),
        ("allow_private", 1, "allow_private must be true or false, not 1"),
        ("allow_private", "true", 'allow_private must be true or false, not "true"'),
        (
            "colour",
            True,
            f'unknown key "colour" in an [[egress]] table; the keys there are {", ".join(KEYS)}',
        ),
        (
            "default_deny",
            True,
            'unknown key "default_deny" in an [[egress]] table; it belongs at the top of the file',
        ),
    ],
)
def test_a_wrong_key_of_a_rule_is_told(key: str, value: object, said: str) -> None:
    assert terms_fault(**{key: value}) == said


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_a_slip_in_a_usual_method_is_told(method: str) -> None:
    slip = method[:-1] + method[-1] * 2
    assert terms_fault(methods=[slip]) == f'"{slip}" is not a method; did you mean "{method}"?'


@pytest.mark.parametrize("method", ["PROPFIND", "PURGE", "M-SEARCH", "QUERY", "X"])
def test_an_unusual_method_is_a_method(method: str) -> None:
    (terms,) = structure({**TOP, "egress": [{"destination": "a.example", "methods": [method]}]}).egress
    assert terms.methods == frozenset({method})


def test_each_wrong_method_is_told_at_its_place() -> None:
    faults = faults_of(egress=[{"destination": "a.example", "methods": ["GET", "PSOT", 3]}])
    assert [fault.path for fault in faults] == [("egress", 0, "methods", 1), ("egress", 0, "methods", 2)]


def test_a_rule_that_is_no_table_is_told() -> None:
    (fault,) = faults_of(egress=[{"destination": "a.example"}, "b.example"])
    assert fault == Fault(("egress", 1), 'a table is needed here, not "b.example"')


def test_a_key_that_is_a_word_of_python_is_written_as_it_is() -> None:
    assert structure({**TOP, "env": {"pass": ["A"]}}).env.pass_ == ("A",)
    (fault,) = faults_of(env={"pass_": ["A"]})
    assert fault.message == 'unknown key "pass_" in the [env] table; did you mean "pass"?'


def test_a_fault_in_a_pin_is_told_at_its_key() -> None:
    (fault,) = faults_of(resolve={"a.example": "b.example"})
    assert fault.path == ("resolve", "a.example")


def test_a_policy_may_have_just_as_many_rules_as_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "RULES_MAX", 3)
    rule = {"destination": "a.example"}
    assert len(structure({**TOP, "egress": [rule] * 3}).egress) == 3
    assert faults_of(egress=[rule] * 4)[0].message == "a policy has at most 3 rules, and this has 4"


def test_too_many_rules_are_refused_before_they_are_read() -> None:
    assert RULES_MAX == 100_000
    (fault,) = faults_of(egress=[{}] * (RULES_MAX + 1))
    assert fault == Fault(
        ("egress",), f"a policy has at most {RULES_MAX} rules, and this has {RULES_MAX + 1}"
    )


def test_a_rule_without_a_destination_is_told_with_an_example() -> None:
    (fault,) = faults_of(egress=[{"methods": ["GET"]}])
    assert fault == Fault(
        ("egress", 0),
        'the key "destination" is missing in an [[egress]] table; write destination = "api.example.com"',
    )


def test_every_required_key_has_an_example_that_is_accepted() -> None:
    text = (
        "\n".join(TABLES[Document].examples.values())
        + "\n[[egress]]\n"
        + TABLES[Terms].examples["destination"]
    )
    assert structure(tomli.loads(text)).egress


_VALUES = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates()
    | st.sampled_from(["1.0", "GET", "a.example"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from(["destination", "methods", "allow_private", "version"]) | st.text()
_TABLES = st.dictionaries(
    st.sampled_from(["write", "hide", "protect", "pass", "pass_", "set", "memory", "processes"]),
    _VALUES | st.lists(st.text(max_size=4), max_size=3) | st.dictionaries(st.text(), st.text(), max_size=2),
    max_size=3,
)
_RULES = st.lists(st.dictionaries(_NAMES, _VALUES, max_size=3) | _VALUES, max_size=3)


def read(data: dict[str, Any]) -> Document | list[Fault]:
    try:
        return structure(data)
    except cattrs.BaseValidationError as error:
        return list(find_faults(error, TABLES))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "version": st.just("1.0") | _VALUES,
            "default_deny": st.just(True) | _VALUES,
            "dns_resolution": _VALUES,
            "egress": _RULES | _VALUES,
            "resolve": _VALUES,
            "files": _TABLES | _VALUES,
            "env": _TABLES | _VALUES,
            "limits": _TABLES | _VALUES,
            "other": _VALUES,
        },
    )
)
def test_any_data_is_a_document_or_has_faults(data: dict[str, Any]) -> None:
    match read(data):
        case Document(default_deny=default_deny):
            assert default_deny is True
        case faults:
            assert faults
            assert all(fault.message for fault in faults)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("name", "A B", "name must be a short word"),
        ("reason", 1, "reason must be a text"),
        ("deny", 1, "deny must be true or false, not 1"),
        ("ports", 80, "ports must be a list"),
        ("protocol", 1, "protocol must be a word or a list"),
        ("paths", "/a", "paths must be a list"),
        ("query", "a", "query must be a list"),
        ("headers", [], 'headers must be a table such as { forbidden = ["x-api-key"] }, not a list'),
        ("git", "a", 'git must be a table such as { fetch = ["org/*"] }, not "a"'),
        ("graphql", 1, 'graphql must be a table such as { queries = ["viewer"] }, not 1'),
        ("jsonrpc", [], 'jsonrpc must be a table such as { methods = ["eth_call"] }, not a list'),
        ("mcp", [], 'mcp must be a table such as { tools = ["search_*"] }, not a list'),
        ("websocket", True, "websocket must be a table such as { enabled = true }, not true"),
        ("limits", 1, 'limits must be a table such as { requests = "100/minute" }, not 1'),
        ("tls", True, 'tls must be "intercept" or "passthrough", not true'),
        ("scan", 0, "scan must be true, false, or a table such as"),
        ("times", "Mon", "times must be a list"),
        ("headers", {"required": "a"}, "headers.required must be a list"),
        ("headers", {"forbidden": "a"}, "headers.forbidden must be a list"),
        ("git", {"fetch": "a"}, "git.fetch must be a list"),
        ("git", {"push": "a"}, "git.push must be a list"),
        ("graphql", {"queries": "a"}, "graphql.queries must be a list"),
        ("graphql", {"mutations": "a"}, "graphql.mutations must be a list"),
        ("jsonrpc", {"methods": "a"}, "jsonrpc.methods must be a list"),
        ("mcp", {"methods": "a"}, "mcp.methods must be a list"),
        ("mcp", {"tools": "a"}, "mcp.tools must be a list"),
        ("websocket", {"enabled": 1}, "websocket.enabled must be true or false, not 1"),
        ("websocket", {"frame_scan": 1}, "websocket.frame_scan must be true or false, not 1"),
        ("websocket", {"proxy_path": 1}, "websocket.proxy_path must be a path"),
        ("limits", {"requests": 1}, "requests must be a rate"),
        ("limits", {"connections": "a"}, "connections must be "),
        ("git", {}, 'git is empty, which says nothing; write git = { fetch = ["org/*"] }, or leave it out'),
    ],
)
def test_each_key_of_a_rule_has_its_reader(key: str, value: object, said: str) -> None:
    assert terms_fault(**{key: value}).startswith(said)


def test_what_the_readers_give_is_what_the_rule_has() -> None:
    first = {
        "destination": "a.example",
        "name": "x",
        "reason": "because",
        "ports": [443],
        "protocol": ["https"],
        "paths": ["/a"],
        "query": ["q"],
        "headers": {"required": ["x"], "forbidden": ["y"]},
        "tls": "intercept",
        "scan": True,
        "times": ["Mon 00:00-24:00 UTC"],
        "limits": {"connections": 2},
        "jsonrpc": {"methods": ["a"]},
    }
    second = {"destination": "b.example", "deny": True, "git": {"push": ["a/b"]}}
    third = {"destination": "c.example", "websocket": {"enabled": True, "frame_scan": True}}
    one, two, three = structure({**TOP, "egress": [first, second, third]}).egress
    assert (one.name, one.reason, one.deny, one.tls, one.scan) == (
        "x",
        "because",
        False,
        Tls.INTERCEPT,
        Scan(),
    )
    assert (one.ports, one.protocol, one.query) == (
        (Ports(443, 443),),
        frozenset({Scheme.HTTPS}),
        frozenset({"q"}),
    )
    assert [path.text for path in one.paths or ()] == ["/a"]
    assert one.headers == Headers(required=frozenset({"x"}), forbidden=frozenset({"y"}))
    assert one.limits == RuleLimits(connections=2)
    assert one.jsonrpc is not None
    assert [glob.text for glob in one.jsonrpc.methods] == ["a"]
    assert one.times is not None
    assert (two.deny, two.git is not None) == (True, True)
    assert three.websocket == WebSocket(enabled=True, frame_scan=True)


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"files": {"colour": 1}}, "in the [files] table; the keys there are write, hide, protect"),
        ({"env": {"colour": 1}}, "in the [env] table; the keys there are pass, set"),
        ({"limits": {"colour": 1}}, "in the [limits] table; the keys there are "),
        (
            {"test": [{"attempt": "a.example", "expect": "deny", "colour": 1}]},
            "in a [[test]] table; the keys ",
        ),
        *(
            (
                {"egress": [{"destination": "a.example", key: {**right, "colour": 1}}]},
                f"in {table}; the keys ",
            )
            for key, right, table in (
                ("headers", {}, "a `headers` table"),
                ("git", {}, "a `git` table"),
                ("graphql", {}, "a `graphql` table"),
                ("jsonrpc", {"methods": ["a"]}, "a `jsonrpc` table"),
                ("mcp", {}, "an `mcp` table"),
                ("websocket", {}, "a `websocket` table"),
                ("limits", {}, "a rule's `limits` table"),
            )
        ),
    ],
)
def test_an_unknown_key_is_told_with_the_table_that_it_stands_in(changed: dict[str, Any], place: str) -> None:
    (fault,) = faults_of(**changed)
    assert fault.message.startswith(f'unknown key "colour" {place}')


def test_what_is_missing_in_an_inner_table_is_told_with_an_example() -> None:
    assert [fault.message for fault in faults_of(test=[{}])] == [
        f'the key "{key}" is missing in a [[test]] table; write {example}'
        for key, example in (
            ("attempt", 'attempt = "POST https://api.example.com/v1"'),
            ("expect", 'expect = "deny"'),
        )
    ]
    (_, missing) = faults_of(egress=[{"destination": "a.example", "jsonrpc": {"colour": 1}}])
    assert missing.message == (
        'the key "methods" is missing in a `jsonrpc` table; write methods = ["eth_call"]'
    )


def test_the_tables_beside_the_rules_are_read() -> None:
    read = structure(
        {
            **TOP,
            "files": {"write": ["a"], "hide": ["b"], "protect": ["c"]},
            "limits": {"processes": 7},
            "test": [{"attempt": "a.example", "expect": "deny", "rule": "x", "at": "2026-01-05T12:00:00Z"}],
        }
    )
    assert (read.dns_resolution, read.files.write, read.limits.processes) == ("proxy_only", ("a",), 7)
    (case,) = read.test
    assert (case.attempt, case.rule) == ("a.example", "x")
    assert case.at is not None


def test_a_policy_may_have_just_as_many_tests_as_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keys.TESTS_MAX == 10_000
    monkeypatch.setattr(keys, "TESTS_MAX", 3)
    case = {"attempt": "a.example", "expect": "deny"}
    assert len(structure({**TOP, "test": [case] * 3}).test) == 3
    assert faults_of(test=[case] * 4)[0].message == "a policy has at most 3 tests, and this has 4"


def test_keys_that_cannot_stand_together_are_told() -> None:
    assert "passthrough" in terms_fault(tls="passthrough", methods=["GET"])


def test_a_secret_has_a_name_and_one_source(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = [{"name": "a", "from": {"env": "A"}}, {"name": "b", "from": {"file": "/b"}}]
    assert [
        (one.name, one.from_.env, one.from_.file) for one in structure({**TOP, "secret": secrets}).secret
    ] == [
        ("a", "A", None),
        ("b", None, "/b"),
    ]
    (fault,) = faults_of(secret=[{"name": "a", "from": {"env": "A", "colour": 1}}])
    assert (fault.path, fault.message[:20]) == (("secret", 0, "from", "colour"), 'unknown key "colour"')
    (fault,) = faults_of(secret=[{"name": "a", "from": {"file": 1}}])
    assert fault.path == ("secret", 0, "from", "file")
    monkeypatch.setattr(keys, "SECRETS_MAX", 1)
    assert faults_of(secret=secrets)[0].message == "a policy has at most 1 secrets, and this has 2"
    assert len(structure({**TOP, "secret": secrets[:1]}).secret) == 1


@pytest.mark.parametrize(
    ("changed", "path", "said"),
    [
        ({"files": {"write": "a"}}, ("files", "write"), "write must be a list"),
        ({"files": {"hide": "a"}}, ("files", "hide"), "hide must be a list"),
        ({"files": {"protect": "a"}}, ("files", "protect"), "protect must be a list"),
        ({"env": {"set": "a"}}, ("env", "set"), "set must be a table"),
        ({"env": {"pass": "a"}}, ("env", "pass"), "pass must be a list"),
        ({"limits": {"memory": "a"}}, ("limits", "memory"), "memory must be "),
        *(
            (
                {"test": [{"attempt": "a.example", "expect": "deny", key: 1}]},
                ("test", 0, key),
                f"{key} must be ",
            )
            for key in ("attempt", "expect", "rule", "at")
        ),
        ({"secret": [{"name": 1, "from": {"env": "A"}}]}, ("secret", 0, "name"), "name must be a text"),
        (
            {"secret": [{"name": "a", "from": {"env": 1}}]},
            ("secret", 0, "from", "env"),
            "env must be the name",
        ),
        (
            {"secret": [{"name": "a", "from": 1}]},
            ("secret", 0, "from"),
            "from must be a table such as { env = ",
        ),
    ],
)
def test_each_key_of_the_other_tables_has_its_reader(
    changed: dict[str, Any], path: tuple[object, ...], said: str
) -> None:
    (fault,) = faults_of(**changed)
    assert fault.path == path
    assert fault.message.startswith(said)


def test_what_is_missing_or_unknown_in_a_secret_is_told_with_its_table() -> None:
    name, source = faults_of(secret=[{}])
    assert name.message == 'the key "name" is missing in a [[secret]] table; write name = "api-token"'
    assert source.message == (
        'the key "from" is missing in a [[secret]] table; write from = { env = "API_TOKEN" }'
    )
    (fault,) = faults_of(secret=[{"name": "a", "from": {"env": "A", "colour": 1}}])
    assert fault.message == 'unknown key "colour" in a `from` table; the keys there are env, file, command'
