"""LangChain's deepagents: python3 with_deepagents.py DIRECTORY. The model is a script; nothing outside is needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from deepagents import create_deep_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult

import trio_egress as te
from trio_egress.integrations.deepagents import EgressBackend

POLICY = Path(__file__).with_name("agent.toml")
COMMAND = (
    "echo seen >notes.txt; python3 -c \"import urllib.request as u; u.urlopen('http://203.0.113.7:8080/')\""
)


class Script(BaseChatModel):
    """Asks for a page; where it reads that a policy denied that, it does without."""

    @property
    def _llm_type(self) -> str:
        return "script"

    def bind_tools(self, tools: Any, **_: Any) -> Script:
        return self

    def _generate(self, messages: list[Any], *_: Any, **__: Any) -> ChatResult:
        last = messages[-1]
        if not isinstance(last, ToolMessage):
            calls = [{"name": "execute", "args": {"command": COMMAND}, "id": "1"}]
            answer = AIMessage(content="", tool_calls=calls)
        elif "policy denied this" in last.text:
            reason = next(line for line in last.text.splitlines() if line.startswith("- "))
            answer = AIMessage(content=f"I do without the page: {reason[2:]}")
        else:
            answer = AIMessage(content=f"The page: {last.text}")
        return ChatResult(generations=[ChatGeneration(message=answer)])


def main(directory: str) -> None:
    with te.Sandbox(POLICY, workspace=directory) as sandbox:
        backend = EgressBackend(sandbox)
        agent = create_deep_agent(model=Script(), backend=backend)
        done = agent.invoke({"messages": [{"role": "user", "content": "Read the page."}]})
        print(done["messages"][-1].text)
        print(backend.download_files([f"{directory}/notes.txt"])[0].content)
    print(f"packet: {sandbox.packet.path}")


if __name__ == "__main__":
    main(sys.argv[1])
