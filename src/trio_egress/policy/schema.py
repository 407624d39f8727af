"""A JSON Schema (draft 2020-12) of the policy file, for editors: keys, types, bounds and what each key means.

Judges no policy: what it accepts may still be refused by `load`, which knows more than a schema can say (what a host
is, what can't be said together). What `load` accepts is accepted here, and tests hold that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import attrs

from trio_egress.model import RuleLimits
from trio_egress.policy.approval import LONGEST_SECONDS, Ask
from trio_egress.policy.budget import INTERVALS
from trio_egress.policy.cases import EXPECTED, Case
from trio_egress.policy.document import Document
from trio_egress.policy.doors import Scheme
from trio_egress.policy.environment import VALUE_CHARS, Env
from trio_egress.policy.files import PATH_CHARS, Files
from trio_egress.policy.host_keys import HOST_KEYS_MAX, KEY_TYPES
from trio_egress.policy.includes import INCLUDES_MAX
from trio_egress.policy.keys import RULES_MAX, TESTS_MAX
from trio_egress.policy.limits import LEAST_NUMBERS, LEAST_SIZES, Limits
from trio_egress.policy.mcp_table import McpTable
from trio_egress.policy.meanings import MEANINGS
from trio_egress.policy.presets import PRESET, PRESETS
from trio_egress.policy.problems import key_of
from trio_egress.policy.roots import Roots
from trio_egress.policy.rule import Terms, Tls
from trio_egress.policy.rule_keys import NAME_CHARS, REASON_CHARS, WORD_CHARS
from trio_egress.policy.scan import KINDS, Scan
from trio_egress.policy.scan_keys import ACTIONS, DETECTOR_CHARS, UNREADABLE, ScanTable
from trio_egress.policy.secret import (
    ARGUMENTS_MAX,
    PLACEHOLDER_LEAST,
    PLACEHOLDER_MOST,
    RESERVED,
    SECRETS_MAX,
    SOURCE_CHARS,
    From,
    Secret,
)
from trio_egress.policy.secret import NAME_CHARS as SECRET_CHARS
from trio_egress.policy.services import Git, GraphQL, Headers, JsonRpc, Mcp, WebSocket
from trio_egress.policy.sought import CANARIES_MAX, Canary
from trio_egress.policy.suppressed import SUPPRESSIONS_MAX, Suppress
from trio_egress.policy.upstream_proxy import USERNAME_CHARS, UpstreamProxy
from trio_egress.policy.values import ITEMS_MAX, NUMBER_MAX, UNITS
from trio_egress.policy.websocket_keys import ORIGIN, SUBPROTOCOL

Shape = Mapping[str, Any]

_MARKED = re.compile(r"\[([^\]]*)\]\([^)]*\)")

_BOOLEAN: Shape = {"type": "boolean"}
_METHOD: Shape = {"type": "string", "pattern": "^[A-Z0-9!#$%&'*+.^_`|~-]+$", "not": {"const": "CONNECT"}}
_PORT: Shape = {"type": "integer", "minimum": 1, "maximum": 65535}
_PORTS: Shape = {"anyOf": [_PORT, {"type": "string", "pattern": "^[1-9][0-9]{0,4}-[1-9][0-9]{0,4}$"}]}
_ACTION: Shape = {"enum": list(ACTIONS)}
_DETECTOR: Shape = {
    "type": "string",
    "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$",
    "maxLength": DETECTOR_CHARS,
}
_REASON: Shape = {"type": "string", "minLength": 1, "maxLength": REASON_CHARS}
_SECRET_NAME: Shape = {
    "type": "string",
    "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$",
    "maxLength": SECRET_CHARS,
    "not": {"enum": list(RESERVED)},
}
_SCHEME: Shape = {"enum": [scheme.value for scheme in Scheme]}
_WORD: Shape = {"type": "string", "minLength": 1, "maxLength": WORD_CHARS}
_FIELD: Shape = {**_WORD, "pattern": "^[!#$%&'*+.^`|~0-9A-Za-z_-]+$"}
_PATH: Shape = {"type": "string", "minLength": 1, "maxLength": PATH_CHARS}
_WINDOW: Shape = {
    "type": "string",
    "pattern": r"^[A-Z][a-z]{2}(-[A-Z][a-z]{2})? [0-9]{2}:[0-9]{2}-[0-9]{2}:[0-9]{2} UTC$",
}
_SLOT: Shape = {
    "type": "string",
    "pattern": "^(basic|header:[!#$%&'*+.^`|~0-9A-Za-z_-]+|query:.+|ssh(:[A-Za-z0-9_][A-Za-z0-9._@+-]*)?)$",
}
_VARIABLE: Shape = {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}
_HOST_KEY: Shape = {
    "type": "string",
    "pattern": rf"^\s*(SHA256:[A-Za-z0-9+/]{{43}}=?\s*$|({'|'.join(KEY_TYPES)})\s+AAAA)",
}
_SHA256: Shape = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_FILE: Shape = {
    "type": "string",
    "minLength": 1,
    "anyOf": [
        {"enum": [f"{PRESET}{name}" for name in PRESETS]},
        {"pattern": r"\.(toml|yaml|yml)$", "not": {"pattern": f"^{PRESET}|://"}},
    ],
}


def _pinned(file: Shape) -> Shape:
    """A file, or a table with its name and its hash."""
    table = {
        "type": "object",
        "properties": {"file": file, "sha256": _SHA256},
        "required": ["file", "sha256"],
        "additionalProperties": False,
    }
    return {"anyOf": [file, table]}


def _list(item: Shape, least: int = 0, most: int = ITEMS_MAX) -> Shape:
    return {"type": "array", "items": item, "minItems": least, "maxItems": most}


def _number(least: int) -> Shape:
    return {"type": "integer", "minimum": least, "maximum": NUMBER_MAX}


def _size(least: int) -> Shape:
    units = "|".join(UNITS)
    return {"anyOf": [_number(least), {"type": "string", "pattern": f"^[0-9]{{1,16}} ?({units})$"}]}


def _table(table: type) -> Shape:
    return {"$ref": f"#/$defs/{_NAMES[table]}"}


_NAMES: Mapping[type, str] = {
    Terms: "rule",
    Headers: "headers",
    Git: "git",
    GraphQL: "graphql",
    JsonRpc: "jsonrpc",
    Mcp: "mcp",
    McpTable: "mcp_table",
    Scan: "rule_scan",
    WebSocket: "websocket",
    RuleLimits: "rule_limits",
    Ask: "ask",
    Files: "files",
    Case: "test",
    Env: "env",
    Limits: "limits",
    Roots: "tls",
    UpstreamProxy: "upstream",
    ScanTable: "scan",
    Canary: "canary",
    Suppress: "suppress",
    Secret: "secret",
    From: "source",
}

_RATE: Shape = {"type": "string", "pattern": f"^[1-9][0-9]{{0,8}}/({'|'.join(INTERVALS)})$"}

_SAYS_SOMETHING = {Headers, Git, GraphQL, JsonRpc, Mcp, Scan, WebSocket, RuleLimits, Ask, From}
"""Tables that can't be empty."""

_SCAN: Mapping[str, Shape] = {
    **dict.fromkeys(KINDS, _ACTION),
    "detectors": {
        "type": "object",
        "propertyNames": _DETECTOR,
        "additionalProperties": _ACTION,
        "minProperties": 1,
        "maxProperties": ITEMS_MAX,
    },
    "requests": _BOOLEAN,
    "answers": _BOOLEAN,
    "whole": _size(0),
    "unreadable": {"enum": list(UNREADABLE)},
}

_VALUE: Shape = {"type": "string", "maxLength": WORD_CHARS}
_MCP: Mapping[str, Shape] = {
    **{key: _list(_WORD) for key in ("methods", "tools", "server_methods")},
    "arguments": {
        "type": "object",
        "propertyNames": _WORD,
        "minProperties": 1,
        "maxProperties": ITEMS_MAX,
        "additionalProperties": {
            "type": "object",
            "propertyNames": _WORD,
            "maxProperties": ITEMS_MAX,
            "additionalProperties": {"anyOf": [_VALUE, _list(_VALUE, 1)]},
        },
    },
}

_SHAPES: Mapping[type, Mapping[str, Shape]] = {
    Document: {
        "version": {"const": "1.0"},
        "default_deny": {"const": True},
        "dns_resolution": {"const": "proxy_only"},
        "include": _list(_pinned(_FILE), most=INCLUDES_MAX),
        "egress": _list(_table(Terms), most=RULES_MAX),
        "resolve": {"type": "object", "additionalProperties": {"type": "string", "minLength": 1}},
        "files": _table(Files),
        "env": _table(Env),
        "limits": _table(Limits),
        "tls": _table(Roots),
        "upstream": _table(UpstreamProxy),
        "scan": _table(ScanTable),
        "mcp": _table(McpTable),
        "canary": _list(_table(Canary), most=CANARIES_MAX),
        "test": _list(_table(Case), most=TESTS_MAX),
        "secret": _list(_table(Secret), most=SECRETS_MAX),
    },
    Terms: {
        "destination": {"type": "string", "minLength": 1},
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]*$", "maxLength": NAME_CHARS},
        "reason": _REASON,
        "deny": _BOOLEAN,
        "ports": _list(_PORTS, 1),
        "protocol": {"anyOf": [_SCHEME, _list(_SCHEME, 1)]},
        "host_keys": _list(_HOST_KEY, 1, HOST_KEYS_MAX),
        "methods": {"type": "array", "items": _METHOD, "minItems": 1},
        "paths": _list({"type": "string", "pattern": "^/"}, 1),
        "query": _list(_WORD),
        "headers": _table(Headers),
        "git": _table(Git),
        "graphql": _table(GraphQL),
        "jsonrpc": _table(JsonRpc),
        "mcp": _table(Mcp),
        "tls": {"enum": [tls.value for tls in Tls]},
        "scan": {"anyOf": [_BOOLEAN, _table(Scan)]},
        "websocket": _table(WebSocket),
        "times": _list(_WINDOW, 1),
        "limits": _table(RuleLimits),
        "ask": {"anyOf": [_BOOLEAN, _table(Ask)]},
        "allow_private": _BOOLEAN,
    },
    Ask: {"seconds": {"type": "integer", "minimum": 1, "maximum": LONGEST_SECONDS}},
    Headers: {"required": _list(_FIELD), "forbidden": _list(_FIELD)},
    Git: {
        "fetch": _list({"type": "string", "minLength": 1}),
        "push": _list({"type": "string", "minLength": 1}),
    },
    GraphQL: {key: _list(_WORD) for key in ("operations", "queries", "mutations", "subscriptions")},
    JsonRpc: {"methods": _list(_WORD)},
    Mcp: _MCP,
    McpTable: {**_MCP, "scan": {"anyOf": [_BOOLEAN, _table(Scan)]}},
    Scan: _SCAN,
    ScanTable: {
        **_SCAN,
        "every_rule": _BOOLEAN,
        "detector_files": _list(_pinned({**_PATH, "not": {"pattern": "://"}}), most=INCLUDES_MAX),
        "env": _list({"type": "string", "pattern": "^[A-Za-z0-9_*?]+$"}),
        "files": _list(_PATH),
        "guess": _BOOLEAN,
        "suppress": _list(_table(Suppress), most=SUPPRESSIONS_MAX),
    },
    Canary: {
        "name": _SECRET_NAME,
        "env": _VARIABLE,
        "file": {"type": "string", "pattern": "^~/"},
        "from": _table(From),
    },
    Suppress: {
        "finding": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
        "detector": _DETECTOR,
        "reason": _REASON,
        "expires": {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    },
    WebSocket: {
        "enabled": _BOOLEAN,
        "frame_scan": _BOOLEAN,
        "origins": _list({"type": "string", "pattern": f"^({ORIGIN})$", "maxLength": WORD_CHARS}, 1),
        "subprotocols": _list({"type": "string", "pattern": f"^{SUBPROTOCOL}$", "maxLength": WORD_CHARS}, 1),
        "binary": _BOOLEAN,
        "message": _size(1),
        "messages": _RATE,
        "seconds": _number(1),
        "proxy_path": {"type": "string", "pattern": r"^(/[A-Za-z0-9._~-]+)+\?[A-Za-z0-9._~-]+=$"},
    },
    RuleLimits: {
        "requests": _RATE,
        "connections": _number(1),
        "bytes_up": _size(1),
        "bytes_down": _size(1),
        "body": _size(0),
    },
    Files: {key: _list(_PATH) for key in ("write", "hide", "protect")},
    Case: {
        "attempt": {"type": "string", "minLength": 1},
        "expect": {"enum": list(EXPECTED)},
        "rule": {"type": "string", "minLength": 1},
        "at": {"type": "string", "pattern": "^[0-9]{4}"},
    },
    Roots: {"extra_ca": _list(_pinned({**_PATH, "not": {"pattern": "://"}}), most=INCLUDES_MAX)},
    UpstreamProxy: {
        "proxy": {"type": "string", "pattern": "^[Hh][Tt][Tt][Pp]://[^/?#@]+:[1-9][0-9]{0,4}/?$"},
        "username": {"type": "string", "pattern": "^[^:]+$", "maxLength": USERNAME_CHARS},
        "password": _table(From),
        "no_proxy": _list({"type": "string", "minLength": 1}),
        "resolve": _BOOLEAN,
    },
    Secret: {
        "name": _SECRET_NAME,
        "from": _table(From),
        "to": _list({"type": "string", "minLength": 1}, 1),
        "as": {"anyOf": [_SLOT, _list(_SLOT, 1)]},
        "env": _VARIABLE,
        "placeholder": {
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9._~-]*$",
            "minLength": PLACEHOLDER_LEAST,
            "maxLength": PLACEHOLDER_MOST,
        },
    },
    From: {
        "env": _VARIABLE,
        "file": _PATH,
        "command": _list({"type": "string", "maxLength": SOURCE_CHARS}, 1, ARGUMENTS_MAX),
    },
    Env: {
        "pass": _list({"type": "string", "pattern": "^[A-Za-z0-9_*?]+$"}),
        "set": {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            "additionalProperties": {"type": "string", "maxLength": VALUE_CHARS},
            "maxProperties": ITEMS_MAX,
        },
    },
    Limits: {
        **{key: _number(least) for key, least in LEAST_NUMBERS.items()},
        **{key: _size(least) for key, least in LEAST_SIZES.items()},
    },
}
"""The shape of each key's value."""


def render_schema() -> str:
    """The schema as a file: JSON, laid out, with one line end behind it."""
    return json.dumps(make_schema(), indent=2, ensure_ascii=False) + "\n"


def make_schema() -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "trio-egress policy 1.0",
        **_make_table(Document),
        "$defs": {name: _make_table(table) for table, name in _NAMES.items()},
    }


def _make_table(table: type) -> dict[str, Any]:
    fields = {key_of(field.name): field for field in attrs.fields(table)}
    made: dict[str, Any] = {
        "type": "object",
        "properties": {
            key: {"description": describe(table, key), **_SHAPES[table][key], **_find_default(field)}
            for key, field in fields.items()
        },
        "additionalProperties": False,
    }
    if required := [key for key, field in fields.items() if field.default is attrs.NOTHING]:
        made["required"] = required
    if table in _SAYS_SOMETHING:
        made["minProperties"] = 1
    if table is From:
        made["maxProperties"] = 1
    return made


def describe(table: type, key: str) -> str:
    """What the key means, without the marks of a web page."""
    return _MARKED.sub(r"\1", MEANINGS[table][key])


def _find_default(field: Any) -> dict[str, Any]:
    return {"default": field.default} if isinstance(field.default, (bool, int, str)) else {}
