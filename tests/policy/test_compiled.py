"""The compiled form of a policy, and its hash."""

from __future__ import annotations

import hashlib
import json
from random import Random

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_egress.errors import PolicyError
from trio_egress.model import Attempt, Decision, Protocol, RuleRef, Transport
from trio_egress.policy.compiled import (
    _WRITERS,
    COMPILED_FILE,
    WORDS,
    parse_compiled,
    policy_hash,
    render_compiled,
)
from trio_egress.policy.engine import decide
from trio_egress.policy.files import DEFAULT_PROTECT
from trio_egress.policy.hosts import parse_host
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Terms

HEAD = 'version = "1.0"\ndefault_deny = true\n'
POLICY = (
    HEAD
    + """
[[egress]]
destination = "bücher.example"
methods = ["HEAD", "GET"]
[[egress]]
destination = "10.0.0.0/8"
allow_private = true
[resolve]
"z.example" = "127.0.0.1"
"a.example:443" = "[::1]:8443"
"""
)


def hash_of(text: str) -> str:
    return policy_hash(load_policy(text, "f"))


def test_the_compiled_form_is_canonical_json_of_rules_without_defaults_and_tables_with_them() -> None:
    protect = json.dumps(sorted(DEFAULT_PROTECT), separators=(",", ":")).encode()
    assert render_compiled(load_policy(POLICY, "f")) == (
        b'{"default_deny":true,"dns_resolution":"proxy_only","egress":['
        b'{"allow_private":true,"destination":"10.0.0.0/8"},'
        b'{"destination":"xn--bcher-kva.example","methods":["GET","HEAD"]}],'
        b'"env":{"pass":null,"set":{}},'
        b'"files":{"hide":[],"protect":' + protect + b',"write":[]},'
        b'"limits":{"cpu_seconds":null,"file_size":null,"memory":null,"open_files":null,"processes":4096,'
        b'"wall_seconds":null},'
        b'"resolve":{"a.example:443":"[::1]:8443","z.example":"127.0.0.1"},"version":"1.0"}'
    )


def test_what_is_said_of_files_variables_and_limits_is_in_the_compiled_form() -> None:
    compiled = json.loads(
        render_compiled(
            load_policy(
                f"""{HEAD}
[files]
write = ["~/b", "./a"]
hide = ["secrets"]
protect = ["Makefile", "!.vscode"]
[env]
pass = ["PATH", "LC_*"]
set = {{B = "ü", A = "1"}}
[limits]
memory = "2 GiB"
wall_seconds = 60
""",
                "f",
            )
        )
    )
    assert compiled["files"] == {
        "write": ["a", "~/b"],
        "hide": ["secrets"],
        "protect": sorted({*DEFAULT_PROTECT, "Makefile"} - {".vscode"}),
    }
    assert compiled["env"] == {"pass": ["LC_*", "PATH"], "set": {"A": "1", "B": "ü"}}
    assert compiled["limits"]["memory"] == 2 << 30
    assert compiled["limits"]["wall_seconds"] == 60


def test_the_hash_is_that_of_the_compiled_form() -> None:
    policy = load_policy(POLICY, "f")
    assert policy_hash(policy) == "sha256:" + hashlib.sha256(render_compiled(policy)).hexdigest()


def test_another_spelling_of_the_same_policy_has_the_same_hash() -> None:
    respelt = """
# another file, in another order of keys
default_deny = true
version = '1.0'
dns_resolution = "proxy_only"
resolve = {"A.example.:443" = "[0:0::1]:8443", "z.example" = "127.0.0.1"}
egress = [
    {allow_private = true, destination = "10.0.0.0/8"},
    {methods = ["GET", "HEAD", "GET"], destination = "BÜCHER.example", allow_private = false},
    {allow_private = true, destination = "10.0.0.0/8"},
]
"""
    assert hash_of(respelt) == hash_of(POLICY)


@pytest.mark.parametrize(
    ("said", "also"),
    [
        ('paths = ["/a b/*", "/ü"]', 'paths = ["/%C3%BC", "/a%20b/*", "/%61%20b/*"]'),
        ('paths = ["/a%2fb"]', 'paths = ["/%61%2Fb"]'),
        ('git = { fetch = ["org/a b"] }', 'git = { fetch = ["org/a%20b.git", "org/a b"] }'),
        ("ports = [80, 81, 443]", 'ports = [443, "80-81"]'),
        ('protocol = "https"', 'protocol = ["https", "https"]'),
        ('headers = { forbidden = ["X-Api_Key"] }', 'headers = { forbidden = ["x-api-key", "x_api_key"] }'),
        ('limits = { bytes_up = "1 KiB" }', "limits = { bytes_up = 1024 }"),
        ("websocket = { enabled = true, frame_scan = false }", "websocket = { enabled = true }"),
        ("scan = false", 'name = "x"\nreason = "no matter"'),
    ],
)
def test_spellings_of_one_value_have_one_hash(said: str, also: str) -> None:
    rule = f'{HEAD}[[egress]]\ndestination = "a.example"\n'
    assert hash_of(f"{rule}{said}\n") == hash_of(f"{rule}{also}\n")
    policy = load_policy(f"{rule}{also}\n", "f")
    assert render_compiled(parse_compiled(render_compiled(policy))) == render_compiled(policy)


def test_an_encoded_slash_is_no_slash_in_the_hash_either() -> None:
    rule = f'{HEAD}[[egress]]\ndestination = "a.example"\n'
    assert hash_of(f'{rule}paths = ["/a%2Fb"]\n') != hash_of(f'{rule}paths = ["/a/b"]\n')


def test_patterns_of_every_kind_are_in_the_compiled_form() -> None:
    rules = """
[[egress]]
destination = "a.example"
paths = ["/a%2fb"]
[[egress]]
destination = "b.example"
mcp = { tools = ["b", "a_*"] }
"""
    compiled = json.loads(render_compiled(load_policy(HEAD + rules, "f")))
    assert compiled["egress"] == [
        {"destination": "a.example", "paths": ["/a%2Fb"]},
        {"destination": "b.example", "mcp": {"tools": ["a_*", "b"]}},
    ]


def test_every_difference_of_meaning_changes_the_hash() -> None:
    changed = [
        POLICY.replace("bücher", "buecher"),
        POLICY.replace('["HEAD", "GET"]', '["GET"]'),
        POLICY.replace('methods = ["HEAD", "GET"]\n', ""),
        POLICY.replace("allow_private = true", "allow_private = false"),
        POLICY.replace("10.0.0.0/8", "10.0.0.0/9"),
        POLICY.replace("8443", "8444"),
        POLICY.replace("a.example:443", "a.example"),
        POLICY.replace("z.example", "y.example"),
        POLICY + '"b.example" = "127.0.0.1"\n',
        POLICY + '[files]\nwrite = ["build"]\n',
        POLICY + '[files]\nhide = ["build"]\n',
        POLICY + '[files]\nprotect = ["build"]\n',
        POLICY + '[files]\nprotect = ["!.vscode"]\n',
        POLICY + "[env]\npass = []\n",
        POLICY + '[env]\npass = ["A"]\n',
        POLICY + '[env]\nset = {A = ""}\n',
        POLICY + "[limits]\nprocesses = 1\n",
        POLICY + "[limits]\ncpu_seconds = 1\n",
        HEAD,
    ]
    assert len({hash_of(text) for text in [POLICY, *changed]}) == len(changed) + 1


def test_every_key_of_a_rule_is_in_the_compiled_form_or_named_as_words() -> None:
    keys = [field.name for field in attrs.fields(Terms)]
    assert sorted([*_WRITERS, *WORDS]) == sorted(keys)


def test_a_rule_that_is_said_twice_is_one_rule_and_the_first_is_named() -> None:
    rule = '[[egress]]\ndestination = "a.example"\n'
    policy = load_policy(HEAD + rule + rule.replace("a.ex", "A.ex"), "f")
    assert [rule.ref for rule in policy.rules] == [RuleRef(0, "a.example", 3)]


_DESTINATIONS = st.sampled_from(
    [
        "a.example",
        "*.a.example:22",
        "ü.example:1",
        "192.0.2.1",
        "[2001:db8::1]:80",
        "2001:db8::/32",
        "10.0.0.0/8",
    ]
)
_RULES = st.lists(
    st.fixed_dictionaries(
        {"destination": _DESTINATIONS},
        optional={
            "methods": st.lists(st.sampled_from(["GET", "PUT", "PURGE"]), min_size=1),
            "allow_private": st.booleans(),
        },
    ),
    max_size=5,
)
_PINS = st.dictionaries(
    st.sampled_from(["a.example", "a.example:443", "[2001:db8::1]:80", "192.0.2.1"]),
    st.sampled_from(["127.0.0.1", "127.0.0.1:8443", "::1", "[::1]:8443"]),
)


_HOSTS = st.sampled_from(
    [
        "a.example",
        "b.a.example",
        "xn--tda.example",
        "192.0.2.1",
        "2001:db8::1",
        "10.1.2.3",
        "8.8.8.8",
        "c.example",
    ]
)
_ATTEMPTS = st.builds(
    Attempt,
    st.just(Transport.TRANSPARENT),
    st.sampled_from(Protocol),
    _HOSTS.map(parse_host),
    st.sampled_from([0, 1, 22, 80, 443]),
    st.sampled_from([None, "GET", "PUT", "CONNECT"]),
)


def render_toml(rules: list[dict[str, object]], pins: dict[str, str]) -> str:
    """JSON values are TOML values, but for null and tables."""
    tables = [
        "[[egress]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in rule.items())
        for rule in rules
    ]
    resolve = "".join(f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in pins.items())
    return HEAD + "".join(tables) + "[resolve]\n" + resolve


def without_place(decision: Decision) -> tuple[object, ...]:
    """A decision without the numbers by which it names its rule."""
    rule = decision.rule
    named = None if rule is None else rule.destination
    reason = decision.reason if rule is None else decision.reason.replace(str(rule), named or "")
    return decision.allowed, decision.layer, decision.upstream, named, reason


@settings(deadline=None)
@given(_RULES, _PINS, st.lists(_ATTEMPTS, max_size=8), st.randoms(use_true_random=False))
def test_the_compiled_form_reads_back_as_a_policy_that_decides_alike_whatever_the_order_of_rules(
    rules: list[dict[str, object]], pins: dict[str, str], attempts: list[Attempt], chance: Random
) -> None:
    policy = load_policy(render_toml(rules, pins), "f")
    compiled = render_compiled(policy)
    chance.shuffle(rules)
    shuffled = load_policy(render_toml(rules, pins), "f")
    again = parse_compiled(compiled)
    assert render_compiled(again) == render_compiled(shuffled) == compiled
    for attempt in attempts:
        decided = {without_place(decide(each, attempt)) for each in (policy, shuffled, again)}
        assert len(decided) == 1


def test_a_rule_of_the_compiled_form_is_named_by_its_place_there() -> None:
    policy = parse_compiled(render_compiled(load_policy(POLICY, "f")))
    assert [str(rule.ref) for rule in policy.rules] == [
        "egress[0] '10.0.0.0/8' (line 1)",
        "egress[1] 'xn--bcher-kva.example' (line 1)",
    ]
    assert policy.source_file == COMPILED_FILE == "policy-compiled.json"


def test_what_is_said_of_files_variables_and_limits_reads_back() -> None:
    text = f"""{HEAD}
[files]
write = ["~/b", "a"]
protect = ["Makefile", "!.vscode"]
[env]
pass = ["PATH"]
set = {{A = "1"}}
[limits]
memory = "2 GiB"
"""
    policy = load_policy(text, "f")
    again = parse_compiled(render_compiled(policy))
    assert (set(again.files.write), again.files.protect) == ({"a", "~/b"}, policy.files.protect)
    assert (again.env, again.limits) == (policy.env, policy.limits)


COMPILED = render_compiled(load_policy(POLICY, "f"))


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "it is not a compiled policy"),
        (b"\xff", "it is not a compiled policy"),
        (b"[]", "it is not a compiled policy"),
        (b"{}", "it is not a compiled policy"),
        (b"[" * 100_000, "it is not a compiled policy"),
        (COMPILED.replace(b'"env":{"pass":null,"set":{}}', b'"env":null'), "it is not a compiled policy"),
        (COMPILED.replace(b'"protect":[', b'"protect":[1,'), "and this is 1"),
        (COMPILED.replace(b'"a.example:443"', b'"a.example:0"'), "the port must be a number"),
        (COMPILED + b"\n", "it is not in canonical form"),
        (COMPILED.replace(b":4096", b": 4096"), "it is not in canonical form"),
        (COMPILED.replace(b"10.0.0.0/8", b"10.0.0.0/08"), "a destination has no path"),
        (COMPILED.replace(b"bcher-kva.example", b"BCHER-kva.example"), "it is not in canonical form"),
        (
            COMPILED.replace(b'"egress":[', b'"egress":[{"destination":"z.example"},'),
            "it is not in canonical form",
        ),
        (COMPILED.replace(b'"version"', b'"version":"1.0","version"'), "it is not in canonical form"),
        (COMPILED.replace(b'"version"', b'"verzion"'), 'unknown key "verzion" at the top of the file'),
    ],
)
def test_what_is_not_the_compiled_form_of_a_policy_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse_compiled(raw)
    assert f"{COMPILED_FILE}:1:1: error: " in str(caught.value)
    assert said in str(caught.value)


def test_all_that_is_wrong_is_told_up_to_what_people_read() -> None:
    wrong = COMPILED.replace(b'"version"', b'"verzion"').replace(b'"10.0.0.0/8"', b"1")
    with pytest.raises(PolicyError) as caught:
        parse_compiled(wrong)
    (problem,) = caught.value.problems
    assert "; " in problem.message
    with pytest.raises(PolicyError) as caught:
        parse_compiled(
            COMPILED.replace(b'"version"', b'"' + b"v" * 50 + b'":1,"version"').replace(
                b'"egress":[', b'"egress":[' + b"1," * 100
            )
        )
    assert len(caught.value.problems[0].message) == 500
