"""`trio-egress keys add|ls|revoke|check`: a roster made, read and changed by its command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY, STRANGER
from tests.evidence.test_packet import make_packet

from trio_egress.cli.main import main


def run(*arguments: str | Path) -> int:
    return main(["keys", *map(str, arguments)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A roster with two keys."""
    file = tmp_path / "trusted.toml"
    added = run("add", file, KEY.public_hex, "--name", "ci", "--valid-from", "2026-01-31", "--note", "Ann's")
    assert added == 0
    assert (
        run("add", file, STRANGER.public_hex, "--name", "old", "--valid-until", "2030-01-01T00:00:00Z") == 0
    )
    return file


def test_what_was_added_is_listed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ls", file, "--json", "--at", "2027-01-01") == 0
    first, second = json.loads(capsys.readouterr().out)
    assert (first["name"], first["public"], first["state"]) == ("ci", KEY.public_hex, "valid")
    assert (first["valid_from"], first["note"]) == ("2026-01-31T00:00:00Z", "Ann's")
    assert (second["fingerprint"], second["valid_until"]) == (STRANGER.fingerprint, "2030-01-01T00:00:00Z")
    assert run("ls", file, "--at", "2031-01-01") == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["valid", "ci"],
        ["expired", "old"],
    ]


def test_check_fails_where_a_key_is_not_valid(file: Path) -> None:
    assert run("check", file, "--at", "2027-01-01") == 0
    assert run("check", file, "--at", "2026-01-30T23:59:59Z") == 1
    assert run("check", file, "--at", "2026-01-31T00:59:59+01:00") == 1
    assert run("check", file, "--at", "2030-01-01") == 1


def test_a_revoked_key_makes_what_it_signed_invalid(file: Path, tmp_path: Path) -> None:
    packet = tmp_path / "packet"
    packet.mkdir()
    make_packet(packet)
    verify = ["verify", str(packet), "--public-key", str(file), "--no-decide"]
    assert main(verify) == 0
    before = file.read_text()
    assert run("revoke", file, "ci", "--reason", "compromised", "--note", "a laptop") == 0
    assert main(verify) == 1
    assert set(before.splitlines()) <= set(file.read_text().splitlines())
    assert run("revoke", file, KEY.public_hex, "--reason", "retired") == 2  # already
    assert run("revoke", file, "nobody", "--reason", "retired") == 2
    assert run("check", file) == 1


def test_a_key_retired_later_is_believed_up_to_then(file: Path, tmp_path: Path) -> None:
    packet = tmp_path / "packet"
    packet.mkdir()
    make_packet(packet)  # of 2027-01-15T08:00Z
    assert run("revoke", file, "ci", "--reason", "retired", "--at", "2027-01-15T09:00:00Z") == 0
    assert main(["verify", str(packet), "--public-key", str(file), "--no-decide"]) == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["add", "{file}", KEY.public_hex, "--name", "other"], 2),
        (["add", "{file}", "00" * 32, "--name", "other"], 2),
        (["add", "{file}", "/nowhere", "--name", "other"], 2),
        (["add", "{file}", "02" * 32, "--name", "a b"], 2),
        (["add", "/nowhere/r.toml", KEY.public_hex, "--name", "a"], 2),
        (["add", "{file}", KEY.public_hex, "--name", "a", "--valid-from", "soon"], 64),
        (["add", "{file}", KEY.public_hex, "--name", "a", "--valid-from", "2026-01-31T12:00:00"], 64),
        (["add", "{file}", KEY.public_hex, "--name", "a", "--valid-from", "1969-01-31"], 64),
        (["ls", "/nowhere/r.toml"], 2),
        (["ls", "{file}", "--at", "x"], 64),
        (["revoke", "{file}", "ci", "--reason", "retired", "--at", "x"], 64),
    ],
)
def test_what_can_not_be_done_is_told_and_changes_nothing(
    file: Path, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = file.read_bytes()
    assert run(*(argument.replace("{file}", str(file)) for argument in arguments)) == code
    assert "trio-egress keys" in capsys.readouterr().err
    assert file.read_bytes() == before


def test_a_roster_keeps_its_mode_and_its_link(file: Path, tmp_path: Path) -> None:
    file.chmod(0o640)
    (tmp_path / "link.toml").symlink_to(file)
    assert run("revoke", tmp_path / "link.toml", "ci", "--reason", "retired") == 0
    assert (tmp_path / "link.toml").is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert run("check", file) == 1
    assert sorted(os.listdir(tmp_path)) == ["link.toml", "trusted.toml"]


def test_a_reason_that_is_none_is_a_matter_of_usage(file: Path) -> None:
    command = [sys.executable, "-m", "trio_egress", "keys", "revoke", str(file), "ci", "--reason", "lost"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 64
