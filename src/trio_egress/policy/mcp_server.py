"""What a policy says of the messages between an MCP server and its client over standard streams.

Judges by the method and the tool that a message names; parses none.

Rule 1: a policy without a table `[mcp]` allows every method: what leaves is another matter, and denied unless a rule
        allows it.
"""

from __future__ import annotations

from trio_egress.model import Decision, Layer, StdioMessage
from trio_egress.policy.rule import Policy


def decide_message(policy: Policy, message: StdioMessage) -> Decision:
    """The answer to one request or notification."""
    return Decision(True, Layer.RULE, "the policy has no table [mcp], so every method is allowed")
