"""AutoGen: python3 with_autogen.py DIRECTORY. The model is a script; nothing outside is needed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from autogen_agentchat.agents import CodeExecutorAgent
from autogen_agentchat.messages import TextMessage
from autogen_core import CancellationToken

import trio_egress as te
from trio_egress.integrations.autogen import EgressCodeExecutor

POLICY = Path(__file__).with_name("agent.toml")
ASKS = """```python
import urllib.request
print(urllib.request.urlopen("http://203.0.113.7:8080/").read())
```"""
DOES_WITHOUT = """```sh
echo "I do without the page"
```"""


def answer(read: str) -> str:
    """The model: what it makes of what it reads."""
    return DOES_WITHOUT if "policy denied this" in read else ASKS


async def main(directory: str) -> None:
    async with te.Sandbox(POLICY, workspace=directory) as sandbox:
        runner = CodeExecutorAgent("runner", EgressCodeExecutor(sandbox))
        read = ""
        for _ in range(2):
            message = TextMessage(content=answer(read), source="model")
            said = await runner.on_messages([message], CancellationToken())
            read = said.chat_message.to_text()
            print(read)
    print(f"packet: {sandbox.packet.path}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
