"""Inspect AI: python3 with_inspect_ai.py DIRECTORY. The model is a script; nothing outside is needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.event import InfoEvent
from inspect_ai.model import ChatMessageTool, ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import bash

from trio_egress.integrations.inspect_ai import EgressConfig

POLICY = Path(__file__).with_name("agent.toml")
COMMAND = "cat told.txt; python3 -c \"import urllib.request as u; u.urlopen('http://203.0.113.7:8080/')\""


def answer(messages: list[Any], *_: Any) -> ModelOutput:
    """The model: asks for a page; where it reads that a policy denied that, it does without."""
    last = messages[-1]
    if not isinstance(last, ChatMessageTool):
        output = ModelOutput.for_tool_call("script", "bash", {"command": COMMAND})
    elif "policy denied this" in last.text:
        reason = next(line for line in last.text.splitlines() if line.startswith("- "))
        output = ModelOutput.from_content("script", f"I do without the page: {reason[2:]}")
    else:
        output = ModelOutput.from_content("script", f"The page: {last.text}")
    output.usage = ModelUsage()  # to count tokens takes a file out of the network
    return output


def main(directory: str) -> None:
    config = EgressConfig(policy=str(POLICY), evidence_in=f"{directory}/trio-egress-audit")
    task = Task(
        dataset=[Sample("Read the page.", target="without", files={"told.txt": "Read it soon."})],
        solver=[use_tools(bash()), generate()],
        scorer=includes(),
        sandbox=("trio-egress", config),
    )
    model = get_model("mockllm/model", custom_outputs=answer)
    (log,) = eval(task, model=model, display="none", log_dir=f"{directory}/logs")
    for sample in log.samples or ():
        print(sample.output.completion)
        print(*(event.data for event in sample.events if isinstance(event, InfoEvent)))
    sys.exit(0 if log.status == "success" else 1)


if __name__ == "__main__":
    main(sys.argv[1])
