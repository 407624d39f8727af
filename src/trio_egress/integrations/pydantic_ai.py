"""Pydantic AI's agents: a workspace that is a sandbox, and a tool whose commands run in a sandbox each."""

from __future__ import annotations

import os
import shlex
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
from trio_egress.integrations.commands import Commands, find_code, tell_denied, tell_end
from trio_egress.library.commands import OUTPUT_BYTES
from trio_egress.library.running import FilePath
from trio_egress.library.sandbox import Sandbox

NOT_FOUND = 127
LONG_BYTES = 16 << 10
READS = 'script=$(cat) && exec </dev/null && eval "$script"'
"""For a command with more words than one of a sandbox may have; its own standard input is as empty as ever."""


class EgressToolset(FunctionToolset[Any]):
    """`Agent(model, toolsets=[EgressToolset(policy="egress.toml", directory="/srv/work")])`: the tool `run_command`.

    Takes what `Commands` takes. What a command writes in `directory` is there for the next; it works there.
    """

    def __init__(self, **terms: Any) -> None:
        self.commands = Commands(**terms)
        super().__init__([self.run_command])

    def run_command(self, command: str) -> str:
        """Run a command in a shell, in a sandbox with a policy of its own for the network.

        Args:
            command: What `sh -c` takes.
        """
        done = self.commands.run(["sh", "-c", command])
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
        script = f"exec {shlex.join(words)}".encode()
        words, given = (words, b"") if len(script) < LONG_BYTES else (["sh", "-c", READS], script)
        try:
            done = await self._sandbox.arun(words, environment=env, timeout=timeout, input=given)
        except SandboxError as error:
            raise WorkspaceUnavailableError(str(error)) from None
        out, err = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
        if denied := tell_denied(done.denied):
            err = f"{err.rstrip()}\n{denied}\n".lstrip()
        if done.timed_out:
            raise WorkspaceTimeoutError(f"no end in {timeout} s", stdout=out, stderr=err)
        if done.truncated:
            raise WorkspaceOutputLimitError("more output", limit=OUTPUT_BYTES, stdout=out, stderr=err)
        code = NOT_FOUND if done.returncode is None else done.returncode
        return CommandResult(
            exit_code=128 - code if code < 0 else code, stdout=out, stderr=err or done.message
        )
