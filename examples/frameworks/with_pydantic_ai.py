"""Pydantic AI: python3 with_pydantic_ai.py DIRECTORY. The model is a script; nothing outside is needed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models.function import AgentInfo, FunctionModel

import trio_egress as te
from trio_egress.integrations.pydantic_ai import EgressToolset

POLICY = Path(__file__).with_name("agent.toml")
COMMAND = "python3 -c \"import urllib.request as u; u.urlopen('http://203.0.113.7:8080/')\""


def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
    """The model: asks for a page; where it reads that a policy denied that, it does without."""
    last = messages[-1].parts[-1]
    if not isinstance(last, ToolReturnPart):
        return ModelResponse(parts=[ToolCallPart("run_command", {"command": COMMAND})])
    read = str(last.content)
    if "policy denied this" in read:
        reason = next(line for line in read.splitlines() if line.startswith("- "))
        return ModelResponse(parts=[TextPart(f"I do without the page: {reason[2:]}")])
    return ModelResponse(parts=[TextPart(f"The page: {read}")])


async def main(directory: str) -> None:
    async with te.Sandbox(POLICY, workspace=directory) as sandbox:
        agent = Agent(FunctionModel(answer), toolsets=[EgressToolset(sandbox)])
        print((await agent.run("Read the page.")).output)
    print(f"packet: {sandbox.packet.path}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
