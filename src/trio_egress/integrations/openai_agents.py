"""A sandbox client of the OpenAI Agents SDK's, whose sessions are one sandbox that is open: one network, one packet."""

from __future__ import annotations

import io
import uuid
from pathlib import Path
from typing import Any, Literal

from agents.sandbox import ExecResult, Manifest, errors
from agents.sandbox.session import BaseSandboxClient, BaseSandboxSession, SandboxSession, SandboxSessionState
from agents.sandbox.snapshot import resolve_snapshot

from trio_egress.errors import SandboxError
from trio_egress.integrations.commands import OUTPUT_BYTES, TIMEOUT_SECONDS, find_code, fit, tell_errors
from trio_egress.library.sandbox import Sandbox

ARCHIVE_BYTES, AUDIT = 1 << 30, Path("trio-egress-audit")


class EgressSessionState(SandboxSessionState):
    type: Literal["trio_egress"] = "trio_egress"


class EgressSession(BaseSandboxSession):
    def __init__(self, sandbox: Sandbox, state: Any) -> None:
        self._sandbox, self.state = sandbox, state

    async def running(self) -> bool:
        return not self._sandbox.closed

    async def _exec_internal(self, *command: Any, timeout: float | None = None, **more: Any) -> ExecResult:
        words, script = fit(list(map(str, command)), more.pop("given", b""))
        bounds: Any = {"timeout": timeout or TIMEOUT_SECONDS, "max_output": OUTPUT_BYTES} | more
        environment = await self.state.manifest.environment.resolve()
        try:
            done = await self._sandbox.arun(words, input=script, environment=environment, **bounds)
        except SandboxError as error:
            raise errors.ExecTransportError(command=command, cause=error, message=str(error)) from None
        if done.timed_out:
            raise errors.ExecTimeoutError(command=command, timeout_s=timeout)
        return ExecResult(stdout=done.stdout, stderr=tell_errors(done).encode(), exit_code=find_code(done))

    async def read(self, path: Path, *, user: Any = None) -> io.IOBase:
        place = await self._validate_path_access(path)
        try:
            return io.BytesIO(await self._sandbox.aread_file(place))
        except FileNotFoundError as error:
            raise errors.WorkspaceReadNotFoundError(path=path, cause=error) from None
        except OSError as error:
            raise errors.WorkspaceArchiveReadError(path=path, cause=error) from None

    async def write(self, path: Path, data: io.IOBase, *, user: Any = None) -> None:
        place, content = await self._validate_path_access(path, for_write=True), data.read()
        await self._exec_internal("mkdir", "-p", "--", str(place.parent))
        try:
            await self._sandbox.awrite_file(place, content.encode() if isinstance(content, str) else content)
        except OSError as error:
            raise errors.WorkspaceArchiveWriteError(path=path, cause=error) from None

    async def persist_workspace(self) -> io.IOBase:
        left = [f"--exclude=./{path}" for path in {*self._persist_workspace_skip_relpaths(), AUDIT}]
        done = await self._exec_internal("tar", "-c", "-f", "-", *left, ".", max_output=ARCHIVE_BYTES)
        if not done.ok() or len(done.stdout) == ARCHIVE_BYTES:
            raise errors.WorkspaceArchiveReadError(path=Path("."), context={"stderr": done.stderr.decode()})
        return io.BytesIO(done.stdout)

    def _workspace_resume_mount_skip_relpaths(self) -> set[Path]:
        return {AUDIT}

    async def hydrate_workspace(self, data: io.IOBase) -> None:
        done = await self._exec_internal("tar", "-x", "-f", "-", given=data.read())
        if not done.ok():
            raise errors.WorkspaceArchiveWriteError(path=Path("."), context={"stderr": done.stderr.decode()})


class EgressSandboxClient(BaseSandboxClient[None]):
    """`SandboxRunConfig(client=EgressSandboxClient(sandbox, "work"))`, of a sandbox that is open and its workspace."""

    backend_id = "trio_egress"
    supports_default_options = True

    def __init__(self, sandbox: Sandbox, workspace: str | Path) -> None:
        self._sandbox, self._root = sandbox, str(Path(workspace).resolve())

    async def create(self, *, snapshot: Any = None, manifest: Any = None, options: Any = None) -> Any:
        placed = (manifest or Manifest()).model_copy(update={"root": self._root}, deep=True)
        placed, number = self._validate_manifest_for_create(placed), uuid.uuid4()
        saved = resolve_snapshot(snapshot, str(number))
        return await self.resume(EgressSessionState(session_id=number, manifest=placed, snapshot=saved))

    async def resume(self, state: SandboxSessionState) -> SandboxSession:
        return self._wrap_session(EgressSession(self._sandbox, state))

    async def delete(self, session: SandboxSession) -> SandboxSession:
        return session

    def deserialize_session_state(self, payload: dict[str, object]) -> SandboxSessionState:
        return self._deserialize_session_state_payload(payload, EgressSessionState)
