"""Keys of one rule that can't stand together, each at its place."""

from __future__ import annotations

import pytest

from trio_egress.errors import PolicyError
from trio_egress.policy.load import load_policy

HEAD = 'version = "1.0"\ndefault_deny = true\n[[egress]]\n'


def errors(*keys: str, destination: str = "a.example") -> list[tuple[int, int, str]]:
    """Line (from the first key), column and message."""
    text = "\n".join([HEAD.rstrip(), *keys, f'destination = "{destination}"', ""])
    try:
        load_policy(text, "f")
    except PolicyError as error:
        return [(problem.line - 3, problem.column, problem.message) for problem in error.problems]
    return []


GIT = 'git = { fetch = ["*"] }'
GRAPHQL = 'graphql = { queries = ["a"] }'


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["deny = true", "query = []"], "can't have `query`: write the rule that allows with it"),
        (
            ["deny = true", 'headers = { required = ["a"] }'],
            "can't have `headers`: write the rule that allows with it",
        ),
        (["deny = true", 'tls = "intercept"'], "can't have `tls`: nothing of what is denied is looked into"),
        (["deny = true", "scan = true"], "can't have `scan`: nothing of what is denied is looked through"),
        (
            ["deny = true", "websocket = { enabled = true }"],
            'to deny WebSockets write protocol = ["ws", "wss"]',
        ),
        (["deny = true", "limits = { connections = 1 }"], "can't have `limits`: what is denied uses nothing"),
        (["deny = true", "allow_private = true"], "can't have `allow_private`: what is denied leads nowhere"),
        (['protocol = "tcp"'], "tcp has no port of its own"),
        (["ports = [80]", 'protocol = ["tcp", "ssh"]'], "has the other protocols in it"),
        (['protocol = "ssh"', 'methods = ["GET"]'], "`methods` says something of requests, and ssh has none"),
        (
            ['protocol = ["ssh", "http"]', 'paths = ["/a"]'],
            "`paths` says something of requests, and ssh has none",
        ),
        (
            ["ports = [80]", 'protocol = "tcp"', "query = []"],
            "`query` says something of requests, and tcp has none",
        ),
        (
            ['protocol = ["ws", "ssh", "http"]', 'methods = ["GET"]'],
            "`methods` says something of requests, and ssh has none",
        ),
        (
            ["ports = [80]", 'protocol = "tcp"', "websocket = { enabled = true }"],
            "`websocket` is for HTTP, and the rule allows only tcp",
        ),
        (['protocol = "ssh"', "websocket = { enabled = true }"], "and the rule allows only ssh"),
        (['protocol = "ssh"', "websocket = { frame_scan = true }"], "`websocket` says something of requests"),
        (['protocol = ["http", "ssh"]', 'tls = "passthrough"'], "`tls` is for https and wss"),
        ([GIT, 'methods = ["GET"]'], "which requests those are; write a rule of its own for `methods`"),
        ([GIT, 'paths = ["/a"]'], "`git` says which requests those are"),
        ([GIT, "query = []"], "`git` says which requests those are"),
        ([GIT, GRAPHQL], "`git` says which requests those are"),
        (["git = { fetch = [] }"], "`git` names no repository"),
        ([GRAPHQL, 'mcp = { tools = ["a"] }'], "a request is not both graphql and mcp; write two rules"),
        (["graphql = { queries = [] }"], "`graphql` names nothing"),
        (["jsonrpc = { methods = [] }"], "`jsonrpc` names no method"),
        (["headers = { required = [], forbidden = [] }"], "`headers` names no field"),
        (['headers = { required = ["a"], forbidden = ["A"] }'], "a is both required and forbidden"),
        (['methods = ["GET"]', 'tls = "passthrough"'], "passthrough leaves unseen what `methods` is about"),
        (["scan = true", 'tls = "passthrough"'], "passthrough leaves unseen what `scan` is about"),
        (['limits = { requests = "1/day" }', 'tls = "passthrough"'], "what `limits.requests` is about"),
        (['protocol = "wss"', 'tls = "passthrough"'], "passthrough leaves unseen what `protocol` is about"),
        (['protocol = "ws"', "websocket = { enabled = false }"], "`protocol` allows WebSockets"),
    ],
)
def test_what_cannot_hold_together_is_an_error_at_the_key_that_is_too_much(
    keys: list[str], said: str
) -> None:
    ((line, column, message),) = errors(*keys)
    assert said in message
    assert (line, column) == (len(keys), 1)


def test_a_key_of_an_inner_table_is_told_at_its_place() -> None:
    ((line, column, message),) = errors('websocket = { enabled = false, proxy_path = "/ws?url=" }')
    assert (line, column) == (1, 32)
    assert "`proxy_path` is for WebSockets" in message
    ((line, column, message),) = errors('protocol = "ssh"', "limits = { body = 1 }")
    assert (line, column) == (2, 12)
    assert "`limits.body` says something of requests" in message


def test_ports_stand_once() -> None:
    assert "the destination has a port already" in errors("ports = [80]", destination="a.example:80")[0][2]
    assert "a network with `ports` needs `protocol`" in errors("ports = [80]", destination="10.0.0.0/8")[0][2]
    assert errors("ports = [80]", 'protocol = "tcp"', destination="10.0.0.0/8") == []
    assert errors("ports = [80]", "deny = true", destination="10.0.0.0/8") == []


@pytest.mark.parametrize(
    "keys",
    [
        ["deny = true", 'name = "x"', 'reason = "y"', "ports = [80]", 'protocol = "http"', 'paths = ["/a"]'],
        ["deny = true", 'protocol = "tcp"'],
        ["deny = true", 'git = { push = ["**"] }', 'times = ["Mon 00:00-24:00 UTC"]'],
        ["deny = true", "scan = false", "allow_private = false"],
        ['methods = ["GET"]', 'tls = "intercept"', "scan = true"],
        ['protocol = ["https"]', 'tls = "passthrough"', "limits = { connections = 1, bytes_up = 1 }"],
        ['protocol = "wss"', "websocket = { frame_scan = true }"],
        ['protocol = ["ssh"]', "limits = { bytes_down = 1 }"],
        ["ports = [8080]", "scan = true"],
        ["ports = [80]", 'protocol = "tcp"', 'tls = "passthrough"'],
        ["websocket = { enabled = false }"],
        ['protocol = "http"', "websocket = { enabled = false }"],
        ['protocol = ["http", "https", "ws", "wss"]', 'methods = ["GET"]'],
        ['protocol = ["http", "https"]', "websocket = { enabled = true }"],
        [GRAPHQL, 'paths = ["/graphql"]', 'methods = ["POST"]'],
        [GIT, 'headers = { required = ["authorization"] }'],
    ],
)
def test_what_can_hold_together_is_none(keys: list[str]) -> None:
    assert errors(*keys) == []
