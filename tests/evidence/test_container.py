"""A packet as it is read."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from tests.evidence.specimens import write_chain, write_evidence

from trio_egress.errors import EvidenceError
from trio_egress.evidence import container
from trio_egress.evidence.container import Folder, hash_file, open_plain, read_file, replay_evidence
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.replay import Replay


def test_only_plain_files_are_opened(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("x")
    (tmp_path / "link").symlink_to(plain)
    os.mkfifo(tmp_path / "pipe")
    with open_plain(plain) as file:
        assert file.read() == b"x"
    with open_plain(tmp_path / "link", follow=True) as file:
        assert file.read() == b"x"
    for name, reason in (
        ("link", "is a link"),
        ("pipe", "not a plain file"),
        ("none", "No such file"),
        (".", "plain"),
    ):
        with pytest.raises(EvidenceError, match=reason):
            open_plain(tmp_path / name)
    with pytest.raises(EvidenceError, match="null"):
        open_plain("a\0b")


def test_a_file_of_a_packet_is_read_only_inside_and_only_to_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_text("12345")
    (tmp_path / "out").symlink_to(tmp_path / "sub")
    packet = Folder(tmp_path)
    assert read_file(packet, "sub/file") == b"12345"
    with pytest.raises(EvidenceError, match="leads through a link"):
        read_file(packet, "out/file")
    assert read_file(packet, "sub/file", 5) == b"12345"
    with pytest.raises(EvidenceError, match="longer than 4 bytes"):
        read_file(packet, "sub/file", 4)
    monkeypatch.setattr(container, "HASHED_BYTES", 5)
    assert hash_file(packet, "sub/file") == hashlib.sha256(b"12345").hexdigest()
    monkeypatch.setattr(container, "HASHED_BYTES", 4)
    with pytest.raises(EvidenceError, match="longer than 4 bytes"):
        hash_file(packet, "sub/file")


def test_a_directory_of_packets_is_told_from_a_packet(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=r"is no packet: there is no evidence\.jsonl in it$"):
        Folder(tmp_path).open("evidence.jsonl")
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "evidence.jsonl").touch()
    with pytest.raises(EvidenceError, match=r"in it; name one of those in it, such as .*/a$"):
        Folder(tmp_path).open("evidence.jsonl")
    with pytest.raises(EvidenceError, match=r"cannot open .*packet\.json: No such file"):
        Folder(tmp_path).open("packet.json")


def test_a_dangling_link_counts_as_being_there(tmp_path: Path) -> None:
    (tmp_path / "packet.json").symlink_to("nowhere")
    assert "packet.json" in Folder(tmp_path)
    assert "other" not in Folder(tmp_path)


def test_a_bare_file_may_be_a_link_and_a_file_of_a_packet_may_not(tmp_path: Path) -> None:
    real = write_evidence(tmp_path, write_chain())
    directory = tmp_path / "packet"
    directory.mkdir()
    (directory / "evidence.jsonl").symlink_to(real)
    played = Replay(Findings(), "e")
    assert replay_evidence(directory / "evidence.jsonl", played) is None
    assert played.final_seq == 7
    with pytest.raises(EvidenceError, match="is a link"):
        replay_evidence(directory, played)


def test_reading_that_fails_midway_is_an_error_and_no_traceback() -> None:
    with pytest.raises(EvidenceError, match="Input/output error"):
        replay_evidence("/proc/self/mem", Replay(Findings(), "e"))
    with pytest.raises(EvidenceError, match="Input/output error"):
        read_file(Folder(Path("/proc/self")), "mem")
