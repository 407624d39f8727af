"""The table `[mcp]`: what it says of messages, alone and in several files, and decided again from receipts."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from trio_egress.errors import PolicyError
from trio_egress.model import Call, CallKind, Layer, Side, StdioMessage
from trio_egress.policy.compiled import parse_compiled, render_compiled
from trio_egress.policy.load import load_policy
from trio_egress.policy.mcp_server import decide_message
from trio_egress.policy.recall_message import hold_message
from trio_egress.policy.rule import Policy

HEAD = 'version = "1.0"\ndefault_deny = true\n'
TABLE = '[mcp]\ntools = ["read_*"]\nserver_methods = ["notifications/*", "roots/list"]\n'


def load(text: str = TABLE, more: Mapping[str, str] | None = None) -> Policy:
    files = {name: text.encode() for name, text in (more or {}).items()}
    return load_policy(HEAD + text, "p.toml", files.__getitem__)


def says(side: Side, method: str, tool: str | None = None) -> StdioMessage:
    return StdioMessage(side, Call(CallKind.JSONRPC, method, tool, arguments=() if tool else None))


def client(method: str, tool: str | None = None) -> StdioMessage:
    return says(Side.CLIENT, method, tool)


def server(method: str) -> StdioMessage:
    return says(Side.SERVER, method)


@pytest.mark.parametrize(
    ("table", "message", "allowed"),
    [
        ("", client("tools/call", "rm"), True),
        ("", server("sampling/createMessage"), True),
        ("[mcp]\n", client("tools/call", "rm"), True),
        (TABLE, client("tools/call", "read_file"), True),
        (TABLE, client("tools/call", "write_file"), False),
        (TABLE, client("tools/call", "READ_FILE"), False),
        (TABLE, client("tools/list"), True),
        (TABLE, server("roots/list"), True),
        (TABLE, server("notifications/progress"), True),
        (TABLE, server("sampling/createMessage"), False),
        (TABLE, client("sampling/createMessage"), True),
        (TABLE, server("tools/call"), False),
        ('[mcp]\nmethods = ["initialize", "tools/*"]\n', client("resources/read"), False),
        ('[mcp]\nmethods = ["initialize", "tools/*"]\n', client("tools/list"), True),
        ('[mcp]\nmethods = ["initialize", "tools/*"]\n', server("roots/list"), True),
        ("[mcp]\ntools = []\n", client("tools/call", "x"), False),
    ],
)
def test_what_a_key_does_not_name_is_denied(table: str, message: StdioMessage, allowed: bool) -> None:
    decision = decide_message(load(table), message)
    assert decision.allowed is allowed
    assert decision.layer is (Layer.RULE if allowed else Layer.OPERATION)


def test_a_reason_names_key_line_and_what_was_asked() -> None:
    assert (
        decide_message(load(), client("tools/call", "rm")).reason == '[mcp] (line 3) names no "rm" in tools'
    )
    denied = decide_message(load(), server("sampling/createMessage"))
    assert denied.reason == '[mcp] (line 3) names no "sampling/createMessage" in server_methods'


def test_the_compiled_form_has_it_and_means_the_same() -> None:
    policy = load(TABLE + 'scan = { instruction = "warn" }\n')
    again = parse_compiled(render_compiled(policy))
    assert again.mcp is not None
    assert policy.mcp is not None
    assert again.mcp.table == policy.mcp.table
    assert b'"mcp":{"scan":{"instruction":"warn"},"server_methods":' in render_compiled(policy)
    assert b'"mcp"' not in render_compiled(load(""))


def test_lists_of_several_files_add_up() -> None:
    part = HEAD + '[mcp]\ntools = ["write_*"]\n'
    policy = load_policy(
        'include = ["a.toml"]\n' + HEAD + TABLE, "p.toml", {"a.toml": part.encode()}.__getitem__
    )
    assert decide_message(policy, client("tools/call", "write_file")).allowed
    assert decide_message(policy, client("tools/call", "read_file")).allowed
    assert not decide_message(policy, client("tools/call", "x")).allowed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[mcp]\ntool = ["x"]\n', 'did you mean "tools"'),
        ("[mcp]\ntools = 1\n", "tools"),
        ("[[mcp]]\n", "mcp"),
        ('[mcp]\nscan = { secrets = "block" }\n', "secret"),
        ("[mcp]\nscan = true\n[scan]\nrequests = false\nanswers = false\n", "looked through"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        load(text)


def test_methods_without_the_first_are_warned_of() -> None:
    (warning,) = load('[mcp]\nmethods = ["tools/*"]\n').find_warnings(0)
    assert (warning.line, warning.warning) == (3, True)
    assert "initialize" in warning.message


def test_a_table_that_asks_for_a_scan_makes_none_of_it_idle() -> None:
    assert load('[mcp]\nscan = true\n[scan]\nsecret = "warn"\n').find_warnings(0) == ()
    assert load("[mcp]\nscan = true\n").scans
    assert not load(TABLE).scans


def record(message: StdioMessage, verdict: str, layer: str, phase: str = "") -> dict[str, object]:
    more = {"decision_phase": phase} if phase else {}
    return {
        "transport": "mcp_stdio",
        "method": message.call.method,
        "verdict": verdict,
        "layer": layer,
        **more,
    }


def facts(message: StdioMessage) -> dict[str, object]:
    return {"from": message.side.value, **({"tool": message.call.name} if message.call.name else {})}


@pytest.mark.parametrize(
    ("message", "verdict", "layer", "phase", "same"),
    [
        (client("tools/call", "read_file"), "allow", "rule", "intent", True),
        (client("tools/call", "rm"), "allow", "rule", "intent", False),
        (client("tools/call", "rm"), "block", "operation", "", True),
        (client("tools/call", "read_file"), "block", "operation", "", False),
        (client("tools/call", "read_file"), "block", "scan", "", True),
        (client("tools/call", "rm"), "block", "scan", "", False),
        (client(""), "block", "malformed", "", True),
        (server("sampling/createMessage"), "allow", "rule", "intent", False),
    ],
)
def test_a_receipt_is_decided_again(
    message: StdioMessage, verdict: str, layer: str, phase: str, same: bool
) -> None:
    difference = hold_message(load(), record(message, verdict, layer, phase), facts(message))
    assert (difference is None) is same


def test_what_is_told_in_part_is_not_decided_again() -> None:
    message = client("tools/call", "rm")
    allowed = record(message, "allow", "rule", "intent")
    assert hold_message(load(), {**allowed, "redaction": {}}, facts(message)) is None
    assert hold_message(load(), allowed, {"from": "client"}) is None
    assert hold_message(load(), {**allowed, "transport": "transparent"}, facts(message)) is None
    assert hold_message(load(), {**allowed, "decision_phase": "outcome"}, facts(message)) is None
