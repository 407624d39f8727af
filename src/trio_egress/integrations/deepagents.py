"""A backend of LangChain's deepagents whose commands run in a sandbox, each in one of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepagents.backends.protocol import (
    FILE_NOT_FOUND,
    IS_DIRECTORY,
    PERMISSION_DENIED,
    ExecuteResponse,
    FileDownloadResponse,
    FileUploadResponse,
)
from deepagents.backends.sandbox import BaseSandbox

from trio_egress.integrations.commands import (
    A_DIRECTORY,
    NOT_THERE,
    Commands,
    find_code,
    tell_end,
)

ERRORS: Mapping[int, str] = {NOT_THERE: FILE_NOT_FOUND, A_DIRECTORY: IS_DIRECTORY}


class EgressBackend(BaseSandbox):
    """`create_deep_agent(backend=EgressBackend(policy="egress.toml", directory="/srv/work"))`.

    Takes what `Commands` takes. Paths are the host's: what an agent writes in `directory` stays, and all else that it
    writes is gone with the command.
    """

    def __init__(self, **terms: Any) -> None:
        self.commands = Commands(**terms)

    @property
    def id(self) -> str:
        return f"trio-egress:{self.commands.directory}"

    def execute(self, command: str, *, timeout: int | None = None) -> ExecuteResponse:
        done = self.commands.run(["sh", "-c", command], timeout=timeout)
        return ExecuteResponse(output=tell_end(done), exit_code=find_code(done), truncated=done.truncated)

    def upload_files(self, files: list[tuple[str, bytes]]) -> list[FileUploadResponse]:
        return [FileUploadResponse(path=path, error=self._upload(path, raw)) for path, raw in files]

    def _upload(self, path: str, raw: bytes) -> str | None:
        code = find_code(self.commands.write(path, raw))
        return ERRORS.get(code, PERMISSION_DENIED) if code else None

    def download_files(self, paths: list[str]) -> list[FileDownloadResponse]:
        return [self._download(path) for path in paths]

    def _download(self, path: str) -> FileDownloadResponse:
        done = self.commands.read(path)
        if code := find_code(done):
            return FileDownloadResponse(path=path, error=ERRORS.get(code, PERMISSION_DENIED))
        if done.truncated:
            return FileDownloadResponse(path=path, error="the file is too large")
        return FileDownloadResponse(path=path, content=done.stdout)
