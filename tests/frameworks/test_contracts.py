"""What each framework expects of what it is given, beside what its example shows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from autogen_core import CancellationToken
from autogen_core.code_executor import CodeBlock, CodeResult
from smolagents.utils import AgentError
from tests.runs.launch import Place, write_policy

from trio_egress.errors import PolicyError, SandboxError
from trio_egress.integrations.autogen import EgressCodeExecutor
from trio_egress.integrations.deepagents import EgressBackend
from trio_egress.integrations.smolagents import EgressExecutor

pytestmark = pytest.mark.sandbox


def make_terms(place: Place) -> dict[str, Any]:
    return {"policy": place.write("egress.toml", write_policy("api.example.com")), "directory": place.work}


def execute(place: Place, *blocks: tuple[str, str], **terms: Any) -> CodeResult:
    executor = EgressCodeExecutor(**{**make_terms(place), **terms})
    given = [CodeBlock(code=code, language=language) for language, code in blocks]
    return asyncio.run(executor.execute_code_blocks(given, CancellationToken()))


def test_autogen_stops_at_the_first_block_that_fails(place: Place) -> None:
    done = execute(
        place, ("python", "open('a', 'w').write('kept')"), ("sh", "cat a; exit 3"), ("sh", "echo no")
    )
    assert (done.exit_code, done.output.strip()) == (3, "kept")
    assert [path.name for path in place.work.iterdir() if path.name != "trio-egress-audit"] == ["a"]


def test_autogen_is_told_of_a_time_out_and_of_a_language_that_is_none(place: Place) -> None:
    assert execute(place, ("bash", "sleep 1000"), timeout=1).exit_code == 124
    with pytest.raises(ValueError, match="no program for 'cobol'"):
        execute(place, ("sh", "touch run"), ("cobol", ""))
    assert not (place.work / "run").exists()


def test_deepagents_own_tools_for_files_work(place: Place) -> None:
    backend = EgressBackend(**make_terms(place))
    path = f"{place.work}/below/a.txt"
    assert backend.write(path, "one\ntwo\n").error is None
    assert backend.edit(path, "two", "three").error is None
    assert Path(path).read_text() == "one\nthree\n"
    read = backend.read(path)
    assert read.file_data is not None
    assert "three" in read.file_data["content"]
    found = backend.grep("three", str(place.work))
    assert [match["path"] for match in found.matches or []] == [path]


def test_deepagents_files_are_those_that_the_agent_could_reach(place: Place) -> None:
    backend = EgressBackend(**make_terms(place))
    (place.work / "link").symlink_to("/etc/shadow")
    (place.path / "outside").write_text("as it was")
    work = str(place.work)
    assert [one.error for one in backend.download_files([f"{work}/none", work, f"{work}/link"])] == [
        "file_not_found",
        "is_directory",
        "permission_denied",
    ]
    sent = backend.upload_files([(f"{work}/b", b"\0b"), (work, b""), (f"{place.path}/outside", b"changed")])
    assert [one.error for one in sent] == [None, "is_directory", "permission_denied"]
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
    with pytest.raises(PolicyError):
        EgressBackend(**terms).execute("true")
