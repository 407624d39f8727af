"""A sandbox is a workspace as Pydantic AI means it: its own suite of claims, whole but for what is said below.

Left out is what the suite makes a choice: to attach to an environment from another program, which a sandbox doesn't
outlive, and native paths. One claim it asks by process id, of a second command; here those see none of each other, so
that it is asked from outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import anyio
import pytest
from pydantic_ai.workspaces.conformance import WorkspaceBackendSuite
from tests.runs.launch import PATIENCE_SECONDS, Place, find_processes, write_policy

from trio_egress.integrations.pydantic_ai import EgressWorkspace
from trio_egress.library.sandbox import Sandbox

pytestmark = pytest.mark.sandbox


def open_one(place: Place) -> Sandbox:
    return Sandbox(place.write("egress.toml", write_policy("api.example.com")), workspace=place.work)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class TestWorkspace(WorkspaceBackendSuite):
    test_concurrent_first_use_shares_one_environment = None
    test_native_realpath_keeps_the_working_dir_and_missing_names = None
    test_a_backend_attached_by_ref_reaches_the_same_environment = None
    test_a_backend_attached_by_ref_reaches_a_detached_process = None
    test_destroying_environment_during_command_raises_unavailable = None
    test_attaching_to_a_destroyed_environment_raises_unavailable = None

    @pytest.fixture
    async def backend(self, place: Place, anyio_backend: str) -> AsyncIterator[EgressWorkspace]:
        async with open_one(place) as sandbox:
            yield EgressWorkspace(sandbox, place.work)

    async def test_cancellation_stops_foreground_work(self, backend: EgressWorkspace, place: Place) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(backend.run, ["sh", "-c", "touch begun; sleep 1013 & sleep 1013"])
            with anyio.fail_after(PATIENCE_SECONDS):
                while not (place.work / "begun").exists():  # noqa: ASYNC110 (another program makes it)
                    await anyio.sleep(0.05)
            assert find_processes("1013")
            group.cancel_scope.cancel()
        assert find_processes("1013") == []


def test_what_was_denied_stands_in_its_errors(place: Place) -> None:
    asks = "import urllib.request as u; u.urlopen('http://203.0.113.7:8080/')"

    async def ask() -> str:
        async with open_one(place) as sandbox:
            return str((await EgressWorkspace(sandbox, place.work).run(["python3", "-c", asks])).stderr)

    told = asyncio.run(ask())
    assert "policy denied this" in told
    assert "- GET http://203.0.113.7:8080/: no rule allows 203.0.113.7:8080" in told
