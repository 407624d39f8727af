"""The packet of a real run: what run.json says, and that no byte of any file can be changed."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.runs.launch import Ended, Place, write_policy

from trio_egress import __version__
from trio_egress.evidence.verify import verify

pytestmark = pytest.mark.sandbox

AGENT = """
import json, os, urllib.request
try:
    urllib.request.urlopen("http://denied.example/")
except OSError:
    pass
print(json.dumps(sorted(os.environ)))
"""
JOB = {"GITHUB_ACTIONS": "true", "GITHUB_RUN_ID": "77", "GITHUB_TOKEN": "a secret of the job"}


@pytest.fixture(scope="module")
def ended() -> Iterator[Ended]:
    place = Place()
    try:
        place.write("agent.py", AGENT)
        command = [sys.executable, "-I", "-S", str(place.path / "agent.py"), "--token", "a secret argument"]
        yield place.run(write_policy(), *command, environment=JOB)
    finally:
        place.close()


@pytest.fixture(scope="module")
def run(ended: Ended) -> dict[str, Any]:
    run: dict[str, Any] = json.loads((ended.evidence / "run.json").read_text())
    return run


def test_run_json_tells_command_end_versions_and_job(ended: Ended, run: dict[str, Any]) -> None:
    assert ended.verify() == 0
    agent = ended.work.parent / "agent.py"
    command = [sys.executable, "-I", "-S", str(agent), "--token", "a secret argument"]
    digest = sha256("".join(f"{argument}\0" for argument in command).encode()).hexdigest()
    assert run["command"] == {"arguments": 5, "program": Path(sys.executable).name, "sha256": digest}
    assert (run["ended_by"], run["exit_code"], run["run_id"]) == ("agent_exited", 0, ended.status["run_id"])
    assert run["versions"] == {
        "kernel": platform.release(),
        "python": platform.python_version(),
        "trio_egress": __version__,
    }
    assert run["ci"] == {"GITHUB_RUN_ID": "77"}


def test_run_json_has_the_names_of_the_agents_environment(ended: Ended, run: dict[str, Any]) -> None:
    seen = set(json.loads(ended.text)) - {"LC_CTYPE"}  # which the interpreter itself sets
    assert set(run["environment"]) == seen


def test_no_file_of_the_packet_has_an_argument_or_a_value_of_the_environment(ended: Ended) -> None:
    for path in ended.evidence.iterdir():
        assert b"a secret" not in path.read_bytes(), path.name


def test_no_byte_of_any_file_can_be_changed_and_the_packet_be_valid(ended: Ended, tmp_path: Path) -> None:
    packet = tmp_path / "packet"
    shutil.copytree(ended.evidence, packet)
    assert verify(packet, [ended.key]).exit_code == 0
    names = sorted(path.name for path in packet.iterdir())
    assert {"evidence.jsonl", "manifest.json", "manifest.json.sig", "packet.json", "posture.json"} < set(
        names
    )
    for name in names:
        raw = (packet / name).read_bytes()
        for at in {0, len(raw) // 3, len(raw) // 2, len(raw) - 2, len(raw) - 1}:
            (packet / name).write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
            assert verify(packet, [ended.key]).exit_code == 1, f"{name}, byte {at}"
        (packet / name).write_bytes(raw)
    assert verify(packet, [ended.key]).exit_code == 0
