"""A session of the Agents SDK's is the open sandbox: files, time-outs, archives, and what is kept of it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from agents.sandbox import Manifest, errors
from agents.sandbox.entries import File
from agents.sandbox.session import SandboxSession
from agents.sandbox.snapshot import LocalSnapshotSpec
from tests.runs.launch import Place, write_policy

from trio_egress.integrations.openai_agents import EgressSandboxClient
from trio_egress.library.sandbox import Sandbox
from trio_egress.verification import verify

pytestmark = pytest.mark.sandbox


def open_and_call(place: Place, body: Callable[[EgressSandboxClient], Awaitable[None]]) -> None:
    async def main() -> Sandbox:
        policy = place.write("egress.toml", write_policy("api.example.com"))
        async with Sandbox(policy, workspace=place.work) as sandbox:
            await body(EgressSandboxClient(sandbox, place.work))
        return sandbox

    assert verify(asyncio.run(main()).packet.path).finding_count == 0


def test_commands_and_files_are_those_of_the_sandbox(place: Place) -> None:
    async def use(session: SandboxSession) -> None:
        done = await session.exec("cat told; echo err >&2; exit 3")
        assert (done.stdout, done.stderr, done.exit_code) == (b"soon", b"err\n", 3)
        await session.write(Path("below/a.txt"), io.BytesIO(b"\0one"))
        assert (place.work / "below/a.txt").read_bytes() == b"\0one"
        assert (await session.read(Path("below/a.txt"))).read() == b"\0one"
        assert [Path(entry.path).name for entry in await session.ls("below")] == ["a.txt"]
        (place.work / "link").symlink_to("/etc/passwd")
        with pytest.raises(errors.WorkspaceReadNotFoundError):
            await session.read(Path("none"))
        with pytest.raises(errors.SandboxError):
            await session.read(Path("link"))
        with pytest.raises(errors.SandboxError):
            await session.write(Path("below"), io.BytesIO(b""))
        with pytest.raises(errors.ExecTimeoutError):
            await session.exec("sleep 1000", timeout=1)

    async def body(client: EgressSandboxClient) -> None:
        manifest = Manifest(entries={"told": File(content=b"soon")}, environment={})
        async with await client.create(manifest=manifest) as session:
            await use(session)

    open_and_call(place, body)


def test_a_session_goes_on_from_its_state_and_its_snapshot(place: Place) -> None:
    async def body(client: EgressSandboxClient) -> None:
        kept = place.path / "kept"
        async with await client.create(snapshot=LocalSnapshotSpec(base_path=kept)) as session:
            await session.write(Path("a.txt"), io.BytesIO(b"kept"))
            state = client.serialize_session_state(session.state)
        await session.exec("rm a.txt")
        resumed = await client.resume(client.deserialize_session_state(state))
        async with resumed:
            assert (await resumed.read(Path("a.txt"))).read() == b"kept"

    open_and_call(place, body)
