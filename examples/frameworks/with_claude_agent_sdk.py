"""The Claude Agent SDK: python3 with_claude_agent_sdk.py DIRECTORY. A script stands in for the CLI and its model."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from claude_agent_sdk import AssistantMessage, ClaudeAgentOptions, TextBlock, query

from trio_egress.integrations.claude_agent_sdk import write_cli

HERE = Path(__file__).parent


async def main(directory: str, place: str) -> None:
    cli = write_cli(f"{place}/cli", policy=HERE / "agent.toml", cli=f"{HERE}/scripted_cli.py")
    options = ClaudeAgentOptions(cli_path=cli, cwd=directory)
    async for message in query(prompt="http://203.0.113.7:8080/", options=options):
        for block in message.content if isinstance(message, AssistantMessage) else ():
            if isinstance(block, TextBlock):
                print(block.text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(main(sys.argv[1], place))
