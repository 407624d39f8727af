"""A toolset of Pydantic AI's whose commands run in one sandbox, with one network and one packet."""

from __future__ import annotations

from typing import Any

from pydantic_ai.toolsets import FunctionToolset

from trio_egress.integrations.commands import OUTPUT_BYTES, TIMEOUT_SECONDS, find_code, fit, tell_end
from trio_egress.library.sandbox import Sandbox


class EgressToolset(FunctionToolset[Any]):
    """`Agent(model, toolsets=[EgressToolset(sandbox)])`, of a sandbox that is open: the tool `run_command`.

    `timeout`: of each command, in seconds. `max_output`: so many bytes of its output, and of its errors, are told.
    """

    def __init__(
        self, sandbox: Sandbox, *, timeout: float = TIMEOUT_SECONDS, max_output: int = OUTPUT_BYTES
    ) -> None:
        self._sandbox, self._timeout, self._max_output = sandbox, timeout, max_output
        super().__init__([self.run_command])

    async def run_command(self, command: str) -> str:
        """Run a command in a shell, in a sandbox with a policy of its own for the network.

        Args:
            command: What `sh -c` takes.
        """
        words, script = fit(["sh", "-c", command])
        done = await self._sandbox.arun(
            words, input=script, timeout=self._timeout, max_output=self._max_output
        )
        code = find_code(done)
        return tell_end(done) + (f"\n[exit code {code}]" if code else "")
