"""A code executor of AutoGen's whose blocks run in a sandbox, each in one of its own.

A cancelled wait does not end the block: its `timeout` does.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

from autogen_core import CancellationToken
from autogen_core.code_executor import CodeBlock, CodeExecutor, CodeResult
from pydantic import BaseModel

from trio_egress.integrations.commands import Commands, find_code, tell_end
from trio_egress.library.result import Run

PROGRAMS = {"python": "python3", "py": "python3", "sh": "sh", "shell": "sh", "bash": "bash"}


class EgressCodeExecutor(CodeExecutor):
    """`CodeExecutorAgent("runner", EgressCodeExecutor(policy="egress.toml", directory="/srv/work"))`.

    Takes what `Commands` takes. What a block writes in `directory` is there for the next; it works there.
    """

    component_config_schema = BaseModel

    def __init__(self, **terms: Any) -> None:
        self.commands = Commands(**terms)

    async def execute_code_blocks(
        self, code_blocks: list[CodeBlock], cancellation_token: CancellationToken
    ) -> CodeResult:
        """Stops at the first that fails. Raises ValueError for a language that it doesn't know, before any runs."""
        for block in code_blocks:
            if block.language.lower() not in PROGRAMS:
                raise ValueError(f"no program for {block.language!r}; there are {', '.join(PROGRAMS)}")
        output, code = [], 0
        for block in code_blocks:
            waiting = asyncio.ensure_future(asyncio.to_thread(self._run, block))
            cancellation_token.link_future(waiting)
            done = await waiting
            output.append(tell_end(done))
            if code := find_code(done):
                break
        return CodeResult(exit_code=code, output="\n".join(output))

    def _run(self, block: CodeBlock) -> Run:
        """As a file, so that a traceback has its lines."""
        descriptor, path = tempfile.mkstemp(prefix="block-", suffix=".txt", dir=self.commands.directory)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                os.fchmod(stream.fileno(), 0o644)
                stream.write(block.code)
            return self.commands.run([PROGRAMS[block.language.lower()], Path(path).name])
        finally:
            os.unlink(path)

    async def start(self) -> None:
        """Nothing lives between blocks."""

    async def stop(self) -> None:
        """Nothing lives between blocks."""

    async def restart(self) -> None:
        """Nothing lives between blocks."""
