"""Private keys that git over SSH can be carried with, and those that it can't."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from trio_egress.runtime.ssh_keys import read_private_key


def make(path: Path, *options: str) -> bytes:
    subprocess.run(["ssh-keygen", "-q", "-C", "", "-N", "", "-f", path, *options], check=True)
    return path.read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        ["-t", "ed25519"],
        ["-t", "ecdsa", "-b", "521"],
        ["-t", "rsa", "-b", "2048"],
        ["-t", "rsa", "-m", "PEM"],
    ],
)
def test_openssh_keys_and_pem_are_read(tmp_path: Path, options: list[str]) -> None:
    value = make(tmp_path / "key", *options)
    assert read_private_key(value.removesuffix(b"\n")).encode() == value


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-t", "ed25519", "-N", "a phrase"], "is a key with a passphrase"),
        (["-t", "rsa", "-m", "PEM", "-N", "a phrase"], "is a key with a passphrase"),
        (["-t", "rsa", "-b", "1024"], "is an RSA key of 1024 bits"),
    ],
)
def test_a_key_that_nobody_could_use_is_refused(tmp_path: Path, options: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_private_key(make(tmp_path / "key", *options))


def test_what_is_no_private_key_is_refused_without_a_word_of_it(tmp_path: Path) -> None:
    whole = make(tmp_path / "key", "-t", "ed25519")
    lines = whole.split(b"\n")
    for raw in (
        (tmp_path / "key.pub").read_bytes(),
        b"-----BEGIN OPENSSH PRIVATE KEY-----",
        b"\n".join([lines[0], *lines[2:]]),
        whole[: len(whole) // 2],
        b"\xff" * 100,
    ):
        with pytest.raises(ValueError, match="is no private key") as caught:
            read_private_key(raw)
        assert lines[2].decode() not in str(caught.value)
