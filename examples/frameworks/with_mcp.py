"""The MCP SDK for Python: python3 with_mcp.py. Client and server are in this file; nothing outside is needed."""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

from mcp import ClientSession
from mcp.client.stdio import stdio_client
from mcp.server.mcpserver import MCPServer

from trio_egress.integrations.mcp import start_inside

POLICY = Path(__file__).with_name("agent.toml")


def fetch(url: str) -> str:
    """A page; where a policy denies it, the reason and what a person can do about it."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
            return str(answer.read())
    except urllib.error.HTTPError as error:
        if error.headers.get("X-Trio-Egress") != "denied":
            raise
        problem = json.load(error)
        return f"denied: {problem['detail']} ({problem['remedy']})"


def serve() -> None:
    server = MCPServer("pages")
    server.tool()(fetch)
    server.run("stdio")


async def main() -> None:
    inside = start_inside(sys.executable, [__file__, "--server"], policy=POLICY)
    async with stdio_client(inside) as streams, ClientSession(*streams) as session:
        await session.initialize()
        result = await session.call_tool("fetch", {"url": "http://203.0.113.7:8080/"})
        read = str(getattr(result.content[0], "text", ""))
        print(f"I do without the page: {read}" if read.startswith("denied: ") else f"The page: {read}")


if __name__ == "__main__":
    serve() if "--server" in sys.argv else asyncio.run(main())
