"""`trio-egress keygen`, `keys show` and `keys fingerprint`: keys in every form, and refused in words."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY
from tests.evidence.test_packet import make_packet

from trio_egress.cli.main import main
from trio_egress.evidence.packet import KEY_BYTES, read_private_key
from trio_egress.evidence.sign import render_private_key
from trio_egress.evidence.trust import read_trust

HELD = {
    "pipelock": ("pipelock-ed25519-private-v1", "pipelock-ed25519-public-v1"),
    "pem": ("-----BEGIN PRIVATE KEY-----", "-----BEGIN PUBLIC KEY-----"),
    "openssh": ("-----BEGIN OPENSSH PRIVATE KEY-----", "ssh-ed25519 "),
}


@pytest.mark.parametrize("form", HELD)
def test_a_pair_is_made_in_any_form_and_used_in_any(
    form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "ci.key"
    assert main(["keygen", str(path), "--format", form, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert path.stat().st_mode & 0o777 == 0o600
    assert (path.read_text().startswith(HELD[form][0]), (tmp_path / "ci.key.pub").read_text()[:10]) == (
        True,
        HELD[form][1][:10],
    )
    assert read_private_key(path).public_hex == told["public_key"]
    for file in (path, tmp_path / "ci.key.pub"):
        assert main(["keys", "fingerprint", str(file), "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert (printed["public"], printed["fingerprint"]) == (told["public_key"], told["fingerprint"])
        assert printed["ssh_fingerprint"].startswith("SHA256:")
    assert main(["keygen", str(path), "--format", form]) == 2  # never over anything


@pytest.mark.parametrize("form", ["hex", "pipelock", "pem", "ssh"])
def test_what_is_shown_is_the_same_key(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "show", KEY.public_hex, "--format", form]) == 0
    (tmp_path / "shown").write_text(capsys.readouterr().out)
    assert list(read_trust([str(tmp_path / "shown")])) == [KEY.public_hex]


def test_allowed_signers_are_for_manifests_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`ssh-keygen` believes a packet's manifest by them, and nothing else."""
    assert main(["keys", "show", KEY.public_hex, "--format", "allowed-signers"]) == 0
    allowed = tmp_path / "allowed"
    allowed.write_text(capsys.readouterr().out)
    packet = tmp_path / "packet"
    packet.mkdir()
    make_packet(packet)
    check = [
        "ssh-keygen",
        "-Y",
        "verify",
        "-f",
        str(allowed),
        "-I",
        "run",
        "-s",
        str(packet / "manifest.json.sig"),
    ]
    for namespace, code in (("trio-egress-manifest", 0), ("git", 255)):
        with (packet / "manifest.json").open("rb") as manifest:
            ran = subprocess.run([*check, "-n", namespace], stdin=manifest, capture_output=True, check=False)
        assert ran.returncode == code, ran.stderr


@pytest.mark.parametrize(
    "what", ["missing", "empty", "readable", "long", "directory", "pipe", "linked", "text"]
)
def test_a_private_key_file_that_is_none_is_refused_in_words(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The control is at the end: the same file as it must be."""
    path = tmp_path / "key"
    good = render_private_key(KEY)
    reason = {
        "missing": "cannot open",
        "empty": "the private key is empty",
        "readable": "group or others may use the private key; run: chmod 600",
        "long": f"longer than {KEY_BYTES} bytes",
        "directory": "is not a plain file",
        "pipe": "is not a plain file",
        "linked": "has 2 names",
        "text": "not a private key",
    }[what]
    match what:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path, 0o600)
        case "missing":
            pass
        case _:
            path.touch(0o600)
            path.write_bytes(
                {"empty": b"", "long": good + b"\n" * KEY_BYTES, "text": b"words"}.get(what, good)
            )
    if what == "readable":
        path.chmod(0o640)
    if what == "linked":
        os.link(path, tmp_path / "other")
    assert main(["signer", "--key", str(path)]) == 2
    said = capsys.readouterr().err
    assert reason in said
    assert str(path) in said
    right = tmp_path / "right"
    right.touch(0o600)
    right.write_bytes(good)
    assert read_private_key(right).public_hex == KEY.public_hex


@pytest.mark.parametrize("given", ["", "/nowhere", "00" * 32, "ab"])
def test_what_is_no_key_has_no_fingerprint(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "fingerprint", given]) == 2
    assert "trio-egress keys fingerprint: " in capsys.readouterr().err


def test_a_key_without_a_path_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen", ""]) == 2
    assert "empty" in capsys.readouterr().err
