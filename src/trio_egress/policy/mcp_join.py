"""What the files of one policy say in `[mcp]`, as one table: lists add up, `scan` and `arguments` are the same
wherever they are said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from trio_egress.errors import Problem
from trio_egress.policy.mcp_table import BEGIN, McpTable, PlacedMcp, is_without_begin
from trio_egress.policy.part import Part
from trio_egress.policy.settings import Setting, join_settings

_LISTS = ("methods", "tools", "server_methods")


def join_mcp(parts: Sequence[Part], problems: list[Problem]) -> PlacedMcp | None:
    """None where no file has the table. Its place is that in the first file that has it."""
    tables = [(part, part.document.mcp) for part in parts if part.document.mcp is not None]
    if not tables:
        return None
    lists: dict[str, Any] = {}
    for key in _LISTS:
        said = [globs for _, table in tables if (globs := getattr(table, key)) is not None]
        if said:
            globs = {glob.text: glob for each in said for glob in each}
            lists[key] = tuple(globs[text] for text in sorted(globs))
    once = join_settings(parts, _say_once, problems)
    return PlacedMcp(McpTable(**lists, **once), tables[0][0].make_problem(("mcp",), ""))


def find_mcp_warnings(placed: PlacedMcp | None) -> Iterator[Problem]:
    if placed is not None and is_without_begin(placed.table):
        message = f'methods names no "{BEGIN}", with which every client begins: none will get any further'
        yield attrs.evolve(placed.place, message=message, warning=True)


def _say_once(part: Part) -> Iterator[tuple[str, Setting]]:
    for key in ("arguments", "scan"):
        if key in part.reading.data.get("mcp", {}):
            yield key, (f"mcp.{key}", getattr(part.document.mcp, key, None), ("mcp", key))
