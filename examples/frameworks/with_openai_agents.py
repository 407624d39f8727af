"""The OpenAI Agents SDK: python3 with_openai_agents.py DIRECTORY. The model is a script; nothing outside is needed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from agents import Model, ModelResponse, RunConfig, Runner, Usage
from agents.sandbox import SandboxAgent, SandboxRunConfig
from agents.sandbox.capabilities import Shell
from agents.testing import assistant_message, function_call

import trio_egress as te
from trio_egress.integrations.openai_agents import EgressSandboxClient

POLICY = Path(__file__).with_name("agent.toml")
COMMAND = (
    "echo seen >notes.txt; python3 -c \"import urllib.request as u; u.urlopen('http://203.0.113.7:8080/')\""
)


class Script(Model):
    """Asks for a page; where it reads that a policy denied that, it does without."""

    async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> ModelResponse:
        last = input[-1]
        read = str(last.get("output", ""))
        if "output" not in last:
            answer = function_call("exec_command", {"cmd": COMMAND}, call_id="1")
        elif "policy denied this" in read:
            reason = next(line for line in read.splitlines() if line.startswith("- "))
            answer = assistant_message(f"I do without the page: {reason[2:]}")
        else:
            answer = assistant_message(f"The page: {read}")
        return ModelResponse(output=[answer], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


async def main(directory: str) -> None:
    async with te.Sandbox(POLICY, workspace=directory) as sandbox:
        agent = SandboxAgent(name="reader", model=Script(), capabilities=[Shell()])
        client = EgressSandboxClient(sandbox, directory)
        settings = RunConfig(sandbox=SandboxRunConfig(client=client), tracing_disabled=True)
        done = await Runner.run(agent, "Read the page.", run_config=settings)
        print(done.final_output)
        print(await sandbox.aread_file("notes.txt"))
    print(f"packet: {sandbox.packet.path}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
