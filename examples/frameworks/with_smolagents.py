"""smolagents: python3 with_smolagents.py DIRECTORY. The model is a script; nothing outside is needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from smolagents import CodeAgent
from smolagents.models import ChatMessage, MessageRole, Model

from trio_egress.integrations.smolagents import EgressExecutor

POLICY = Path(__file__).with_name("agent.toml")
ASKS = """kept = 41
import urllib.request
print(urllib.request.urlopen("http://203.0.113.7:8080/").read())"""
DOES_WITHOUT = 'final_answer(f"I do without the page, and still know {kept + 1}")'


class Script(Model):  # type: ignore[misc,unused-ignore]
    """Asks for a page; where it reads that a policy denied that, it does without."""

    def generate(self, messages: list[ChatMessage], **_: Any) -> ChatMessage:
        denied = "policy denied this" in str(messages[-1].content) + str(messages[-2:])
        code = DOES_WITHOUT if denied else ASKS
        return ChatMessage(role=MessageRole.ASSISTANT, content=f"<code>\n{code}\n</code>")


def main(directory: str) -> None:
    executor = EgressExecutor(policy=POLICY, directory=directory)
    agent = CodeAgent(tools=[], model=Script(), executor=executor, max_steps=3, verbosity_level=0)
    try:
        print(agent.run("Read the page."))
    finally:
        agent.cleanup()
    print(f"packet: {executor.packet}")


if __name__ == "__main__":
    main(sys.argv[1])
