"""Policies as strategies: as documents (what TOML and YAML both say), as texts, and loaded.

Every key of an `[[egress]]` table has its strategy in RULE_KEYS; a test holds it against policy/rule.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from trio_egress.policy.load import load_policy
from trio_egress.policy.rule import Policy

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


RULE_KEYS: Mapping[str, SearchStrategy[Any]] = {
    "methods": st.lists(st.sampled_from(("GET", "HEAD", "POST", "PURGE")), min_size=1, max_size=3),
    "allow_private": st.booleans(),
}
"""The optional keys of an `[[egress]]` table."""


def rules() -> SearchStrategy[Document]:
    """One `[[egress]]` table."""
    return st.fixed_dictionaries({"destination": destinations()}, optional=dict(RULE_KEYS))


def pins() -> SearchStrategy[Document]:
    """The `[resolve]` table."""
    targets = ("a.example", "b.a.example", "b.a.example:443", "10.1.2.3", "1.1.1.1:80", "[::1]:443")
    answers = ("127.0.0.1", "127.0.0.1:8443", "::1", "[::1]:8443", "10.9.9.9")
    return st.dictionaries(st.sampled_from(targets), st.sampled_from(answers), max_size=3)


def documents(
    rule: SearchStrategy[Document] | None = None, *, max_rules: int = 5
) -> SearchStrategy[Document]:
    """Whole policies. `rule`: one table, if not any of `rules()`."""
    tables = st.lists(rules() if rule is None else rule, max_size=max_rules)
    return st.builds(
        lambda egress, resolve: {
            "version": "1.0",
            "default_deny": True,
            **({"egress": egress} if egress else {}),
            **({"resolve": resolve} if resolve else {}),
        },
        tables,
        pins(),
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
