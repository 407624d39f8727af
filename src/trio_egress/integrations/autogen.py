"""A code executor of AutoGen's whose blocks run in one sandbox, with one network and one packet."""

from __future__ import annotations

import asyncio

from autogen_core import CancellationToken
from autogen_core.code_executor import CodeBlock, CodeExecutor, CodeResult
from pydantic import BaseModel

from trio_egress.integrations.commands import OUTPUT_BYTES, TIMEOUT_SECONDS, find_code, tell_end
from trio_egress.library.sandbox import Sandbox

PROGRAMS = {"python": "python3", "py": "python3", "sh": "sh", "shell": "sh", "bash": "bash"}

AS_FILE = """file=$(mktemp -p . .block-XXXXXX) && cat >"$file" || exit 126
trap 'rm -f "$file"' EXIT; trap 'exit 124' TERM
"$1" "$file" </dev/null"""
"""So that a traceback has the lines of its block, and what lies in the workspace can be imported."""


class EgressCodeExecutor(CodeExecutor):
    """`CodeExecutorAgent("runner", EgressCodeExecutor(sandbox))`, of a sandbox that is open; who opened it closes it.

    `timeout`: of each block, in seconds. `max_output`: so many bytes of a block's output, and of its errors, are kept.
    """

    component_config_schema = BaseModel

    def __init__(
        self, sandbox: Sandbox, *, timeout: float = TIMEOUT_SECONDS, max_output: int = OUTPUT_BYTES
    ) -> None:
        self._sandbox = sandbox
        self._timeout = timeout
        self._max_output = max_output

    async def execute_code_blocks(
        self, code_blocks: list[CodeBlock], cancellation_token: CancellationToken
    ) -> CodeResult:
        """Stops at the first that fails. A block that is cancelled is killed with all that it has started.

        Raises ValueError for a language that it doesn't know, before any runs."""
        for block in code_blocks:
            if block.language.lower() not in PROGRAMS:
                raise ValueError(f"no program for {block.language!r}; there are {', '.join(PROGRAMS)}")
        output, code = [], 0
        for block in code_blocks:
            words = ["sh", "-c", AS_FILE, "sh", PROGRAMS[block.language.lower()]]
            running = self._sandbox.arun(
                words, input=block.code.encode(), timeout=self._timeout, max_output=self._max_output
            )
            waiting = asyncio.ensure_future(running)
            cancellation_token.link_future(waiting)
            done = await waiting
            output.append(tell_end(done))
            if code := find_code(done):
                break
        return CodeResult(exit_code=code, output="\n".join(output))

    async def start(self) -> None:
        """The sandbox is open."""

    async def stop(self) -> None:
        """Who opened the sandbox closes it."""

    async def restart(self) -> None:
        """Nothing lives between blocks."""
