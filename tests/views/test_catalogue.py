"""A directory of packets as a list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.evidence.specimens import Scribe
from tests.views.pictures import take_hostile, write_lines, write_packet

from trio_egress.errors import EvidenceError
from trio_egress.views.catalogue import find_packets, read_entry


def test_a_packet_is_counted_as_its_summary_counts_it(tmp_path: Path) -> None:
    packet = write_packet(tmp_path, write_lines())
    claims = {"verifier": {"verdict": "valid"}, "run": {"agent_exit_code": 7}}
    (packet / "packet.json").write_text(json.dumps(claims))
    entry = read_entry(packet)
    assert (entry.run_id, entry.allowed, entry.denied, entry.agent_exit_code) == ("run-1", 2, 5, 7)
    assert (entry.started_at, entry.says) == ("2027-01-15T08:00:00Z", "valid")
    assert entry.ended_at == "2027-01-15T08:00:00.01234567Z"


@pytest.mark.parametrize(
    ("keep", "says"),
    [(11, "closed, no packet.json"), (5, "not closed"), (0, "nothing recorded")],
)
def test_without_packet_json_it_says_how_far_the_run_got(tmp_path: Path, keep: int, says: str) -> None:
    packet = write_packet(tmp_path, write_lines()[:keep])
    (packet / "packet.json").unlink()
    entry = read_entry(packet)
    assert (entry.says, entry.agent_exit_code) == (says, None)


def test_a_torn_last_line_does_not_count(tmp_path: Path) -> None:
    lines = Scribe().open().block().block().lines
    assert read_entry(write_packet(tmp_path, [*lines[:2], lines[2][:-1]])).denied == 1


def test_words_in_a_text_are_no_receipts(tmp_path: Path) -> None:
    target = 'http://a.example:80/"verdict":"block","decision_phase":"intent"'
    entry = read_entry(write_packet(tmp_path, Scribe().open().allow(target=target).lines))
    assert (entry.allowed, entry.denied) == (1, 0)


def test_whatever_it_claims_is_printable_ascii_and_short(tmp_path: Path) -> None:
    take_hostile(tmp_path)
    (tmp_path / "packet.json").write_text(json.dumps({"verifier": {"verdict": "\x1b[31m\x85" + "x" * 9999}}))
    entry = read_entry(tmp_path)
    for text in (entry.run_id, entry.started_at, entry.says):
        assert text.isascii()
        assert text.isprintable()
        assert len(text) < 300


def test_packets_are_found_below_a_directory_or_are_it(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_packet(tmp_path / name, write_lines())
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert find_packets(tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert find_packets(tmp_path / "a") == [tmp_path / "a"]
    assert find_packets(tmp_path / "empty") == []
    with pytest.raises(EvidenceError, match="cannot read"):
        find_packets(tmp_path / "nowhere")
    with pytest.raises(EvidenceError, match="is no packet"):
        read_entry(tmp_path / "empty")
