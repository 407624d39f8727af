"""A program that embeds trio-egress, in the eyes of a type checker that no one here wrote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.programs

PYRIGHT = "pyright@1.1.414"

PROGRAM = """
from __future__ import annotations

import asyncio
from pathlib import Path

import trio_egress as te


async def careful(question: te.Question) -> bool:
    return question.attempt.method == "GET"


async def main() -> int | None:
    done: te.Run = await asyncio.to_thread(te.run, ["ls"], policy=Path("egress.toml"), timeout=3)
    hosts: list[str] = [denied.host for denied in done.denied]
    packet: Path = done.packet.path
    report: te.Report = te.verify(packet, keys=["a"])
    attempt = te.Attempt(te.Transport.CONNECT, te.Protocol.TLS, te.parse_host("a.example.com"), 443)
    decision: te.Decision = te.Policy.load("egress.toml", allow=["a.example.com"]).decide(attempt)
    print(hosts, done.verdict is te.Verdict.VALID, report.exit_code, decision.layer is te.Layer.TIME)
    try:
        te.run(["ls"], policy="x", check_denied=True)
    except te.DeniedError as error:
        return error.run.returncode
    except te.PolicyError as error:
        return error.problems[0].line
    async with te.Sandbox("egress.toml", workspace=".", on_event=print, decide=careful) as sandbox:
        ended: te.Done = await sandbox.arun(["ls"], timeout=4, max_output=10)
        async with sandbox.aspawn(["cat"], stdin=te.PIPE) as process:
            assert process.stdin is not None
            process.stdin.write(ended.stdout)
        async for event in sandbox.aevents():
            print(event.host, event.denied)
    return ended.returncode


async def main_of_trio() -> bytes:
    async with te.open_sandbox("egress.toml", workspace=Path(".")) as sandbox:
        async with sandbox.spawn(["cat"], stdout=te.PIPE) as process:
            assert process.stdout is not None
            await process.stdout.receive_some()
        return (await sandbox.run(["ls"])).stdout + await sandbox.read_file("a", max_bytes=1)
"""


@pytest.fixture(scope="module")
def pyright() -> Path:
    """Its program, fetched once and kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "trio-egress-tests" / PYRIGHT
    program = place / "node_modules" / "pyright" / "index.js"
    if not (place / "complete").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        npm = [
            "npm",
            "install",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(place),
            PYRIGHT,
        ]
        subprocess.run(npm, check=True, capture_output=True, timeout=600, cwd=place)
        (place / "complete").touch()
    return program


def test_a_program_that_embeds_it_is_clean_and_a_slip_is_seen(pyright: Path, tmp_path: Path) -> None:
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    (tmp_path / "program.py").write_text(PROGRAM)
    slips = PROGRAM.replace("timeout=3", 'timeout="3"').replace("check_denied=True", "chek_denied=True")
    (tmp_path / "slips.py").write_text(slips)
    command = ["node", str(pyright), "--outputjson", "--pythonpath", sys.executable, "program.py", "slips.py"]
    ran = subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=600, check=False)
    told: dict[str, Any] = json.loads(ran.stdout)
    assert told["summary"]["filesAnalyzed"] == 2
    assert [(Path(each["file"]).name, each["rule"]) for each in told["generalDiagnostics"]] == [
        ("slips.py", "reportArgumentType"),
        ("slips.py", "reportCallIssue"),
    ]
