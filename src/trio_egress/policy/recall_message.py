"""Decides a message of an MCP server's standard streams again, from what its receipt says of it.

Rule 1: what was refused without asking the policy (what is no message, an id that is taken) is not decided again, nor
        is what a receipt tells in part.
Rule 2: arguments are never told: where the policy is about them, a denial for them stands, and so does an allowance.
"""

from __future__ import annotations

from collections.abc import Mapping

from trio_egress.model import UNTOLD_ARGUMENTS, Call, CallKind, Layer, Side, StdioMessage, Transport
from trio_egress.policy.mcp_server import decide_message
from trio_egress.policy.recall import Difference
from trio_egress.policy.recall_calls import unescape
from trio_egress.policy.rule import Policy
from trio_egress.policy.services import TOOL_CALL

Members = Mapping[str, object]

_SIDES = {side.value: side for side in Side}
_ASKED = {Layer.RULE.value, Layer.OPERATION.value, Layer.SCAN.value}
"""The layers of what the policy was asked about."""


def hold_message(policy: Policy, record: Members, facts: Members) -> Difference | None:
    """None where the policy says the same, or can't be asked, or it is no such message."""
    if record.get("transport") != Transport.MCP_STDIO.value or "parent_action_id" in record:
        return None
    if record.get("decision_phase", "") not in ("", "intent") or record.get("layer") not in _ASKED:
        return None
    message = recall_message(record, facts)
    if message is None:
        return None
    decision = decide_message(policy, message)
    found = str(record.get("verdict")), str(record.get("layer"))
    expected = "allow" if decision.allowed else "block", decision.layer.value
    if found == expected or (found == ("block", Layer.SCAN.value) and decision.allowed):
        return None
    about_arguments = policy.mcp is not None and policy.mcp.table.arguments is not None
    if about_arguments and decision.allowed and found == ("block", Layer.OPERATION.value):
        return None
    return Difference(" ".join(found), " ".join(expected))


def recall_message(record: Members, facts: Members) -> StdioMessage | None:
    """None where a receipt tells it in part, or no message."""
    side, method, tool = _SIDES.get(str(facts.get("from"))), record.get("method"), facts.get("tool")
    if side is None or not isinstance(method, str) or record.get("redaction") is not None:
        return None
    if method != TOOL_CALL:
        return StdioMessage(side, Call(CallKind.JSONRPC, method))
    if not isinstance(tool, str):
        return None
    call = Call(CallKind.JSONRPC, method, unescape(tool), arguments=UNTOLD_ARGUMENTS)
    return StdioMessage(side, call)
