"""What each framework expects of what it is given, beside what its example shows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from autogen_core import CancellationToken
from autogen_core.code_executor import CodeBlock, CodeResult
from smolagents.utils import AgentError
from tests.runs.launch import PATIENCE_SECONDS, Place, find_processes, ours, write_policy

from trio_egress.errors import PolicyError, SandboxError
from trio_egress.integrations.autogen import EgressCodeExecutor
from trio_egress.integrations.deepagents import EgressBackend
from trio_egress.integrations.smolagents import EgressExecutor
from trio_egress.library.sandbox import Sandbox
from trio_egress.verification import verify

pytestmark = pytest.mark.sandbox


def make_terms(place: Place) -> dict[str, Any]:
    return {"policy": place.write("egress.toml", write_policy("api.example.com")), "directory": place.work}


@pytest.fixture
def sandbox(place: Place) -> Iterator[Sandbox]:
    with Sandbox(
        place.write("egress.toml", write_policy("api.example.com")), workspace=place.work
    ) as sandbox:
        yield sandbox
    assert verify(sandbox.packet.path).finding_count == 0


def execute(sandbox: Sandbox, *blocks: tuple[str, str], **terms: Any) -> CodeResult:
    executor = EgressCodeExecutor(sandbox, **terms)
    given = [CodeBlock(code=code, language=language) for language, code in blocks]
    return asyncio.run(executor.execute_code_blocks(given, CancellationToken()))


def test_autogen_stops_at_the_first_block_that_fails(place: Place, sandbox: Sandbox) -> None:
    done = execute(
        sandbox, ("python", "open('a', 'w').write('kept')"), ("sh", "cat a; exit 3"), ("sh", "echo no")
    )
    assert (done.exit_code, done.output.strip()) == (3, "kept")
    assert [path.name for path in place.work.iterdir() if path.name != "trio-egress-audit"] == ["a"]


def test_autogen_is_told_of_a_time_out_and_of_a_language_that_is_none(place: Place, sandbox: Sandbox) -> None:
    assert execute(sandbox, ("bash", "sleep 1000"), timeout=1).exit_code == 124
    with pytest.raises(ValueError, match="no program for 'cobol'"):
        execute(sandbox, ("sh", "touch run"), ("cobol", ""))
    assert not (place.work / "run").exists()


def test_autogen_kills_a_block_that_is_cancelled(place: Place, sandbox: Sandbox) -> None:
    block = CodeBlock(code=f"touch begun; sleep {ours('1021')} & sleep {ours('1021')}", language="sh")

    async def cancel() -> None:
        token = CancellationToken()
        running = asyncio.ensure_future(EgressCodeExecutor(sandbox).execute_code_blocks([block], token))
        while not (place.work / "begun").exists():  # noqa: ASYNC110 (another program makes it)
            await asyncio.sleep(0.05)
        token.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(asyncio.wait_for(cancel(), PATIENCE_SECONDS))
    assert find_processes(ours("1021")) == []


def test_deepagents_own_tools_for_files_work(place: Place, sandbox: Sandbox) -> None:
    backend = EgressBackend(sandbox)
    path = f"{place.work}/below/a.txt"
    assert backend.write(path, "one\ntwo\n").error is None
    assert backend.edit(path, "two", "three").error is None
    assert Path(path).read_text() == "one\nthree\n"
    read = backend.read(path)
    assert read.file_data is not None
    assert "three" in read.file_data["content"]
    found = backend.grep("three", str(place.work))
    assert [match["path"] for match in found.matches or []] == [path]


def test_deepagents_files_are_those_that_the_agent_could_reach(place: Place, sandbox: Sandbox) -> None:
    backend = EgressBackend(sandbox)
    (place.work / "link").symlink_to("/etc/shadow")
    (place.path / "outside").write_text("as it was")
    work = str(place.work)
    assert [one.error for one in backend.download_files([f"{work}/none", work, f"{work}/link"])] == [
        "file_not_found",
        "is_directory",
        "permission_denied",
    ]
    sent = backend.upload_files([(f"{work}/b", b"\0b"), (work, b""), (f"{place.path}/outside", b"changed")])
    assert [one.error for one in sent[:2]] == [None, "is_directory"]
    assert sent[2].error in (None, "permission_denied")  # HOME is a copy that is thrown away
    assert (place.path / "outside").read_text() == "as it was"
    assert backend.download_files([f"{work}/b"])[0].content == b"\0b"
    assert [path.name for path in place.work.glob(".trio*")] == []


def test_smolagents_python_lives_on_and_says_what_went_wrong(place: Place) -> None:
    executor = EgressExecutor(**make_terms(place))
    try:
        executor.send_variables({"kept": {"a": (1, 2)}})
        told = executor("import os\nprint('said')\nos.system('echo by another')\nkept['a']")
        assert (told.output, told.logs, told.is_final_answer) == ("(1, 2)", "said\nby another", False)
        with pytest.raises(AgentError, match="ZeroDivisionError"):
            executor("1 / 0")
        with pytest.raises(SandboxError, match="the Python inside is gone"):
            executor("os._exit(1)")
    finally:
        executor.cleanup()


def test_smolagents_python_that_does_not_answer_is_ended(place: Place) -> None:
    executor = EgressExecutor(**make_terms(place), timeout=20)
    with pytest.raises(SandboxError, match="no answer in 20 s"):
        executor("import time; time.sleep(1000)")
    assert (executor.packet / "packet.json").exists()


def test_a_policy_that_is_wrong_is_told_at_once(place: Place) -> None:
    terms = {**make_terms(place), "policy": place.write("bad.toml", "version = 1\n")}
    with pytest.raises(PolicyError):
        EgressExecutor(**terms)
