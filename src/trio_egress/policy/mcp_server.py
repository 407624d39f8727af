"""What a policy says of the messages between an MCP server and its client over standard streams.

Judges by the method and the tool that a message names; parses none.

Rule 1: a policy without a table `[mcp]` allows every method: what leaves is another matter, and denied unless a rule
        allows it.
Rule 2: what a key of `[mcp]` does not name is denied; a key that is not there says nothing.
Rule 3: an answer is no attempt: it goes to whoever asked, and asking was judged.
"""

from __future__ import annotations

from trio_egress.model import Decision, Layer, Side, StdioMessage
from trio_egress.policy.mcp_table import PlacedMcp
from trio_egress.policy.rule import Policy
from trio_egress.policy.services import TOOL_CALL, is_one
from trio_egress.texts.faults import show


def decide_message(policy: Policy, message: StdioMessage) -> Decision:
    """The answer to one request or notification."""
    placed = policy.mcp
    if placed is None:
        return Decision(
            True, Layer.RULE, "the policy has no table [mcp], so every method is allowed", scan=None
        )
    scan = policy.find_message_scan()
    if (reason := _find_obstacle(placed, message)) is not None:
        return Decision(False, Layer.OPERATION, reason, scan=scan)
    return Decision(True, Layer.RULE, f"{placed.words} allows it", scan=scan)


def _find_obstacle(placed: PlacedMcp, message: StdioMessage) -> str | None:
    """Why not, in words for a person and a model."""
    table, call = placed.table, message.call
    if message.side is Side.SERVER:
        if table.server_methods is None or is_one(call.method, table.server_methods):
            return None
        return f"{placed.words} names no {show(call.method)} in server_methods"
    if table.methods is not None and not is_one(call.method, table.methods):
        return f"{placed.words} names no {show(call.method)} in methods"
    if table.matches((call,)):
        return None
    if call.method == TOOL_CALL and table.tools is not None and not is_one(call.name or "", table.tools):
        return f"{placed.words} names no {show(call.name or '')} in tools"
    return f"{placed.words} allows no such arguments for {show(call.name or '')}"
