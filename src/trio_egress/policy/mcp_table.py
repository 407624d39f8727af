"""The table `[mcp]`: what an MCP server and its client may say to each other over standard streams.

Reads no file, and judges by words alone (`mcp_server`).
"""

from __future__ import annotations

import attrs

from trio_egress.errors import Problem
from trio_egress.policy.arguments import render_arguments
from trio_egress.policy.scan import Scan, render_scan
from trio_egress.policy.services import Mcp, is_one
from trio_egress.values import frozen

BEGIN = "initialize"
"""The method with which every client begins."""


@frozen(kw_only=True)
class McpTable(Mcp):
    """A field for each key. Those of a rule's `mcp` are about what the client says. None: any will do."""

    scan: Scan | None = None


@frozen
class PlacedMcp:
    """The table, and where it stands, as a problem of which nothing is said yet."""

    table: McpTable
    place: Problem = attrs.field(eq=False, repr=False)

    @property
    def words(self) -> str:
        """How a reason calls it."""
        return f"[mcp] (line {self.place.line})"


def is_without_begin(table: McpTable) -> bool:
    """Whether no client could even begin."""
    return table.methods is not None and not is_one(BEGIN, table.methods)


def render_mcp(table: McpTable) -> dict[str, object]:
    """As the compiled form has it: no key that says nothing."""
    globs = {
        key: [glob.text for glob in value]
        for key in ("methods", "tools", "server_methods")
        if (value := getattr(table, key)) is not None
    }
    arguments = {} if table.arguments is None else {"arguments": render_arguments(table.arguments)}
    return {**globs, **arguments, **({"scan": render_scan(table.scan)} if table.scan is not None else {})}
