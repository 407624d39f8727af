"""A workspace of Pydantic AI's that is one sandbox."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from weakref import WeakValueDictionary

from pydantic_ai.messages import WorkspaceRef
from pydantic_ai.workspaces import (
    CommandResult,
    WorkspaceCommand,
    WorkspaceOutputLimitError,
    WorkspaceTimeoutError,
    WorkspaceUnavailableError,
)
from pydantic_ai.workspaces.protocol import validate_timeout

from trio_egress.errors import SandboxError
from trio_egress.integrations.commands import find_code, fit, tell_errors
from trio_egress.library.commands import OUTPUT_BYTES
from trio_egress.library.running import FilePath
from trio_egress.library.sandbox import Sandbox

_KNOWN: WeakValueDictionary[str, EgressWorkspace] = WeakValueDictionary()


class EgressWorkspace:
    """A `WorkspaceBackend` of a sandbox that is open, and of the directory that is its `workspace`; for asyncio.

    Who opened it closes it. Files are reached by commands inside. The end of a command is that of all it has started.
    What was denied is told at the end of a command's errors.
    """

    def __init__(self, sandbox: Sandbox, workspace: FilePath) -> None:
        self._sandbox = sandbox
        self._place = str(Path(workspace).resolve())
        self.ref: WorkspaceRef | None = None

    @classmethod
    def attach(cls, ref: WorkspaceRef) -> EgressWorkspace:
        """That of a `ref` which was given in this program. Raises WorkspaceUnavailableError."""
        if (there := _KNOWN.get(ref.id)) is None:
            raise WorkspaceUnavailableError("there is no such sandbox in this program")
        return there

    def _check(self) -> None:
        """From the first use on there is a `ref`."""
        if self._sandbox.closed:
            raise WorkspaceUnavailableError("the sandbox is closed")
        if self.ref is None:
            self.ref = WorkspaceRef(provider="trio-egress", id=str(uuid.uuid4()))
            _KNOWN[self.ref.id] = self

    async def working_dir(self) -> str:
        self._check()
        return self._place

    async def realpath(self, path: str) -> str:
        done = await self.run(["realpath", "-m", "-z", "--", path])
        return str(done.stdout).rstrip("\0")

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
        self._check()
        try:
            done = await self._sandbox.arun(words, environment=env, timeout=timeout, input=script)
        except SandboxError as error:
            raise WorkspaceUnavailableError(str(error)) from None
        self._check()
        out, err = done.stdout.decode(errors="replace"), tell_errors(done)
        if done.timed_out:
            raise WorkspaceTimeoutError(f"no end in {timeout} s", stdout=out, stderr=err)
        if done.truncated:
            raise WorkspaceOutputLimitError("more output", limit=OUTPUT_BYTES, stdout=out, stderr=err)
        return CommandResult(exit_code=find_code(done), stdout=out, stderr=err)
