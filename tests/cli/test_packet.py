"""`trio-egress packet`, as a person meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest
from tests.evidence.test_packet import make_packet


@pytest.fixture
def packet(tmp_path: Path) -> Path:
    directory = tmp_path / "packet"
    directory.mkdir()
    make_packet(directory)
    return directory


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trio_egress", "packet", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_zip_holds_the_files_and_their_bytes(packet: Path, tmp_path: Path) -> None:
    ran = run("pack", packet)
    assert (ran.returncode, ran.stderr) == (0, "")
    made = tmp_path / "packet.zip"
    assert ran.stdout == f"{sha256(made.read_bytes()).hexdigest()}  {made}\n"
    with zipfile.ZipFile(made) as archive:
        assert archive.namelist() == sorted(os.listdir(packet))
        for name in archive.namelist():
            assert archive.read(name) == (packet / name).read_bytes()


def test_equal_packets_have_equal_zips_whatever_their_times_modes_and_order(
    packet: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in sorted(packet.iterdir(), reverse=True):
        (other / path.name).write_bytes(path.read_bytes())
        (other / path.name).chmod(0o600)
        os.utime(other / path.name, (0, 1_000_000_000))
    made = [json.loads(run("pack", at, "--json").stdout) for at in (packet, other)]
    assert made[0]["sha256"] == made[1]["sha256"]
    (other / "summary.md").write_text("something else")
    again = json.loads(run("pack", other, "--json", "--output", tmp_path / "third.zip").stdout)
    assert again["sha256"] != made[0]["sha256"]


def test_another_program_unpacks_it(packet: Path, tmp_path: Path) -> None:
    assert run("pack", packet).returncode == 0
    unpacked = tmp_path / "unpacked"
    subprocess.run(
        ["unzip", "-q", str(tmp_path / "packet.zip"), "-d", str(unpacked)], check=True, capture_output=True
    )
    assert {path.name: path.read_bytes() for path in unpacked.iterdir()} == {
        path.name: path.read_bytes() for path in packet.iterdir()
    }


def test_the_default_is_beside_the_directory_also_from_inside_it(packet: Path, tmp_path: Path) -> None:
    assert run("pack", ".", cwd=packet).returncode == 0
    assert (tmp_path / "packet.zip").exists()


def test_nothing_is_written_over(packet: Path, tmp_path: Path) -> None:
    (tmp_path / "packet.zip").write_text("mine")
    ran = run("pack", packet)
    assert ran.returncode == 2
    assert "already there" in ran.stderr
    assert (tmp_path / "packet.zip").read_text() == "mine"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda at: (at / "link").symlink_to("packet.json"), "'link'"),
        (lambda at: (at / "folder").mkdir(), "'folder'"),
        (lambda at: os.mkfifo(at / "pipe"), "'pipe'"),
        (lambda at: (at / "a name").write_text(""), "'a name'"),
        (lambda at: (at / ".hidden").write_text(""), "'.hidden'"),
        (lambda at: (at / "evidence.jsonl").unlink(), "no evidence.jsonl"),
        (lambda at: (at / "supervisor.pid").write_text("1 2\n"), "a run lives in"),
    ],
)
def test_what_is_no_packet_is_refused_and_nothing_made(
    spoil: object, said: str, packet: Path, tmp_path: Path
) -> None:
    assert callable(spoil)
    spoil(packet)
    ran = run("pack", packet)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert not (tmp_path / "packet.zip").exists()


def test_a_zip_inside_the_packet_is_refused(packet: Path) -> None:
    ran = run("pack", packet, "--output", packet / "packet.zip")
    assert ran.returncode == 2
    assert "would be in the packet itself" in ran.stderr
    assert not (packet / "packet.zip").exists()


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    ran = run("pack", tmp_path / "none")
    assert ran.returncode == 2
    assert "No such file" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_log_that_was_cut_off_is_packed_and_said_to_be_one(packet: Path, tmp_path: Path) -> None:
    (packet / "packet.json").unlink()
    ran = run("pack", packet)
    assert ran.returncode == 0
    assert "at best a valid prefix" in ran.stderr
    assert (tmp_path / "packet.zip").exists()
