"""Keys in OpenSSH's forms: what ssh-keygen writes is read, what is written ssh-keygen reads, and nothing else is."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from tests.evidence.specimens import KEY, STRANGER
from tests.evidence.test_sign import PRIVATE, SEED

from trio_egress.errors import EvidenceError
from trio_egress.evidence.key_forms import PUBLIC_FORMS, ssh_fingerprint
from trio_egress.evidence.openssh import parse_line, parse_private, render_line, render_private
from trio_egress.evidence.sign import (
    generate,
    parse_private_key,
    parse_public_key,
    render_private_openssh,
    render_private_pem,
)

PUBLIC = bytes.fromhex(KEY.public_hex)


def keygen(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    command = ["ssh-keygen", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout


def openssl(*arguments: str | Path, stdin: bytes = b"") -> bytes:
    command = ["openssl", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout


def private_file(directory: Path, raw: bytes) -> Path:
    file = directory / "key"
    file.touch(0o600)
    file.write_bytes(raw)
    return file


def test_what_ssh_keygen_makes_is_read(tmp_path: Path) -> None:
    for comment in ("", "a", "ab", "a comment", "of 7 ch"):
        file = tmp_path / f"key{len(comment)}"
        keygen("-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", file)
        key = parse_private_key(file.read_bytes())
        assert parse_public_key(Path(f"{file}.pub").read_bytes()) == key.public_hex
        assert keygen("-lf", file).split()[1].decode() == ssh_fingerprint(key.public_hex)


def test_ssh_keygen_reads_what_is_written(tmp_path: Path) -> None:
    file = private_file(tmp_path, render_private_openssh(KEY))
    line = PUBLIC_FORMS["ssh"](KEY.public_hex)
    assert keygen("-yf", file).decode() == line
    (tmp_path / "key.pub").write_text(line)
    assert keygen("-lf", tmp_path / "key.pub").split()[1].decode() == ssh_fingerprint(KEY.public_hex)


def test_the_library_reads_the_same_key() -> None:
    read = serialization.load_ssh_private_key(render_private_openssh(KEY), None)
    assert read.public_key() == PRIVATE.public_key()
    assert (
        serialization.load_ssh_public_key(PUBLIC_FORMS["ssh"](KEY.public_hex).encode()) == read.public_key()
    )


def test_a_signature_of_ssh_keygen_by_a_written_key_is_believed_by_it(tmp_path: Path) -> None:
    file = private_file(tmp_path, render_private_openssh(KEY))
    armored = keygen("-Y", "sign", "-f", file, "-n", "file", stdin=b"words")
    (tmp_path / "sig").write_bytes(armored)
    allowed = tmp_path / "allowed"
    check = ("-Y", "verify", "-f", allowed, "-I", "me", "-n", "file", "-s", tmp_path / "sig")
    allowed.write_text(f"me {PUBLIC_FORMS['ssh'](KEY.public_hex)}")
    keygen(*check, stdin=b"words")
    allowed.write_text(f"me {PUBLIC_FORMS['ssh'](STRANGER.public_hex)}")
    with pytest.raises(subprocess.CalledProcessError):
        keygen(*check, stdin=b"words")


def test_openssl_reads_what_is_written_and_what_it_makes_is_read(tmp_path: Path) -> None:
    file = private_file(tmp_path, render_private_pem(KEY))
    assert openssl("pkey", "-in", file, "-pubout").decode() == PUBLIC_FORMS["pem"](KEY.public_hex)
    (tmp_path / "message").write_bytes(b"words")
    raw = openssl("pkeyutl", "-sign", "-rawin", "-inkey", file, "-in", tmp_path / "message")
    assert raw == KEY.sign(b"words")
    made = openssl("genpkey", "-algorithm", "ed25519")
    public = openssl("pkey", "-pubout", stdin=made)
    assert parse_private_key(made).public_hex == parse_public_key(public)


@pytest.mark.parametrize("comment", ["", "x", "me@host", "ü" * 20])
def test_what_is_written_is_read(comment: str) -> None:
    body = b"".join(render_private(SEED, PUBLIC, comment).splitlines()[1:-1])
    assert parse_private(base64.b64decode(body)) == (SEED, PUBLIC)
    assert parse_line(render_line(PUBLIC, comment).encode()) == PUBLIC


def test_a_passphrase_and_another_kind_of_key_are_refused_in_words(tmp_path: Path) -> None:
    keygen("-q", "-t", "ed25519", "-N", "secret", "-f", tmp_path / "locked")
    keygen("-q", "-t", "ecdsa", "-N", "", "-f", tmp_path / "ecdsa")
    with pytest.raises(EvidenceError, match="it is encrypted: ssh-keygen -p"):
        parse_private_key((tmp_path / "locked").read_bytes())
    with pytest.raises(EvidenceError, match="not an ssh-ed25519 key"):
        parse_private_key((tmp_path / "ecdsa").read_bytes())
    with pytest.raises(EvidenceError, match="not a public key"):
        parse_public_key((tmp_path / "ecdsa.pub").read_bytes())
    with pytest.raises(EvidenceError, match="this is a private key"):
        parse_public_key((tmp_path / "locked").read_bytes())


def _arm(raw: bytes) -> bytes:
    label = b"OPENSSH PRIVATE KEY"
    return b"-----BEGIN %b-----\n%b\n-----END %b-----\n" % (label, base64.b64encode(raw), label)


def test_no_byte_of_a_private_file_can_be_changed_and_none_left_out() -> None:
    """But for its comment, its check number where both halves change, and its seed, whose key is then another."""
    raw = base64.b64decode(b"".join(render_private_openssh(KEY).splitlines()[1:-1]))
    assert parse_private_key(_arm(raw)).public_hex == KEY.public_hex
    for at in range(len(raw)):
        with pytest.raises(EvidenceError) as caught:
            parse_private_key(_arm(raw[:at]))
        assert SEED.hex()[:8] not in str(caught.value)
        with pytest.raises(EvidenceError):
            parse_private_key(_arm(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]))
    with pytest.raises(EvidenceError):
        parse_private_key(_arm(raw + b"\0"))


@pytest.mark.parametrize(
    "line",
    [
        "ssh-ed25519",
        "ssh-rsa AAAAB3NzaC1yc2E=",
        "ssh-ed25519 !!!!",
        "ssh-ed25519 AAAA",
        f"ssh-ed25519 {base64.b64encode(render_line(PUBLIC).encode()).decode()}",
        render_line(PUBLIC)[:-2],
        render_line(bytes([1, *bytes(31)])),
    ],
)
def test_a_line_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(EvidenceError):
        parse_public_key(line.encode())


def test_what_is_written_is_always_the_same() -> None:
    assert render_private_openssh(KEY) == render_private_openssh(generate(SEED))
