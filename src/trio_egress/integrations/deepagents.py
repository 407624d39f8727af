"""A backend of LangChain's deepagents whose commands run in one sandbox, with one network and one packet."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Mapping

from deepagents.backends.protocol import (
    FILE_NOT_FOUND,
    IS_DIRECTORY,
    PERMISSION_DENIED,
    ExecuteResponse,
    FileDownloadResponse,
    FileUploadResponse,
)
from deepagents.backends.sandbox import BaseSandbox

from trio_egress.integrations.commands import OUTPUT_BYTES, TIMEOUT_SECONDS, find_code, fit, tell_end
from trio_egress.library.commands import Done
from trio_egress.library.sandbox import Sandbox

ERRORS: Mapping[int, str] = {
    errno.ENOENT: FILE_NOT_FOUND,
    errno.ENOTDIR: FILE_NOT_FOUND,
    errno.EISDIR: IS_DIRECTORY,
    errno.EFBIG: "the file is too large",
}


class EgressBackend(BaseSandbox):
    """`create_deep_agent(backend=EgressBackend(sandbox))`, of a sandbox that is open; who opened it closes it.

    Paths are the host's, as the agent sees them. `timeout`: of each command, in seconds, where the agent names none.
    """

    def __init__(
        self, sandbox: Sandbox, *, timeout: float = TIMEOUT_SECONDS, max_output: int = OUTPUT_BYTES
    ) -> None:
        self._sandbox = sandbox
        self._timeout = timeout
        self._max_output = max_output
        self._id = f"trio-egress:{uuid.uuid4()}"

    @property
    def id(self) -> str:
        return self._id

    def execute(self, command: str, *, timeout: int | None = None) -> ExecuteResponse:
        words, script = fit(["sh", "-c", command])
        return tell(
            self._sandbox.run(
                words, input=script, timeout=timeout or self._timeout, max_output=self._max_output
            )
        )

    async def aexecute(self, command: str, *, timeout: int | None = None) -> ExecuteResponse:
        """Cancelled, it kills the command with all that it has started."""
        words, script = fit(["sh", "-c", command])
        return tell(
            await self._sandbox.arun(
                words, input=script, timeout=timeout or self._timeout, max_output=self._max_output
            )
        )

    def upload_files(self, files: list[tuple[str, bytes]]) -> list[FileUploadResponse]:
        return [FileUploadResponse(path=path, error=self._upload(path, raw)) for path, raw in files]

    def _upload(self, path: str, raw: bytes) -> str | None:
        """With the directories above it; over what is there, but through no link."""
        try:
            self._sandbox.run(["mkdir", "-p", "--", os.path.dirname(path) or "."])
            self._sandbox.write_file(path, raw)
        except OSError as error:
            return find_error(error)
        return None

    def download_files(self, paths: list[str]) -> list[FileDownloadResponse]:
        return [self._download(path) for path in paths]

    def _download(self, path: str) -> FileDownloadResponse:
        try:
            return FileDownloadResponse(path=path, content=self._sandbox.read_file(path))
        except OSError as error:
            return FileDownloadResponse(path=path, error=find_error(error))


def find_error(error: OSError) -> str:
    return ERRORS.get(error.errno or 0, str(PERMISSION_DENIED))


def tell(done: Done) -> ExecuteResponse:
    return ExecuteResponse(output=tell_end(done), exit_code=find_code(done), truncated=done.truncated)
