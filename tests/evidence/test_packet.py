"""The files of a packet and of keys."""

from __future__ import annotations

import json
import os
import stat
from hashlib import sha256
from pathlib import Path

import attrs
import pytest
from tests.evidence.specimens import COMPILED_POLICY, KEY, START_NS, STRANGER, write_chain, write_evidence
from tests.evidence.test_audit_packet import POSTURE, RUN

from trio_egress.errors import EvidenceError, RecorderError
from trio_egress.evidence.packet import (
    PacketFacts,
    read_private_key,
    read_public_key,
    write_key_pair,
    write_packet,
)
from trio_egress.evidence.report import Verdict
from trio_egress.evidence.run_file import RunDetails
from trio_egress.evidence.sign import SigningKey, render_private_key, render_public_key
from trio_egress.evidence.verify import verify

FACTS = PacketFacts(
    run=RUN,
    posture=POSTURE,
    policy_text='version = "1.0"\n',
    policy_compiled=COMPILED_POLICY,
    policy_path="agent.toml",
    public_key=KEY.public_hex,
    pinned=True,
    generated_ns=START_NS,
    pages=lambda *_: {"summary.md": b"# What happened\n"},
    details=RunDetails(
        program="agent.sh",
        arguments=1,
        command_sha256=sha256(b"./agent.sh\0--fast\0").hexdigest(),
        environment=("PATH", "HOME"),
        versions={"python": "3.11.2"},
        ci={"GITHUB_RUN_ID": "77"},
    ),
)
FILES = {
    *("evidence.jsonl", "packet.json", "policy.toml", "policy-compiled.json", "public-key.txt", "summary.md"),
    *("run.json", "counters.json", "policy-hash.txt"),
    *("verifier.txt", "manifest.json", "manifest.json.sig", "statement.dsse.json", "bundle.sigstore.json"),
}


def make_packet(
    directory: Path,
    lines: list[bytes] | None = None,
    facts: PacketFacts = FACTS,
    key: SigningKey = KEY,
) -> Verdict:
    """A whole packet in this directory."""
    write_evidence(directory, write_chain() if lines is None else lines)
    dir_fd = os.open(directory, os.O_RDONLY)
    try:
        return write_packet(dir_fd, facts, key)
    finally:
        os.close(dir_fd)


def test_a_packet_has_its_files_and_no_other(tmp_path: Path) -> None:
    assert make_packet(tmp_path) is Verdict.VALID
    assert set(os.listdir(tmp_path)) == FILES
    assert (tmp_path / "policy.toml").read_text() == FACTS.policy_text
    assert (tmp_path / "policy-compiled.json").read_bytes() == COMPILED_POLICY
    assert (tmp_path / "public-key.txt").read_text() == f"{KEY.public_hex}\n"
    assert (tmp_path / "verifier.txt").read_text().startswith("VALID: ")
    policy = json.loads((tmp_path / "packet.json").read_bytes())["policy"]
    assert policy["config_path"] == "agent.toml"
    assert policy["config_snapshot_sha256"] == f"sha256:{sha256(FACTS.policy_text.encode()).hexdigest()}"


@pytest.mark.parametrize(
    ("lines", "pinned", "verdict", "claim"),
    [
        (write_chain(), True, Verdict.VALID, "valid"),
        (write_chain(), False, Verdict.SELF_CONSISTENT, "self_consistent_only"),
        (write_chain()[:5], True, Verdict.PREFIX, "self_consistent_only"),
        ([], True, Verdict.PREFIX, "self_consistent_only"),
        (write_chain(key=STRANGER), True, Verdict.INVALID, "invalid"),
        ([*write_chain()[:3], *write_chain()[4:]], True, Verdict.INVALID, "invalid"),
    ],
)
def test_a_packet_claims_no_more_than_its_evidence_bears(
    lines: list[bytes], pinned: bool, verdict: Verdict, claim: str, tmp_path: Path
) -> None:
    assert make_packet(tmp_path, lines, attrs.evolve(FACTS, pinned=pinned)) is verdict
    verifier = json.loads((tmp_path / "packet.json").read_bytes())["verifier"]
    assert (verifier["verdict"], verifier["trusted"]) == (claim, claim == "valid")


def test_a_half_written_packet_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".packet.json.part").write_text("left by a crash, and longer than a packet" * 100)
    make_packet(tmp_path)
    assert make_packet(tmp_path) is Verdict.VALID
    assert set(os.listdir(tmp_path)) == FILES


def test_packet_json_comes_last(tmp_path: Path) -> None:
    (tmp_path / ".verifier.txt.part").mkdir()
    with pytest.raises(RecorderError, match="cannot write the packet"):
        make_packet(tmp_path)
    assert not (tmp_path / "packet.json").exists()
    assert (tmp_path / "policy.toml").exists()


class LostSigner:
    """A signer that went away after the last receipt."""

    public_hex = KEY.public_hex

    def sign(self, message: bytes) -> bytes:
        raise RecorderError("the signer is gone")

    def sign_receipt(self, record: bytes, ext: bytes) -> bytes:
        raise RecorderError("the signer is gone")


def test_a_packet_whose_manifest_can_not_be_signed_is_not_finished(tmp_path: Path) -> None:
    write_evidence(tmp_path, write_chain())
    dir_fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(RecorderError, match="the signer is gone"):
        write_packet(dir_fd, FACTS, LostSigner())
    os.close(dir_fd)
    assert not (tmp_path / "packet.json").exists()
    assert verify(tmp_path, [KEY.public_hex]).verdict is Verdict.PREFIX


def test_a_planted_link_is_not_written_through(tmp_path: Path) -> None:
    directory = tmp_path / "packet"
    directory.mkdir()
    (directory / ".policy.toml.part").symlink_to(tmp_path / "elsewhere")
    (directory / "verifier.txt").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecorderError):
        make_packet(directory)
    (directory / ".policy.toml.part").unlink()
    make_packet(directory)
    assert not (tmp_path / "elsewhere").exists()
    assert not (directory / "verifier.txt").is_symlink()


def test_a_packet_without_evidence_is_not_written(tmp_path: Path) -> None:
    dir_fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(RecorderError, match="No such file"):
        write_packet(dir_fd, FACTS, KEY)
    os.close(dir_fd)
    assert os.listdir(tmp_path) == []


# keys


def _store(path: Path, raw: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(raw)
    path.chmod(mode)
    return path


def test_keygen_makes_a_private_and_a_public_file_that_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = write_key_pair(path, b"\x05" * 32)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_private_key(path).sign(b"x") == made.sign(b"x")
    assert read_public_key(f"{path}.pub") == made.public_hex


@pytest.mark.parametrize("name", ["key", "key.pub"])
@pytest.mark.parametrize("dangling", [True, False])
def test_keygen_never_overwrites_and_leaves_nothing_half_made(
    name: str, dangling: bool, tmp_path: Path
) -> None:
    if dangling:
        (tmp_path / name).symlink_to(tmp_path / "nowhere")
    else:
        _store(tmp_path / name, b"mine")
    with pytest.raises(EvidenceError, match=r"key(\.pub)? is already there"):
        write_key_pair(tmp_path / "key", b"\x05" * 32)
    assert os.listdir(tmp_path) == [name]


def test_keygen_says_why_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="No such file or directory"):
        write_key_pair(tmp_path / "none" / "key", b"\x05" * 32)


def test_a_private_key_without_its_public_file_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / ("k" * 253)  # with .pub it is longer than a file name may be (NAME_MAX 255)
    with pytest.raises(EvidenceError, match="name too long"):
        write_key_pair(path, b"\x05" * 32)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o660, 0o644, 0o610, 0o601])
def test_a_private_key_that_others_may_use_is_refused_with_the_cure(mode: int, tmp_path: Path) -> None:
    path = _store(tmp_path / "key", render_private_key(KEY), mode)
    with pytest.raises(EvidenceError, match=f"has mode {mode:04o}: .* chmod 600 {path}"):
        read_private_key(path)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_key_of_its_owner_alone_is_read(mode: int, tmp_path: Path) -> None:
    path = _store(tmp_path / "key", render_private_key(KEY), mode)
    (tmp_path / "link").symlink_to(path)
    assert read_private_key(tmp_path / "link").public_hex == KEY.public_hex


def test_a_private_key_with_a_second_name_is_refused(tmp_path: Path) -> None:
    path = _store(tmp_path / "key", render_private_key(KEY))
    os.link(path, tmp_path / "other")
    with pytest.raises(EvidenceError, match=f"{path} has 2 names .hard links.* -samefile {path}"):
        read_private_key(path)
    (tmp_path / "other").unlink()
    assert read_private_key(path).public_hex == KEY.public_hex


@pytest.mark.parametrize(
    ("raw", "reason"),
    [(b"", "key: the private key is empty"), (b"x", "key: not a private key"), (None, "No such file")],
)
def test_a_private_key_file_that_holds_none_is_refused(
    raw: bytes | None, reason: str, tmp_path: Path
) -> None:
    if raw is not None:
        _store(tmp_path / "key", raw)
    with pytest.raises(EvidenceError, match=reason):
        read_private_key(tmp_path / "key")


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_public_key_in_place_of_the_private_one_is_told_whatever_its_mode(
    mode: int, tmp_path: Path
) -> None:
    path = _store(tmp_path / "key.pub", render_public_key(KEY.public_hex), mode)
    with pytest.raises(EvidenceError, match="is a public key, which signs nothing"):
        read_private_key(path)


def test_a_public_key_is_given_by_its_digits_or_by_its_file(tmp_path: Path) -> None:
    path = _store(tmp_path / "key.pub", render_public_key(KEY.public_hex), 0o644)
    assert (
        read_public_key(KEY.public_hex) == read_public_key(f" {KEY.public_hex.upper()}\n") == KEY.public_hex
    )
    assert read_public_key(str(path)) == KEY.public_hex


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" ", "is empty"),
        ("0" * 64, "not a point"),
        ("none", "cannot open none"),
        ("\udc80", "cannot open"),
    ],
)
def test_a_public_key_argument_that_is_none_is_refused(text: str, reason: str) -> None:
    with pytest.raises(EvidenceError, match=reason):
        read_public_key(text)


def test_a_public_key_file_that_holds_none_is_refused(tmp_path: Path) -> None:
    for raw, reason in ((b"", "is empty"), (render_private_key(KEY), "this is a private key")):
        with pytest.raises(EvidenceError, match=f"key.pub: .*{reason}"):
            read_public_key(str(_store(tmp_path / "key.pub", raw)))
