"""The JSON Schema: valid itself, whole, and never stricter than what is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import tomli
import yaml
from cattrs import BaseValidationError
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from tests.policy.test_reference import blocks

from trio_egress.policy.cases import Case
from trio_egress.policy.environment import VALUE_CHARS
from trio_egress.policy.keys import _READERS, structure
from trio_egress.policy.mcp_table import McpTable
from trio_egress.policy.meanings import MEANINGS
from trio_egress.policy.presets import PRESETS, read_preset
from trio_egress.policy.problems import key_of
from trio_egress.policy.rule import Terms
from trio_egress.policy.schema import _NAMES, _SHAPES, describe, make_schema, render_schema
from trio_egress.policy.secret import From, Secret
from trio_egress.policy.sought import Canary
from trio_egress.policy.starter import starter_policy
from trio_egress.policy.suppressed import Suppress

SCHEMA = make_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
HEAD: dict[str, Any] = {"version": "1.0", "default_deny": True}
EXAMPLES = Path(__file__).parents[2] / "examples"


def test_it_is_a_schema_of_its_draft() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(render_schema()) == SCHEMA
    assert render_schema().endswith("}\n")


def test_every_key_of_every_table_has_its_shape_and_its_meaning() -> None:
    for table in _READERS:
        keys = [key_of(field.name) for field in attrs.fields(table)]
        assert sorted(_SHAPES[table]) == sorted(keys)
        assert list(MEANINGS[table]) == keys
    assert set(_SHAPES) == set(MEANINGS) == set(_READERS) == {*_NAMES, next(iter(_SHAPES))}


def test_a_description_is_without_the_marks_of_a_page() -> None:
    described = SCHEMA["properties"]["include"]["description"]
    assert described == "other files and presets that belong to the policy"
    assert describe(Terms, "destination") == MEANINGS[Terms]["destination"]


def test_defaults_and_required_keys_are_told() -> None:
    rule = SCHEMA["$defs"]["rule"]
    assert rule["required"] == ["destination"]
    assert SCHEMA["required"] == ["version", "default_deny"]
    assert rule["properties"]["deny"]["default"] is False
    assert "default" not in rule["properties"]["methods"]
    assert SCHEMA["$defs"]["limits"]["properties"]["processes"]["default"] == 4096


def parse(text: str) -> Any:
    """A policy as an editor sees it: a date is a text."""
    return json.loads(json.dumps(tomli.loads(text), default=str))


def valid_policies() -> Iterator[tuple[str, Any]]:
    for path in sorted(EXAMPLES.glob("*.toml")):
        yield path.name, parse(path.read_text("utf-8"))
    for name in PRESETS:
        yield f"preset:{name}", parse(read_preset(f"preset:{name}").decode())
    yield "starter", parse(starter_policy())
    shown = blocks()
    for place, ((language, text), (following, _)) in enumerate(
        zip(shown, [*shown[1:], ("", "")], strict=True)
    ):
        if language == "toml" and following != "text":
            yield f"docs/policy.md, block {place}", parse(text)
        elif language == "yaml":
            yield f"docs/policy.md, block {place}", yaml.safe_load(text)


@pytest.mark.parametrize(
    ("name", "policy"), list(valid_policies()), ids=lambda value: value if type(value) is str else ""
)
def test_every_policy_of_the_project_fits(name: str, policy: Any) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(policy)] == [], name


RULE = {"destination": "a.example"}


@pytest.mark.parametrize(
    ("policy", "place"),
    [
        ({}, []),
        ({"version": "1.0"}, []),
        ({**HEAD, "version": "2.0"}, ["version"]),
        ({**HEAD, "version": 1.0}, ["version"]),
        ({**HEAD, "default_deny": False}, ["default_deny"]),
        ({**HEAD, "default_deny": 1}, ["default_deny"]),
        ({**HEAD, "dns_resolution": "system"}, ["dns_resolution"]),
        ({**HEAD, "egres": []}, []),
        ({**HEAD, "egress": RULE}, ["egress"]),
        ({**HEAD, "egress": [{}]}, ["egress", 0]),
        ({**HEAD, "egress": [{"destinaton": "a.example"}]}, ["egress", 0]),
        ({**HEAD, "egress": [{"destination": 1}]}, ["egress", 0, "destination"]),
        ({**HEAD, "egress": [{**RULE, "methods": []}]}, ["egress", 0, "methods"]),
        ({**HEAD, "egress": [{**RULE, "methods": "GET"}]}, ["egress", 0, "methods"]),
        ({**HEAD, "egress": [{**RULE, "methods": ["get"]}]}, ["egress", 0, "methods", 0]),
        ({**HEAD, "egress": [{**RULE, "methods": ["CONNECT"]}]}, ["egress", 0, "methods", 0]),
        ({**HEAD, "egress": [{**RULE, "allow_private": "yes"}]}, ["egress", 0, "allow_private"]),
        ({**HEAD, "egress": [{**RULE, "name": "No Word"}]}, ["egress", 0, "name"]),
        ({**HEAD, "egress": [{**RULE, "ports": [0]}]}, ["egress", 0, "ports", 0]),
        ({**HEAD, "egress": [{**RULE, "protocol": "ftp"}]}, ["egress", 0, "protocol"]),
        ({**HEAD, "egress": [{**RULE, "paths": ["v1"]}]}, ["egress", 0, "paths", 0]),
        ({**HEAD, "egress": [{**RULE, "git": {}}]}, ["egress", 0, "git"]),
        ({**HEAD, "egress": [{**RULE, "git": {"pull": []}}]}, ["egress", 0, "git"]),
        ({**HEAD, "egress": [{**RULE, "jsonrpc": {}}]}, ["egress", 0, "jsonrpc"]),
        ({**HEAD, "egress": [{**RULE, "tls": "off"}]}, ["egress", 0, "tls"]),
        ({**HEAD, "egress": [{**RULE, "times": ["always"]}]}, ["egress", 0, "times", 0]),
        ({**HEAD, "egress": [{**RULE, "limits": {"requests": "100"}}]}, ["egress", 0, "limits", "requests"]),
        *(
            ({**HEAD, "egress": [{**RULE, **keys}]}, ["egress", 0, *place])
            for keys, place in (
                ({"destination": ""}, ["destination"]),
                ({"name": "n" * 65}, ["name"]),
                ({"name": 1}, ["name"]),
                ({"reason": ""}, ["reason"]),
                ({"reason": 1}, ["reason"]),
                ({"reason": "r" * 201}, ["reason"]),
                ({"ports": [65536]}, ["ports", 0]),
                ({"ports": ["443"]}, ["ports", 0]),
                ({"ports": ["0-1"]}, ["ports", 0]),
                ({"ports": [True]}, ["ports", 0]),
                ({"ports": []}, ["ports"]),
                ({"ports": [1] * 1001}, ["ports"]),
                ({"methods": [1]}, ["methods", 0]),
                ({"paths": [1]}, ["paths", 0]),
                ({"paths": []}, ["paths"]),
                ({"query": [1]}, ["query", 0]),
                ({"query": [""]}, ["query", 0]),
                ({"query": ["q" * 201]}, ["query", 0]),
                ({"headers": {"required": ["a b"]}}, ["headers", "required", 0]),
                ({"headers": {"forbidden": [1]}}, ["headers", "forbidden", 0]),
                ({"headers": {"forbidden": ["x" * 201]}}, ["headers", "forbidden", 0]),
                ({"git": {"fetch": [1]}}, ["git", "fetch", 0]),
                ({"git": {"fetch": [""]}}, ["git", "fetch", 0]),
                ({"git": {"push": [1]}}, ["git", "push", 0]),
                ({"git": {"push": [""]}}, ["git", "push", 0]),
                ({"mcp": {"tools": [1]}}, ["mcp", "tools", 0]),
                ({"websocket": {"proxy_path": 1}}, ["websocket", "proxy_path"]),
                ({"websocket": {"proxy_path": "/ws"}}, ["websocket", "proxy_path"]),
                ({"times": [1]}, ["times", 0]),
                ({"times": []}, ["times"]),
                ({"limits": {"requests": 1}}, ["limits", "requests"]),
                ({"limits": {"connections": 0}}, ["limits", "connections"]),
                ({"limits": {"connections": 2**53}}, ["limits", "connections"]),
                ({"limits": {"bytes_up": 0}}, ["limits", "bytes_up"]),
                ({"limits": {"bytes_down": 0}}, ["limits", "bytes_down"]),
                ({"limits": {"body": -1}}, ["limits", "body"]),
            )
        ),
        *(
            ({**HEAD, "test": [{"attempt": "a.example", "expect": "deny", **keys}]}, ["test", 0, *place])
            for keys, place in (
                ({"attempt": ""}, ["attempt"]),
                ({"attempt": 1}, ["attempt"]),
                ({"expect": "maybe"}, ["expect"]),
                ({"rule": ""}, ["rule"]),
                ({"rule": 1}, ["rule"]),
                ({"at": "soon"}, ["at"]),
                ({"at": 1}, ["at"]),
            )
        ),
        ({**HEAD, "include": [""]}, ["include", 0]),
        ({**HEAD, "include": [1]}, ["include", 0]),
        ({**HEAD, "include": ["preset:x.toml"]}, ["include", 0]),
        ({**HEAD, "include": [{"file": "a.toml", "sha256": "A" * 64}]}, ["include", 0]),
        ({**HEAD, "include": [{"file": "a.toml", "sha256": 1}]}, ["include", 0]),
        ({**HEAD, "include": [{"file": 1, "sha256": "0" * 64}]}, ["include", 0]),
        ({**HEAD, "include": [{"file": "a.toml", "sha256": "0" * 64, "x": 1}]}, ["include", 0]),
        ({**HEAD, "resolve": []}, ["resolve"]),
        ({**HEAD, "resolve": {"a.example": ""}}, ["resolve", "a.example"]),
        ({**HEAD, "files": {"hide": [1]}}, ["files", "hide", 0]),
        ({**HEAD, "files": {"hide": [""]}}, ["files", "hide", 0]),
        ({**HEAD, "files": {"hide": ["a" * 4097]}}, ["files", "hide", 0]),
        ({**HEAD, "env": {"pass": [1]}}, ["env", "pass", 0]),
        ({**HEAD, "env": {"set": []}}, ["env", "set"]),
        ({**HEAD, "env": {"set": {f"A{place}": "" for place in range(1001)}}}, ["env", "set"]),
        ({**HEAD, "env": {"set": {"A": "a" * (VALUE_CHARS + 1)}}}, ["env", "set", "A"]),
        ({**HEAD, "limits": {"memory": -1}}, ["limits", "memory"]),
        ({**HEAD, "include": ["base"]}, ["include", 0]),
        ({**HEAD, "include": ["preset:nobody"]}, ["include", 0]),
        ({**HEAD, "include": ["https://x.example/a.toml"]}, ["include", 0]),
        ({**HEAD, "include": [{"file": "a.toml"}]}, ["include", 0]),
        ({**HEAD, "resolve": {"a.example": 1}}, ["resolve", "a.example"]),
        ({**HEAD, "files": {"write": "x"}}, ["files", "write"]),
        ({**HEAD, "env": {"pass": ["A=1"]}}, ["env", "pass", 0]),
        ({**HEAD, "env": {"set": {"A": 1}}}, ["env", "set", "A"]),
        ({**HEAD, "env": {"set": {"1": ""}}}, ["env", "set"]),
        ({**HEAD, "limits": {"memory": "2 GB"}}, ["limits", "memory"]),
        ({**HEAD, "limits": {"processes": 0}}, ["limits", "processes"]),
        ({**HEAD, "limits": {"processes": "1"}}, ["limits", "processes"]),
    ],
)
def test_what_is_wrong_in_form_is_found_at_its_place(policy: Any, place: list[object]) -> None:
    assert place in [list(error.absolute_path) for error in VALIDATOR.iter_errors(policy)]
    with pytest.raises(BaseValidationError):
        structure(policy)


@pytest.mark.parametrize(
    "policy",
    [
        {"egress": [{**RULE, "ports": [1, 65535, "8000-8099"], "protocol": "tcp"}]},
        {"egress": [{**RULE, "query": ["q" * 200], "headers": {"required": ["x" * 200]}}]},
        {"egress": [{**RULE, "limits": {"body": 0, "connections": 1, "bytes_up": 1, "bytes_down": "1 B"}}]},
        {"egress": [{**RULE, "name": "n" * 64, "reason": "r" * 200, "times": ["Mon 00:00-24:00 UTC"]}]},
        {"include": [], "egress": [{**RULE, "query": []}], "files": {"write": []}, "test": []},
        {"include": ["a.toml", "preset:github", {"file": "../b.yml", "sha256": "0" * 64}]},
        {"files": {"hide": ["a" * 4096]}, "env": {"set": {"A": "a" * VALUE_CHARS}}},
        {"test": [{"attempt": "a", "expect": "allow", "rule": "x", "at": "2026-11-22T12:00:00Z"}]},
    ],
)
def test_what_is_right_up_to_its_bounds_fits(policy: dict[str, Any]) -> None:
    structure({**HEAD, **policy})
    assert [error.message for error in VALIDATOR.iter_errors({**HEAD, **policy})] == []


KEYWORDS = {
    *(
        "$schema",
        "title",
        "description",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "$defs",
        "$ref",
    ),
    *("default", "enum", "const", "anyOf", "not", "items", "minItems", "maxItems", "minimum", "maximum"),
    *("minLength", "maxLength", "pattern", "minProperties", "maxProperties", "propertyNames"),
}


def find_words(schema: dict[str, Any]) -> Iterator[str]:
    """The keywords of a schema and of all in it."""
    for word, value in schema.items():
        yield word
        if word in ("properties", "$defs"):
            for inner in value.values():
                yield from find_words(inner)
        elif word not in ("default", "const", "enum"):
            for inner in value if isinstance(value, list) else [value]:
                if isinstance(inner, dict):
                    yield from find_words(inner)


def test_every_keyword_is_one_of_the_draft() -> None:
    assert set(find_words(SCHEMA)) == KEYWORDS


TEXTS = [
    *(
        "",
        "a",
        "A",
        "GET",
        "PROPFIND",
        "get",
        f"SHA256:{'A' * 43}",
        "a.example",
        "*.a.example:22",
        "10.0.0.0/8",
        "host.internal:1",
        "ü.example",
    ),
    *(
        "/",
        "/v1/*",
        "/a/**",
        "org/*",
        "~/x",
        "a/b",
        "..",
        "!.vscode",
        "LC_*",
        "PATH",
        "A=1",
        "x-api-key",
        "X Y",
        "*",
    ),
    *(
        "100/minute",
        "1/day",
        "0/day",
        "1/week",
        "2 GiB",
        "2GB",
        "1B",
        "443",
        "8000-8099",
        "9-1",
        "https",
        "wss",
        "ftp",
    ),
    *(
        "intercept",
        "passthrough",
        "Mon-Fri 08:00-18:00 UTC",
        "Sun 00:00-24:00 UTC",
        "Abc 00:00-01:00 UTC",
        "/ws?url=",
    ),
    *(
        "base.toml",
        "a/b.yaml",
        "../c.yml",
        "/d.toml",
        "preset:github",
        "preset:x",
        "x://a.toml",
        "0" * 64,
        "1.0",
        "proxy_only",
        "allow",
        "2026-11-23T09:00:00Z",
        "20261123",
    ),
    *("basic", "header:x-api-key", "header:Host", "query:key", "query:", "ghp_0000placeholder0000"),
    *("127.0.0.1:80", "[::1]:80", "a\x00b", "é", "a" * 300, "a-b_c.d", "-a"),
]
NUMBERS = [-1, 0, 1, 16, 443, 65535, 65536, 1 << 25, 1 << 53, 1.0, 1.5]
_SCALARS = st.sampled_from(TEXTS) | st.booleans() | st.sampled_from(NUMBERS)
_VALUES = (
    _SCALARS
    | st.lists(_SCALARS, max_size=3)
    | st.dictionaries(
        st.sampled_from([*TEXTS, "file", "sha256", *[key for keys in MEANINGS.values() for key in keys]]),
        _SCALARS | st.lists(_SCALARS, max_size=2),
        max_size=2,
    )
)
_PLACES = [(table, key) for table, keys in MEANINGS.items() for key in keys if key not in ("egress", "test")]


def policy_with(table: type, key: str, value: Any) -> dict[str, Any]:
    name = _NAMES.get(table)
    if name is None:
        return {**HEAD, key: value}
    if table is Terms:
        more = {"protocol": "ssh"} if key == "host_keys" else {}
        return {**HEAD, "egress": [{**RULE, **more, key: value}]}
    if table is Case:
        return {**HEAD, "test": [{"attempt": "a.example", "expect": "deny", key: value}]}
    if table is Secret:
        return {**HEAD, "secret": [{"name": "a", "from": {"env": "A"}, "to": ["a.example"], key: value}]}
    if table is From:
        return {**HEAD, "secret": [{"name": "a", "from": {key: value}}]}
    if name == "upstream":
        return {
            **HEAD,
            name: {"proxy": "http://corp:3128", "username": "a", "password": {"env": "A"}, key: value},
        }
    if table is McpTable:
        return {**HEAD, "mcp": {key: value}}
    if table is Canary:
        return {**HEAD, "canary": [{"name": "a", "env": "A", key: value}]}
    if table is Suppress:
        known = {"finding": f"sha256:{'0' * 64}", "detector": "a", "reason": "b", "expires": "2027-03-31"}
        return {**HEAD, "scan": {"suppress": [{**known, key: value}]}}
    if name in ("files", "env", "limits", "tls", "scan"):
        return {**HEAD, name: {key: value}}
    inner = name.removeprefix("rule_")
    return {**HEAD, "egress": [{**RULE, inner: {key: value}}]}


@settings(deadline=None)
@given(st.sampled_from(_PLACES), _VALUES)
def test_what_is_read_fits(place: tuple[type, str], value: Any) -> None:
    policy = policy_with(*place, value)
    try:
        structure(policy)
    except BaseValidationError:
        return
    assert [error.message for error in VALIDATOR.iter_errors(policy)] == []


def test_each_key_is_read_with_some_value_that_was_tried() -> None:
    tried: list[Any] = [
        *TEXTS,
        True,
        1 << 25,
        443,
        *([text] for text in TEXTS),
        [443],
        {"A": "é"},
        {"env": "A"},
        "block",
        {"jwt": "off"},
        "sha256:" + "0" * 64,
        "2027-03-31",
        "2027-3-1",
        "2027-03-31T00:00:00Z",
        {"guess": True},
        [{"name": "a", "env": "A"}],
        [{"finding": "sha256:" + "0" * 64, "detector": "a", "reason": "b", "expires": "2027-03-31"}],
    ]
    tried += [[{"name": "a", "from": {"env": "A"}}], "http://corp:3128", {"proxy": "http://corp:3128"}]
    tried += [
        {"read_*": {"path": "/src/**"}},
        {"a": {}},
        {"a": {"b": ["c", "d"]}},
        {"a": {"b": []}},
        {"a": {"b": 1}},
    ]
    tried += [{key: value} for keys in MEANINGS.values() for key in keys for value in (True, 1 << 25, ["a"])]
    unread = set(_PLACES)
    for place in _PLACES:
        for value in tried:
            policy = policy_with(*place, value)
            try:
                structure(policy)
            except BaseValidationError:
                continue
            unread.discard(place)
            assert VALIDATOR.is_valid(policy), (place, value)
    assert {key for _, key in unread} <= {"resolve"}
