"""Policies as strategies: as documents (what TOML and YAML both say), as texts, and loaded.

Every key of an `[[egress]]` table has its strategy in RULE_KEYS; a test holds it against policy/rule.py.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from trio_egress.errors import PolicyError
from trio_egress.fuzzing.meant import ORIGINS, SUBPROTOCOLS
from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy, Rule

Document = dict[str, Any]
"""A policy as nested dicts, lists and scalars."""

HOSTS = ("a.example", "b.a.example", "c.b.a.example", "example", "xn--bcher-kva.example", "host.internal")
"""Few, and below each other, so that rules meet each other and attempts meet rules."""

_ADDRESSES = ("1.1.1.1", "10.1.2.3", "[2606:4700::1]", "[::1]")
_WIDE = (
    *(f"*.{host}" for host in HOSTS[:4]),
    "0.0.0.0/0",
    "10.0.0.0/8",
    "1.1.1.0/24",
    "::/0",
    "2606:4700::/32",
)
_PORTS = (22, 80, 443, 8443)


def destinations() -> SearchStrategy[str]:
    """What an `[[egress]]` table may say of where it leads."""
    single = st.sampled_from((*HOSTS[:5], *_ADDRESSES))
    wild = st.sampled_from(_WIDE[:4])
    ports = st.sampled_from(_PORTS)
    with_port = st.builds("{}:{}".format, single | wild | st.just("host.internal"), ports)
    return single | st.sampled_from(_WIDE) | with_port


_PATHS = ("/v1/items", "/v1/*", "/v1/items/*/x", "/docs/**", "/**", "/a*c", "/b%20c", "/**/end")
_WORDS = ("search", "get_*", "*", "delete_item", "x")
_REPOSITORIES = ("org/repo", "org/*", "**/tools", "org/repo.git")
_SCHEMES = ("http", "https", "ws", "wss", "ssh", "tcp")
_WINDOWS = ("Mon-Fri 08:00-18:00 UTC", "Sun 00:00-24:00 UTC", "Sat-Sun 23:59-24:00 UTC")
_FIELDS = ("authorization", "x-request-id", "cookie")


def _some(words: Sequence[object], least: int = 1) -> SearchStrategy[Any]:
    return st.lists(st.sampled_from(words), min_size=least, max_size=3, unique=True)


_HOST_KEYS = (f"SHA256:{'A' * 43}", f"SHA256:{'B' * 42}E=")


def _table(**keys: SearchStrategy[Any]) -> SearchStrategy[Document]:
    """With at least one key."""
    return st.fixed_dictionaries({}, optional=keys).filter(bool)


_ACTIONS = ("block", "warn", "strip", "off")

RULE_KEYS: Mapping[str, SearchStrategy[Any]] = {
    "methods": _some(("GET", "HEAD", "POST", "PURGE")),
    "paths": _some(_PATHS),
    "deny": st.sampled_from((True, True, False)),
    "allow_private": st.sampled_from((True, True, False)),
    "ports": _some((22, 80, 443, 8443, "8000-8099", "1-65535")),
    "protocol": st.sampled_from(_SCHEMES) | _some(_SCHEMES[:5]),
    "host_keys": _some(_HOST_KEYS),
    "query": _some(("page", "q", "token"), 0),
    "headers": _table(required=_some(_FIELDS[:2], 0), forbidden=_some(_FIELDS[1:], 0)),
    "git": _table(fetch=_some(_REPOSITORIES, 0), push=_some(_REPOSITORIES[:2], 0)),
    "graphql": _table(
        operations=_some(_WORDS, 0),
        queries=_some(_WORDS, 0),
        mutations=_some(_WORDS, 0),
        subscriptions=_some(_WORDS, 0),
    ),
    "jsonrpc": _table(methods=_some(_WORDS)),
    "mcp": _table(
        methods=_some(("tools/call", "tools/list", "*"), 0),
        tools=_some(_WORDS, 0),
        arguments=st.dictionaries(
            st.sampled_from(("*", "get_x")),
            st.dictionaries(
                st.sampled_from(("path", "*")), st.sampled_from(("/src/**", "a*", "*")), max_size=2
            ),
            min_size=1,
            max_size=2,
        ),
    ),
    "tls": st.sampled_from(("intercept", "passthrough")),
    "ask": st.booleans() | _table(seconds=st.sampled_from((1, 60, 3600))),
    "scan": st.booleans()
    | _table(
        secret=st.sampled_from(_ACTIONS),
        instruction=st.sampled_from(_ACTIONS),
        detectors=st.dictionaries(
            st.sampled_from(("github-token", "jwt")), st.sampled_from(_ACTIONS), min_size=1
        ),
        answers=st.booleans(),
        whole=st.sampled_from((0, "64 KiB")),
        unreadable=st.sampled_from(_ACTIONS[:2]),
    ),
    "websocket": _table(
        enabled=st.booleans(),
        frame_scan=st.booleans(),
        proxy_path=st.just("/ws?url="),
        origins=_some(ORIGINS),
        subprotocols=_some(SUBPROTOCOLS),
        binary=st.booleans(),
        message=st.sampled_from((1, "1 MiB")),
        messages=st.sampled_from(("1/second", "100/minute")),
        seconds=st.integers(1, 3600),
    ),
    "times": _some(_WINDOWS),
    "limits": _table(
        requests=st.sampled_from(("1/second", "100/minute")),
        connections=st.integers(1, 3),
        bytes_up=st.sampled_from((1, "1 KiB")),
        bytes_down=st.sampled_from((1, "1 GiB")),
        body=st.sampled_from((0, 100, "1 MiB")),
    ),
    "name": st.sampled_from(("read", "write-2")),
    "reason": st.sampled_from(("because", "ü is fine, too")),
}
"""The optional keys of an `[[egress]]` table."""

_DENYING = ("methods", "paths", "ports", "protocol", "git", "graphql", "jsonrpc", "mcp", "times")


@st.composite
def rules(draw: st.DrawFn) -> Document:
    """One `[[egress]]` table that can stand in a policy, with up to four optional keys."""
    keys = draw(st.lists(st.sampled_from(list(RULE_KEYS)), max_size=4, unique=True))
    if draw(st.integers(0, 15)) == 0:
        carried = {key: draw(RULE_KEYS[key]) for key in ("host_keys", "git")}
        return _drop_until_valid({"destination": draw(destinations()), "protocol": "ssh", **carried})
    return _drop_until_valid(
        {"destination": draw(destinations()), **{key: draw(RULE_KEYS[key]) for key in keys}}
    )


def denials(texts: Sequence[str], place: int) -> SearchStrategy[Rule]:
    """Rules with `deny` for one of these destinations, or any, to be added to a policy that has `place` rules."""
    where = st.sampled_from(texts) | destinations() if texts else destinations()
    tables = st.builds(lambda rule, text: {"destination": text, "deny": True, **rule}, _denying(), where)
    valid = tables.map(_drop_until_valid).map(
        lambda rule: load_policy(render_toml(make_document([rule])), "added")
    )
    return valid.map(lambda policy: _place(policy.rules[0], place))


@st.composite
def _denying(draw: st.DrawFn) -> Document:
    keys = draw(st.lists(st.sampled_from(_DENYING), max_size=2, unique=True))
    return {key: draw(RULE_KEYS[key]) for key in keys}


def _place(rule: Rule, place: int) -> Rule:
    return attrs.evolve(rule, ref=attrs.evolve(rule.ref, index=place), rank=place)


def _drop_until_valid(rule: Document) -> Document:
    """Without the keys that can't stand together with those before them."""
    while not _is_valid(render_toml(make_document([rule]))):
        rule = dict(list(rule.items())[:-1])
    return rule


@functools.lru_cache(10_000)
def _is_valid(text: str) -> bool:
    try:
        load_policy(text, "fuzz.toml")
    except PolicyError:
        return False
    return True


def pins() -> SearchStrategy[Document]:
    """The `[resolve]` table."""
    targets = ("a.example", "b.a.example", "b.a.example:443", "10.1.2.3", "1.1.1.1:80", "[::1]:443")
    answers = ("127.0.0.1", "127.0.0.1:8443", "::1", "[::1]:8443", "10.9.9.9")
    return st.dictionaries(st.sampled_from(targets), st.sampled_from(answers), max_size=3)


def scans() -> SearchStrategy[Document]:
    """The `[scan]` table, and nothing where it is drawn empty."""
    suppression = st.fixed_dictionaries(
        {
            "finding": st.sampled_from([f"sha256:{digit * 64}" for digit in "0a"]),
            "detector": st.just("jwt"),
            "reason": st.just("an example"),
            "expires": st.sampled_from(("1969-12-31", "2027-03-31", "9999-12-31")),
        }
    )
    keys = {
        "secret": st.sampled_from(_ACTIONS),
        "detectors": st.dictionaries(st.sampled_from(("jwt", "x")), st.sampled_from(_ACTIONS), min_size=1),
        "answers": st.booleans(),
        "unreadable": st.sampled_from(_ACTIONS[:2]),
        "env": _some(("OUR_*", "A"), 0),
        "files": _some(("~/token", "a"), 0),
        "guess": st.booleans(),
        "suppress": st.lists(suppression, max_size=2),
    }
    return st.just({}) | st.fixed_dictionaries({}, optional=keys)


def make_document(
    egress: list[Document], resolve: Document | None = None, scan: Document | None = None
) -> Document:
    """A whole policy of these rules and pins, with the keys that rules for git over SSH need."""
    tables = {"egress": egress, "resolve": resolve or {}, "scan": scan or {}, "secret": _make_keys(egress)}
    return {"version": "1.0", "default_deny": True, **{key: table for key, table in tables.items() if table}}


def _make_keys(egress: list[Document]) -> list[Document]:
    """One for each destination."""
    carrying = [
        rule["destination"]
        for rule in egress
        if rule.get("protocol") in ("ssh", ["ssh"]) and "git" in rule and not rule.get("deny")
    ]
    return [
        {"name": f"key-{number}", "from": {"env": "KEY"}, "to": [destination], "as": "ssh"}
        for number, destination in enumerate(dict.fromkeys(carrying))
    ]


def documents(
    rule: SearchStrategy[Document] | None = None, *, max_rules: int = 5
) -> SearchStrategy[Document]:
    """Whole policies. `rule`: one table, if not any of `rules()`."""
    tables = st.lists(rules() if rule is None else rule, min_size=1, max_size=max_rules)
    return st.builds(make_document, tables, pins(), scans()).filter(
        lambda document: _is_valid(render_toml(document))
    )


def policies(rule: SearchStrategy[Document] | None = None, *, max_rules: int = 5) -> SearchStrategy[Policy]:
    """Loaded policies, from TOML."""
    return documents(rule, max_rules=max_rules).map(
        lambda document: load_policy(render_toml(document), "fuzz.toml")
    )


def render_toml(document: Document) -> str:
    """A document as a policy file. JSON's texts are TOML's, but that TOML wants DEL escaped."""
    scalars = {key: value for key, value in document.items() if not _is_tabular(value)}
    lines = [f"{_render(key)} = {_render(value)}" for key, value in scalars.items()]
    for key, value in document.items():
        if not _is_tabular(value):
            continue
        for table in value if isinstance(value, list) else [value]:
            header = f"[[{_render(key)}]]" if isinstance(value, list) else f"[{_render(key)}]"
            lines += [header, *(f"{_render(name)} = {_render(inner)}" for name, inner in table.items())]
    return "\n".join([*lines, ""])


def _is_tabular(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def _render(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{_render(key)} = {_render(inner)}" for key, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_render, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
