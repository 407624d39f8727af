"""`trio-egress recover` with a key in a file, or one that another process has."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY, Scribe

from trio_egress.cli.main import main
from trio_egress.evidence.recovery import RECOVERY_NAME
from trio_egress.evidence.sign import render_private_key
from trio_egress.evidence.verify import verify

SIGNER = f"{shlex.quote(sys.executable)} -m trio_egress signer --quiet --key"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Beside it a key."""
    (tmp_path / "key").touch(0o600)
    (tmp_path / "key").write_bytes(render_private_key(KEY))
    place = tmp_path / "audit"
    place.mkdir()
    (place / "evidence.jsonl").write_bytes(Scribe().open().allow().raw)
    return place


def test_a_signer_signs_the_note_with_a_key_that_is_not_here(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signer = f"{SIGNER} {shlex.quote(str(directory.parent / 'key'))}"
    assert main(["recover", str(directory), "--signer", signer]) == 0
    assert f"signed by   {KEY.public_hex}" in capsys.readouterr().out
    report = verify(directory, [KEY.public_hex])
    assert (report.exit_code, report.recovered_by, report.findings) == (3, KEY.public_hex, ())


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--signer", "/nonexistent/signer"], 2, "--signer /nonexistent/signer"),
        (["--signer", "false"], 2, "--signer false: "),
        (["--signer", "false", "--key", "key"], 64, "give one of them"),
        (["--key", "/nonexistent/key"], 2, "cannot open"),
    ],
)
def test_without_the_key_there_is_no_note(
    options: list[str], code: int, told: str, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recover", str(directory), *options]) == code
    assert told in capsys.readouterr().err
    assert not (directory / RECOVERY_NAME).exists()
