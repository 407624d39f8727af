"""A sandbox provider of Inspect AI's: each sample has a sandbox with one network, one workspace and one packet."""

from __future__ import annotations

import errno
import os
import uuid
from contextlib import AsyncExitStack
from tempfile import TemporaryDirectory
from typing import Any

from inspect_ai import util
from inspect_ai.log import transcript
from inspect_ai.util import SandboxEnvironmentLimits as Limits
from pydantic import BaseModel
from sniffio import current_async_library

from trio_egress.errors import SandboxError
from trio_egress.integrations.commands import find_code, fit, tell_errors
from trio_egress.library.sandbox import Sandbox
from trio_egress.library.trio_sandbox import open_sandbox

WRITE = f"""[ ! -d "$1" ] || exit {errno.EISDIR}; [ ! -e "$1" ] || [ -f "$1" ] || exit {errno.EPERM}
mkdir -p -- "$(dirname -- "$1")" && cat >"$1" || exit {errno.EACCES}"""


class EgressConfig(BaseModel, frozen=True):
    """`sandbox=SandboxEnvironmentSpec("trio-egress", EgressConfig(policy="egress.toml", key="ci.key"))`."""

    policy: str
    allow: tuple[str, ...] = ()
    evidence_in: str = "trio-egress-audit"
    key: str | None = None
    user: str | None = None


@util.sandboxenv(name="trio-egress")
class EgressEnvironment(util.SandboxEnvironment):
    """`Task(sandbox=("trio-egress", "egress.toml"))`. The packet's path is told in the sample's transcript."""

    config_files = staticmethod(lambda: ["egress.toml"])
    config_deserialize = EgressConfig.model_validate

    def __init__(self, sandbox: Any, closing: AsyncExitStack) -> None:
        super().__init__()
        self._closing = closing
        self._run = getattr(sandbox, "arun", sandbox.run)
        self._read = getattr(sandbox, "aread_file", sandbox.read_file)

    @classmethod
    async def sample_init(cls, task_name: str, config: Any, metadata: Any) -> dict[str, Any]:
        given = config if isinstance(config, EgressConfig) else EgressConfig(policy=config)
        packet = os.path.join(os.getcwd(), given.evidence_in, str(uuid.uuid4()))
        opens: Any = open_sandbox if current_async_library() == "trio" else Sandbox
        async with AsyncExitStack() as stack:
            work = stack.enter_context(TemporaryDirectory(prefix="inspect-", ignore_cleanup_errors=True))
            opened = opens(**given.model_dump(exclude={"evidence_in"}), workspace=work, evidence=packet)
            sandbox = await stack.enter_async_context(opened)
            transcript().info({"packet": packet}, source="trio-egress")
            environment = cls(sandbox, stack.pop_all())
        return {"default": environment}

    @classmethod
    async def sample_cleanup(cls, task_name: str, config: Any, environments: Any, interrupted: bool) -> None:
        for environment in environments.values():
            await environment._closing.aclose()

    async def exec(self, cmd: Any, input: Any = None, cwd: Any = None, env: Any = None, **more: Any) -> Any:
        if more.get("user") is not None:
            raise util.SandboxUserUnsupportedError("in a sandbox there is the agent, and no other user")
        words, given = fit(cmd, input.encode() if isinstance(input, str) else input or b"")
        terms = {"directory": cwd or "", "environment": env, "timeout": more.get("timeout")}
        try:
            done = await self._run(words, **terms, input=given, max_output=Limits.MAX_EXEC_OUTPUT_SIZE)
        except SandboxError as error:
            raise util.SandboxUnavailableError(str(error)) from None
        out, err = done.stdout.decode(errors="replace"), tell_errors(done)
        if done.timed_out:
            raise TimeoutError(err)
        if done.truncated:
            raise util.OutputLimitExceededError(Limits.MAX_EXEC_OUTPUT_SIZE_STR, out)
        if done.errno == errno.EACCES:
            raise PermissionError(done.message)
        return util.ExecResult(done.returncode == 0, find_code(done), out, err)

    async def write_file(self, file: str, contents: str | bytes) -> None:
        done = await self.exec(["sh", "-c", WRITE, "sh", file], contents)
        if not done.success:
            raise OSError(done.returncode, done.stderr or os.strerror(done.returncode), file)

    async def read_file(self, file: str, text: bool = True) -> Any:
        try:
            raw = await self._read(file, max_bytes=Limits.MAX_READ_FILE_SIZE)
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise util.OutputLimitExceededError(Limits.MAX_READ_FILE_SIZE_STR, None) from None
            code = error.errno if error.errno in (errno.ENOENT, errno.EISDIR) else errno.EACCES
            raise OSError(code, error.strerror, file) from None
        return raw.decode() if text else raw
