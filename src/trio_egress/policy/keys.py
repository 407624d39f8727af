"""How each key of a policy file is read: its type, its bounds, and what to say when it is wrong.

Takes what tomli gives and knows nothing of lines; raises only what `problems.find_faults` can take apart.

Rule 1: nothing is converted: "80" is no number and 1 is not true.
Rule 2: an unknown key is an error, in every table.
A new key is a field of its table's class (Document, Terms, Files …), and one line in `_READERS`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from trio_egress.model import RuleLimits
from trio_egress.policy.approval import Ask, read_seconds
from trio_egress.policy.arguments import read_arguments
from trio_egress.policy.cases import Case, read_at, read_attempt, read_expect, read_rule_name
from trio_egress.policy.combinations import check_terms
from trio_egress.policy.destination import Destination, parse_destination
from trio_egress.policy.document import Document
from trio_egress.policy.environment import Env, read_pass, read_set
from trio_egress.policy.files import Files, check_files, read_hide, read_protect, read_write
from trio_egress.policy.host_keys import read_host_keys
from trio_egress.policy.includes import read_include
from trio_egress.policy.limits import Limits, read_limit
from trio_egress.policy.mcp_table import McpTable
from trio_egress.policy.pins import parse_pins
from trio_egress.policy.problems import key_of
from trio_egress.policy.roots import Roots, read_extra_ca
from trio_egress.policy.rule import Resolve, Terms
from trio_egress.policy.rule_keys import (
    read_fields,
    read_globs,
    read_methods,
    read_name,
    read_paths,
    read_ports,
    read_protocol,
    read_proxy_path,
    read_query,
    read_reason,
    read_repositories,
    read_rule_limit,
    read_times,
    read_tls,
)
from trio_egress.policy.scan import NO_SCAN, Scan
from trio_egress.policy.scan_keys import SCAN_READERS, ScanTable, check_scan, read_detector
from trio_egress.policy.secret import (
    SECRETS_MAX,
    From,
    Secret,
    check_from,
    check_secret,
    check_secrets,
    read_as,
    read_command,
    read_file,
    read_placeholder,
    read_secret_name,
    read_to,
    read_variable,
)
from trio_egress.policy.services import Git, GraphQL, Headers, JsonRpc, Mcp, WebSocket
from trio_egress.policy.sought import (
    CANARIES_MAX,
    Canary,
    check_canaries,
    check_canary,
    read_detector_files,
    read_env,
    read_files,
    read_planted,
)
from trio_egress.policy.suppressed import SUPPRESSIONS_MAX, Suppress, read_expires, read_finding
from trio_egress.policy.upstream_proxy import (
    UpstreamProxy,
    check_upstream,
    read_no_proxy,
    read_proxy,
    read_username,
)
from trio_egress.policy.values import read_flag
from trio_egress.policy.websocket_keys import READERS as WEBSOCKET_READERS
from trio_egress.texts.faults import Fault, Faults, show

Reader = Callable[[object, object], Any]

RULES_MAX = 100_000
TESTS_MAX = 10_000


def structure(data: Mapping[str, Any]) -> Document:
    return _CONVERTER.structure(data, Document)


def _read_version(value: object, _type: object) -> str:
    return _expect_word("version", value, "1.0")


def _read_default_deny(value: object, _type: object) -> bool:
    if value is not True:
        raise ValueError(f"default_deny must be true, not {show(value)}: what no rule allows is denied")
    return True


def _read_dns_resolution(value: object, _type: object) -> str:
    return _expect_word("dns_resolution", value, "proxy_only")


def _read_tables(key: str, table: type, most: Callable[[], int], noun: str) -> Reader:
    """A list of tables, so many at most."""

    def read(value: object, _type: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(
                f'{key.rpartition(".")[2]} must be a list of tables, not {show(value)}; did you mean "[[{key}]]"?'
            )
        if len(value) > most():
            raise ValueError(f"a policy has at most {most()} {noun}, and this has {len(value)}")
        many: Any = tuple[table, ...]  # type: ignore[valid-type]
        return tuple(_CONVERTER.structure(value, many))

    return read


def _check(read: Reader, check: Callable[[Any], Any]) -> Reader:
    """What has been read, looked at as a whole."""
    return lambda value, type_: check(read(value, type_))


def _read_from(value: object, type_: object) -> From:
    source: From = _read_inner("from", From, '{ env = "API_TOKEN" }')(value, type_)
    return check_from(source)


def _read_password(value: object, _type: object) -> From:
    if not isinstance(value, dict) or not value:
        message = (
            'password says where it is found: { env = "PROXY_PASSWORD" }, { file = "…" } or { command = […] }'
        )
        raise Faults([Fault((), message, secret=True)])
    return check_from(_CONVERTER.structure(value, From))


def _read_scan(value: object, _type: object) -> Scan | None:
    if isinstance(value, bool):
        return NO_SCAN if value else None
    if not isinstance(value, dict):
        raise ValueError(
            f'scan must be true, false, or a table such as {{ secret = "block" }}, not {show(value)}'
        )
    if not value:
        raise ValueError("scan is empty, which says nothing; write scan = true")
    return check_scan(_CONVERTER.structure(value, Scan))


def _read_ask(value: object, _type: object) -> Ask | None:
    if isinstance(value, bool):
        return Ask() if value else None
    if not isinstance(value, dict) or not value:
        raise ValueError(
            f"ask must be true, false, or a table such as {{ seconds = 120 }}, not {show(value)}"
        )
    return _CONVERTER.structure(value, Ask)


def _read_scan_table(value: object, _type: object) -> ScanTable:
    table: ScanTable = _CONVERTER.structure(_expect_table("scan", value), ScanTable)
    check_scan(table)
    return table


def _read_mcp_table(value: object, _type: object) -> McpTable:
    return _CONVERTER.structure(_expect_table("mcp", value), McpTable)


def _read_resolve(value: object, _type: object) -> Resolve:
    return parse_pins(_expect_table("resolve", value))


def _read_files(value: object, _type: object) -> Files:
    return check_files(_CONVERTER.structure(_expect_table("files", value), Files))


def _read_env(value: object, _type: object) -> Env:
    return _CONVERTER.structure(_expect_table("env", value), Env)


def _read_limits(value: object, _type: object) -> Limits:
    return _CONVERTER.structure(_expect_table("limits", value), Limits)


def _read_roots(value: object, _type: object) -> Roots:
    return _CONVERTER.structure(_expect_table("tls", value), Roots)


def _read_upstream(value: object, _type: object) -> UpstreamProxy:
    return check_upstream(_CONVERTER.structure(_expect_table("upstream", value), UpstreamProxy))


def _read_destination(value: object, _type: object) -> Destination:
    if not isinstance(value, str):
        raise ValueError(f'destination must be a string such as "api.example.com", not {show(value)}')
    return parse_destination(value)


def _read_inner(key: str, table: type, example: str) -> Callable[[object, object], Any]:
    """A table inside of a rule, which says something."""

    def read(value: object, _type: object) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"{key} must be a table such as {example}, not {show(value)}")
        if not value:
            raise ValueError(f"{key} is empty, which says nothing; write {key} = {example}, or leave it out")
        return _CONVERTER.structure(value, table)

    return read


def _expect_word(key: str, value: object, word: str) -> str:
    if value != word:
        raise ValueError(f"{key} must be {show(word)}, not {show(value)}")
    return word


def _expect_table(key: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f'{key} must be a table, not {show(value)}; did you mean "[{key}]"?')
    return value


def _reader(read: Callable[[object], object]) -> Reader:
    return lambda value, _type: read(value)


_MCP: Mapping[str, Reader] = {
    **{key: _reader(read_globs(f"mcp.{key}")) for key in ("methods", "tools", "server_methods")},
    "arguments": _reader(read_arguments),
}

_READERS: Mapping[type, Mapping[str, Reader]] = {
    Document: {
        "version": _read_version,
        "default_deny": _read_default_deny,
        "dns_resolution": _read_dns_resolution,
        "include": _reader(read_include),
        "egress": _read_tables("egress", Terms, lambda: RULES_MAX, "rules"),
        "resolve": _read_resolve,
        "files": _read_files,
        "env": _read_env,
        "limits": _read_limits,
        "tls": _read_roots,
        "upstream": _read_upstream,
        "test": _read_tables("test", Case, lambda: TESTS_MAX, "tests"),
        "secret": _check(_read_tables("secret", Secret, lambda: SECRETS_MAX, "secrets"), check_secrets),
        "scan": _read_scan_table,
        "mcp": _read_mcp_table,
        "canary": _check(_read_tables("canary", Canary, lambda: CANARIES_MAX, "canaries"), check_canaries),
    },
    Terms: {
        "destination": _read_destination,
        "name": _reader(read_name),
        "reason": _reader(read_reason),
        "deny": _reader(read_flag("deny")),
        "ports": _reader(read_ports),
        "protocol": _reader(read_protocol),
        "host_keys": _reader(read_host_keys),
        "methods": _reader(read_methods),
        "paths": _reader(read_paths),
        "query": _reader(read_query),
        "headers": _read_inner("headers", Headers, '{ forbidden = ["x-api-key"] }'),
        "git": _read_inner("git", Git, '{ fetch = ["org/*"] }'),
        "graphql": _read_inner("graphql", GraphQL, '{ queries = ["viewer"] }'),
        "jsonrpc": _read_inner("jsonrpc", JsonRpc, '{ methods = ["eth_call"] }'),
        "mcp": _read_inner("mcp", Mcp, '{ tools = ["search_*"] }'),
        "tls": _reader(read_tls),
        "scan": _read_scan,
        "websocket": _read_inner("websocket", WebSocket, "{ enabled = true }"),
        "times": _reader(read_times),
        "limits": _read_inner("limits", RuleLimits, '{ requests = "100/minute" }'),
        "ask": _read_ask,
        "allow_private": _reader(read_flag("allow_private")),
    },
    Ask: {"seconds": _reader(read_seconds)},
    Headers: {key: _reader(read_fields(key)) for key in ("required", "forbidden")},
    Git: {key: _reader(read_repositories(key)) for key in ("fetch", "push")},
    GraphQL: {field.name: _reader(read_globs(f"graphql.{field.name}")) for field in attrs.fields(GraphQL)},
    JsonRpc: {"methods": _reader(read_globs("jsonrpc.methods"))},
    Mcp: _MCP,
    McpTable: {
        **_MCP,
        "scan": _read_scan,
    },
    Scan: {key: _reader(read) for key, read in SCAN_READERS.items()},
    ScanTable: {
        **{key: _reader(read) for key, read in SCAN_READERS.items()},
        "every_rule": _reader(read_flag("scan.every_rule")),
        "detector_files": _reader(read_detector_files),
        "env": _reader(read_env),
        "files": _reader(read_files),
        "guess": _reader(read_flag("scan.guess")),
        "suppress": _read_tables("scan.suppress", Suppress, lambda: SUPPRESSIONS_MAX, "suppressions"),
    },
    Canary: {
        "name": _reader(read_secret_name),
        "env": _reader(read_variable),
        "file": _reader(read_planted),
        "from_": _read_from,
    },
    Suppress: {
        "finding": _reader(read_finding),
        "detector": _reader(read_detector),
        "reason": _reader(read_reason),
        "expires": _reader(read_expires),
    },
    WebSocket: {
        **{key: _reader(read) for key, read in WEBSOCKET_READERS.items()},
        "proxy_path": _reader(read_proxy_path),
    },
    RuleLimits: {field.name: _reader(read_rule_limit(field.name)) for field in attrs.fields(RuleLimits)},
    Files: {"write": _reader(read_write), "hide": _reader(read_hide), "protect": _reader(read_protect)},
    Case: {
        "attempt": _reader(read_attempt),
        "expect": _reader(read_expect),
        "rule": _reader(read_rule_name),
        "at": _reader(read_at),
    },
    Secret: {
        "name": _reader(read_secret_name),
        "from_": _read_from,
        "to": _reader(read_to),
        "as_": _reader(read_as),
        "env": _reader(read_variable),
        "placeholder": _reader(read_placeholder),
    },
    From: {
        "env": _reader(read_variable),
        "file": _reader(read_file),
        "command": _reader(read_command),
    },
    Env: {"pass_": _reader(read_pass), "set": _reader(read_set)},
    Limits: {field.name: _reader(read_limit(field.name)) for field in attrs.fields(Limits)},
    Roots: {"extra_ca": _reader(read_extra_ca)},
    UpstreamProxy: {
        "proxy": _reader(read_proxy),
        "username": _reader(read_username),
        "password": _read_password,
        "no_proxy": _reader(read_no_proxy),
        "resolve": _reader(read_flag("resolve")),
    },
}


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True)
    for table, readers in _READERS.items():
        converter.register_structure_hook(table, _make_table_hook(converter, table, readers))
    return converter


def _make_table_hook(
    converter: cattrs.Converter, table: type, readers: Mapping[str, Reader]
) -> Callable[[object, object], Any]:
    overrides: Any = {
        field: override(struct_hook=reader, rename=key_of(field)) for field, reader in readers.items()
    }

    @functools.cache  # written by cattrs when it is first needed: few policies have all tables
    def make_reader() -> Callable[..., Any]:
        return make_dict_structure_fn(table, converter, _cattrs_forbid_extra_keys=True, **overrides)

    def read_table(value: object, type_: object) -> Any:
        if not isinstance(value, dict):
            raise ValueError(f"a table is needed here, not {show(value)}")
        table_read = make_reader()(value, type_)
        if table is Terms:
            check_terms(table_read)
        elif table is Secret:
            check_secret(table_read, value)
        elif table is Canary:
            check_canary(table_read)
        return table_read

    return read_table


_CONVERTER = _make_converter()
