"""Pydantic AI's agents: a workspace that is a sandbox, and a tool whose commands run in one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic_ai.messages import WorkspaceRef
from pydantic_ai.toolsets import FunctionToolset
from pydantic_ai.workspaces import (
    CommandResult,
    WorkspaceCommand,
    WorkspaceOutputLimitError,
    WorkspaceTimeoutError,
    WorkspaceUnavailableError,
)
from pydantic_ai.workspaces.protocol import validate_timeout

from trio_egress.errors import SandboxError
from trio_egress.integrations.commands import OUTPUT_BYTES as TOLD_BYTES
from trio_egress.integrations.commands import (
    TIMEOUT_SECONDS,
    find_code,
    fit,
    tell_end,
    tell_errors,
)
from trio_egress.library.commands import OUTPUT_BYTES
from trio_egress.library.running import FilePath
from trio_egress.library.sandbox import Sandbox


class EgressToolset(FunctionToolset[Any]):
    """`Agent(model, toolsets=[EgressToolset(sandbox)])`, of a sandbox that is open: the tool `run_command`.

    `timeout`: of each command, in seconds. `max_output`: so many bytes of its output, and of its errors, are told.
    """

    def __init__(
        self, sandbox: Sandbox, *, timeout: float = TIMEOUT_SECONDS, max_output: int = TOLD_BYTES
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


class EgressWorkspace:
    """A `WorkspaceBackend` of a sandbox that is open, and of the directory that is its `workspace`; for asyncio.

    Who opened it closes it. Files are reached by commands inside. The end of a command is that of all it has started.
    What was denied is told at the end of a command's errors.
    """

    def __init__(self, sandbox: Sandbox, workspace: FilePath) -> None:
        self._sandbox = sandbox
        self._place = Path(workspace).resolve()
        self.ref = WorkspaceRef(provider="trio-egress", id=str(self._place))

    async def working_dir(self) -> str:
        return str(self._place)

    async def run(
        self,
        command: WorkspaceCommand,
        *,
        shell: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> CommandResult:
        validate_timeout(timeout)
        if isinstance(command, str) is not shell:
            raise TypeError("a text is for shell=True, a list of words for shell=False")
        words = ["sh", "-c", command] if isinstance(command, str) else list(map(os.fspath, command))
        words, script = fit(words)
        try:
            done = await self._sandbox.arun(words, environment=env, timeout=timeout, input=script)
        except SandboxError as error:
            raise WorkspaceUnavailableError(str(error)) from None
        out, err = done.stdout.decode(errors="replace"), tell_errors(done)
        if done.timed_out:
            raise WorkspaceTimeoutError(f"no end in {timeout} s", stdout=out, stderr=err)
        if done.truncated:
            raise WorkspaceOutputLimitError("more output", limit=OUTPUT_BYTES, stdout=out, stderr=err)
        return CommandResult(exit_code=find_code(done), stdout=out, stderr=err)
