"""docs/embedding.md: its programs run as they stand, in a directory with the policy, key and agent that they name."""

from __future__ import annotations

import asyncio
import os
import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.blocks import read_blocks, write_program
from tests.runs.launch import Place, write_policy
from tests.serving import Handler, serve

import trio_egress as te
from trio_egress.evidence.sign import render_public_key

pytestmark = pytest.mark.sandbox

RUN, DECIDE, DECIDE_ASYNC, IN_TRIO, IN_ASYNCIO, PLAIN, JUDGE = read_blocks("docs/embedding.md", "python")
BASH = "#!/usr/bin/env bash\n"
ASKS = f"{BASH}exec 3<>/dev/tcp/denied.example.com/80 || exit 0\n"
AGENT_SH = f"""{BASH}
for method in GET POST; do
  exec 3<>/dev/tcp/api.example.com/80
  printf '%s / HTTP/1.1\\r\\nHost: api.example.com\\r\\nConnection: close\\r\\n\\r\\n' $method >&3
  cat <&3
done
"""


class Answer(Handler):
    def do_GET(self) -> None:
        self.answer(b"here")

    do_POST = do_GET


class Desk:
    """Where somebody sits who copies a block from the page."""

    def __init__(self, place: Place, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        pins = {"api.example.com:80": f"127.0.0.1:{port}"}
        (place.work / "egress.toml").write_text(write_policy("api.example.com", pins=pins))
        shutil.copy(place.key_file, place.work / "ci.key")
        (place.work / "ci.key.pub").write_bytes(render_public_key(place.key.public_hex))
        write_program(place.work, "agent.sh", AGENT_SH)
        programs = place.path / "programs"
        write_program(programs, "claude", ASKS)
        write_program(programs, "pytest", f"{ASKS}echo 3 passed\n")
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        monkeypatch.chdir(place.work)

    def run(self, block: str) -> dict[str, Any]:
        """What it has made."""
        return runpy.run_path(str(self.place.write("program.py", block)), {"te": te})


@pytest.fixture
def desk(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with serve(Answer) as port:
        yield Desk(place, port, monkeypatch)


def test_a_run_is_a_value_and_its_packet_verifies(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    made = desk.run(RUN)
    assert capfd.readouterr().out.startswith("denied.example.com ")
    assert (made["done"].returncode, made["decision"].allowed) == (0, True)
    assert made["report"].verdict is te.Verdict.VALID


def test_a_function_decides(desk: Desk) -> None:
    done = desk.run(DECIDE)["done"]
    assert b"here" in done.stdout
    assert b"only reading is allowed today" in done.stdout
    assert [(one.layer, one.method) for one in done.denied] == [("approval", "POST")]


def test_an_async_function_decides_by_a_command_in_the_same_sandbox(
    desk: Desk, capfd: pytest.CaptureFixture[str]
) -> None:
    write_program(desk.place.path / "programs", "git", f"{BASH}exit 0\n")
    trio.run(desk.run(DECIDE_ASYNC)["main"])
    assert capfd.readouterr().out == "2 []\n"


def test_one_sandbox_has_many_commands(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    trio.run(desk.run(IN_TRIO)["main"])
    out = capfd.readouterr().out
    assert "0 False ['denied.example.com'" in out
    assert out.splitlines().count("b'hello'") == 2, "of a command's output, and of a file"
    assert "Event(" in out
    assert out.endswith("Verdict.SELF_CONSISTENT\n")
    assert Path("a.txt").read_bytes() == b"hello"


def test_asyncio_and_plain_programs_have_it_too(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    asyncio.run(desk.run(IN_ASYNCIO)["main"]())
    assert capfd.readouterr().out.startswith("0 ")
    made = desk.run(PLAIN)
    assert capfd.readouterr().out.startswith("0 3 b'hello' ")
    assert te.verify(made["sandbox"].packet.path).exit_code in (0, 3)


def test_an_attempt_is_judged(desk: Desk) -> None:
    made = desk.run(JUDGE)
    assert (made["decision"].allowed, made["decision"].line) == (True, 3)
