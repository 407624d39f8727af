"""Signatures that OpenSSH checks, and that OpenSSH makes."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from tests.evidence.specimens import KEY, STRANGER

from trio_egress.evidence.openssh import render_line
from trio_egress.evidence.sign import PublicKey
from trio_egress.evidence.sshsig import is_file_signed, sign_file

RAW = b'{"files":[]}'
SIGNED = sign_file(KEY, "a-namespace", RAW)


def run_ssh_keygen(
    directory: Path, namespace: str, raw: bytes, signer: str = KEY.public_hex
) -> subprocess.CompletedProcess[str]:
    """`ssh-keygen -Y verify` of SIGNED, for whom this key is trusted."""
    (directory / "signers").write_text(f"run {render_line(bytes.fromhex(signer))}\n")
    (directory / "sig").write_bytes(SIGNED)
    command = ["ssh-keygen", "-Y", "verify", "-f", "signers", "-I", "run", "-n", namespace, "-s", "sig"]
    return subprocess.run(
        command, cwd=directory, input=raw.decode(), capture_output=True, text=True, check=False
    )


def test_ssh_keygen_finds_a_signature_good(tmp_path: Path) -> None:
    ran = run_ssh_keygen(tmp_path, "a-namespace", RAW)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith('Good "a-namespace" signature for run with ED25519 key')


def test_ssh_keygen_refuses_another_namespace_other_bytes_and_another_key(tmp_path: Path) -> None:
    assert run_ssh_keygen(tmp_path, "another", RAW).returncode != 0
    assert run_ssh_keygen(tmp_path, "a-namespace", RAW + b" ").returncode != 0
    assert run_ssh_keygen(tmp_path, "a-namespace", RAW, STRANGER.public_hex).returncode != 0


def test_a_signature_that_ssh_keygen_made_is_good_and_spelled_alike(tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (tmp_path / "raw").write_bytes(RAW)
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", "a-namespace", "raw"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    blob = base64.b64decode((tmp_path / "key.pub").read_text().split()[1])
    public = PublicKey(blob[-32:].hex())
    made = (tmp_path / "raw.sig").read_bytes()
    assert is_file_signed(made, public, "a-namespace", RAW)
    assert not is_file_signed(made, public, "a-namespace", RAW + b" ")


def test_a_signature_holds_for_its_key_its_namespace_and_its_bytes_alone() -> None:
    assert is_file_signed(SIGNED, KEY.public_hex, "a-namespace", RAW)
    assert not is_file_signed(SIGNED, STRANGER.public_hex, "a-namespace", RAW)
    assert not is_file_signed(SIGNED, KEY.public_hex, "another", RAW)
    assert not is_file_signed(SIGNED, KEY.public_hex, "a-namespace", RAW + b"x")


def test_a_signature_with_any_byte_changed_added_or_missing_is_none() -> None:
    for at in range(len(SIGNED)):
        changed = SIGNED[:at] + bytes([SIGNED[at] ^ 1]) + SIGNED[at + 1 :]
        assert not is_file_signed(changed, KEY.public_hex, "a-namespace", RAW)
        assert not is_file_signed(SIGNED[:at] + SIGNED[at + 1 :], KEY.public_hex, "a-namespace", RAW)
        assert not is_file_signed(SIGNED[:at] + b"\n" + SIGNED[at:], KEY.public_hex, "a-namespace", RAW)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n",
        b"-----BEGIN SSH SIGNATURE-----\n????\n-----END SSH SIGNATURE-----\n",
        b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n",
        b"-----BEGIN SSH SIGNATURE-----\n" + b"A" * 5000 + b"\n-----END SSH SIGNATURE-----\n",
    ],
)
def test_what_is_no_signature_is_none(raw: bytes) -> None:
    assert not is_file_signed(raw, KEY.public_hex, "a-namespace", RAW)


def test_a_receipts_digest_can_not_be_taken_for_what_is_signed_here() -> None:
    signature = base64.b64decode(b"".join(SIGNED.splitlines()[1:-1]))[-64:]
    assert signature != KEY.sign(RAW)
    assert len(KEY.sign(b"\0" * 32)) == len(signature)
