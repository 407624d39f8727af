"""`trio-egress packet timestamp`, with an authority of the test's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.test_packet_prove import run_packet
from tests.evidence.authority import make_authority, stamp
from tests.evidence.specimens import Scribe

SCRIBE = Scribe().open().allow().close()
CHECKPOINT = SCRIBE.chain.sign_checkpoint()


@pytest.fixture
def packet(tmp_path: Path) -> Path:
    directory = tmp_path / "packet"
    directory.mkdir()
    (directory / "evidence.jsonl").write_bytes(SCRIBE.raw)
    (directory / "checkpoint.txt").write_bytes(CHECKPOINT)
    return directory


def run(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run_packet("timestamp", *arguments, cwd=cwd)


def test_a_checkpoint_is_stamped_and_checked(packet: Path, tmp_path: Path) -> None:
    authority = make_authority(tmp_path / "tsa")
    asked = run("packet", "-o", "request.tsq", cwd=tmp_path)
    assert (asked.returncode, asked.stdout, asked.stderr) == (0, "", "")
    (tmp_path / "answer.tsr").write_bytes(stamp(authority, (tmp_path / "request.tsq").read_bytes()))
    given = ["packet", "--check", "answer.tsr", "--authority", "tsa/root.pem"]
    checked = run(*given, cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert checked.stdout.startswith("STAMPED: the checkpoint was there at 20")
    facts = json.loads(run(*given, "--json", cwd=tmp_path).stdout)
    assert (facts["log"], facts["size"]) == ("trio-egress/run/run-1", 4)
    (packet / "checkpoint.txt").write_bytes(Scribe().open().chain.sign_checkpoint())
    refused = run(*given, cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "NOT PROVEN: Mismatch between messages" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["packet"], 64, "--output FILE"),
        (["packet", "-o", "x", "--check", "y", "--authority", "z"], 64, "--output FILE"),
        (["packet", "--check", "y"], 64, "go together"),
        (["nowhere", "-o", "x"], 2, "nowhere is no packet"),
        (["packet", "-o", "packet/checkpoint.txt"], 2, "nothing is written over"),
        (["packet", "--check", "nowhere", "--authority", "packet/checkpoint.txt"], 2, "cannot open nowhere"),
        (
            ["packet", "--check", "packet/checkpoint.txt", "--authority", "packet/checkpoint.txt"],
            2,
            "not PEM",
        ),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    arguments: list[object], code: int, reason: str, packet: Path, tmp_path: Path
) -> None:
    ended = run(*arguments, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (code, "")
    assert reason in ended.stderr


def test_without_the_library_it_says_how_to_get_it(packet: Path, tmp_path: Path) -> None:
    program = "import sys; sys.modules['rfc3161_client'] = None; import trio_egress.cli.main as it; sys.exit(it.main())"
    arguments = ["packet", "timestamp", "packet", "--check", "x", "--authority", "x"]
    (tmp_path / "x").write_text("x")
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "pip install 'trio-egress[timestamp]'" in ended.stderr
