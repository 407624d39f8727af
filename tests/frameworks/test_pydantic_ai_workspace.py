"""A sandbox is a workspace as Pydantic AI means it: its own suite of claims, whole but for the one that is said below.

Left out is that a process which a command has detached outlives it: here the end of a command is that of all it has
started. One claim it asks by process id, of a second command; here those see none of each other, so that it is asked
from outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import anyio
import pytest
from pydantic_ai.messages import WorkspaceRef
from pydantic_ai.workspaces.conformance import WorkspaceBackendSuite
from tests.runs.launch import PATIENCE_SECONDS, Place, find_processes, ours, write_policy

from trio_egress.integrations.pydantic_ai_workspace import EgressWorkspace
from trio_egress.library.sandbox import Sandbox

pytestmark = pytest.mark.sandbox


def open_one(place: Place) -> Sandbox:
    return Sandbox(place.write("egress.toml", write_policy("api.example.com")), workspace=place.work)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class TestWorkspace(WorkspaceBackendSuite):
    test_a_backend_attached_by_ref_reaches_a_detached_process = None

    @pytest.fixture
    async def backend(self, place: Place, anyio_backend: str) -> AsyncIterator[EgressWorkspace]:
        async with open_one(place) as sandbox:
            yield EgressWorkspace(sandbox, place.work)

    @pytest.fixture
    def opened(self, place: Place) -> Iterator[Sandbox]:
        with open_one(place) as sandbox:
            yield sandbox

    @pytest.fixture
    def fresh_backend(self, opened: Sandbox, place: Place) -> Callable[[], EgressWorkspace]:
        return lambda: EgressWorkspace(opened, place.work)

    @pytest.fixture
    def attach_backend(self) -> Callable[[WorkspaceRef], EgressWorkspace]:
        return EgressWorkspace.attach

    @pytest.fixture
    def destroy_environment(self, opened: Sandbox) -> Callable[[EgressWorkspace], Awaitable[None]]:
        return lambda _: opened.__aexit__(None, None, None)

    async def test_cancellation_stops_foreground_work(self, backend: EgressWorkspace, place: Place) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(
                backend.run, ["sh", "-c", f"touch begun; sleep {ours('1013')} & sleep {ours('1013')}"]
            )
            with anyio.fail_after(PATIENCE_SECONDS):
                while not find_processes(ours("1013")):  # noqa: ASYNC110 (another program begins it)
                    await anyio.sleep(0.05)
            group.cancel_scope.cancel()
        assert find_processes(ours("1013")) == []


def test_what_was_denied_stands_in_its_errors(place: Place) -> None:
    asks = "import urllib.request as u; u.urlopen('http://203.0.113.7:8080/')"

    async def ask() -> str:
        async with open_one(place) as sandbox:
            return str((await EgressWorkspace(sandbox, place.work).run(["python3", "-c", asks])).stderr)

    told = asyncio.run(ask())
    assert "policy denied this" in told
    assert "- GET http://203.0.113.7:8080/: no rule allows 203.0.113.7:8080" in told
