"""What differs between two runs."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from tests.evidence.specimens import OTHER_HASH, SESSION, Scribe
from tests.views.pictures import take_hostile, write_lines, write_packet

from trio_egress.errors import EvidenceError
from trio_egress.views.compare import Change, Subject, compare, read_run


def find_changes(tmp_path: Path, old: list[bytes], new: list[bytes]) -> list[Change]:
    runs = [read_run(write_packet(tmp_path / name, lines)) for name, lines in (("old", old), ("new", new))]
    return compare(*runs)


def test_a_run_differs_in_nothing_from_one_that_did_the_same_another_day(tmp_path: Path) -> None:
    def run(session: str, later_ns: int) -> list[bytes]:
        scribe = Scribe(attrs.evolve(SESSION, run_id=session, run_nonce="cc" * 16))
        scribe.now_ns += later_ns
        return scribe.open().allow().block().heartbeat().close().lines

    assert find_changes(tmp_path, run("one", 0), run("other", 10**15)) == []


def test_places_that_are_new_and_gone_are_told_with_their_counts(tmp_path: Path) -> None:
    old = Scribe().open().allow("a.example").block("b.example").close().lines
    new = Scribe().open().allow("a.example").allow("c.example").allow("c.example").close().lines
    assert find_changes(tmp_path, old, new) == [
        Change(Subject.PLACES, "tls://b.example:443", {"allowed": 0, "denied": 1, "observed": 0}, None),
        Change(Subject.PLACES, "tls://c.example:443", None, {"allowed": 2, "denied": 0, "observed": 0}),
    ]


def test_counts_bytes_and_denials_of_one_place_are_told_apart(tmp_path: Path) -> None:
    old = Scribe().open().allow("a.example", up=1).close().lines
    scribe = Scribe().open().allow("a.example", up=2)
    new = scribe.block("a.example", method="POST").close().lines
    place = "tls://a.example:443"
    assert find_changes(tmp_path, old, new) == [
        Change(Subject.DENIALS, place, [], [f"POST {place}"]),
        Change(
            Subject.COUNTS,
            place,
            {"allowed": 1, "denied": 0, "observed": 0},
            {"allowed": 1, "denied": 1, "observed": 0},
        ),
        Change(Subject.BYTES, place, {"up": 1, "down": 20}, {"up": 2, "down": 20}),
    ]


def test_a_denial_for_another_reason_is_the_same_denial(tmp_path: Path) -> None:
    runs = []
    for line in (3, 9):
        scribe = Scribe().open()
        draft = scribe.draft("a.example", verdict="block", layer="path")
        scribe.append(
            attrs.evolve(draft, facts={**draft.facts, "reason": f"egress[0] (line {line}) denies it"})
        )
        runs.append(scribe.close().lines)
    assert find_changes(tmp_path, *runs) == []


def test_another_policy_is_told_also_one_that_came_later(tmp_path: Path) -> None:
    old = Scribe().open().close().lines
    new = Scribe().open().change_policy().close().lines
    (change,) = find_changes(tmp_path, old, new)
    assert change == Change(
        Subject.POLICY, "policy", [SESSION.policy_hash], [SESSION.policy_hash, OTHER_HASH]
    )


def test_another_end_is_told(tmp_path: Path) -> None:
    old = Scribe().open().close("exited", {"agent_exit_code": 0}).lines
    new = Scribe().open().close("timed_out", {"agent_exit_code": 7}).lines
    assert find_changes(tmp_path, old, new) == [
        Change(Subject.END, "agent_exit_code", 0, 7),
        Change(Subject.END, "closed_by", "exited", "timed_out"),
    ]
    (tmp_path / "new" / "evidence.jsonl").write_bytes(new[0])
    assert compare(read_run(tmp_path / "old"), read_run(tmp_path / "new"))[1].new is None


def test_another_boundary_is_told_as_it_was_measured_and_claimed(tmp_path: Path) -> None:
    runs = []
    for name, seccomp, user in (("old", "2", "nobody"), ("new", "0", "root")):
        packet = write_packet(tmp_path / name, write_lines())
        (packet / "posture.json").write_text(json.dumps({"probes": {"seccomp": seccomp, "udp": "denied"}}))
        (packet / "packet.json").write_text(json.dumps({"posture": {"agent_user": user, "agent_uid": 5}}))
        runs.append(read_run(packet))
    assert compare(*runs) == [
        Change(Subject.POSTURE, "measured.probes.seccomp", "2", "0"),
        Change(Subject.POSTURE, "packet.agent_user", "nobody", "root"),
    ]


def test_another_command_is_told_and_what_it_found_in_its_environment(tmp_path: Path) -> None:
    runs = []
    for name, digest, names in (("old", "aa", ["PATH", "HOME"]), ("new", "bb", ["PATH", "TOKEN", 5])):
        packet = write_packet(tmp_path / name, write_lines())
        ran = {
            "command": {"program": "agent.sh", "sha256": digest},
            "environment": names,
            "started_at": name,
        }
        (packet / "run.json").write_text(json.dumps(ran))
        runs.append(read_run(packet))
    assert compare(*runs) == [
        Change(Subject.COMMAND, "command.sha256", "aa", "bb"),
        Change(Subject.COMMAND, "environment", ["HOME"], ["TOKEN"]),
    ]
    (tmp_path / "new" / "run.json").unlink()
    assert compare(runs[0], read_run(tmp_path / "new")) == [
        Change(Subject.COMMAND, "run.json", "a file", None)
    ]


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"\xff", b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b'{"a":' * 500 + b"1" + b"}" * 500]
)
def test_a_posture_that_is_none_says_nothing(tmp_path: Path, raw: bytes) -> None:
    packet = write_packet(tmp_path, write_lines())
    (packet / "posture.json").write_bytes(raw)
    (packet / "packet.json").write_bytes(raw)
    (packet / "run.json").write_bytes(raw)
    run = read_run(packet)
    assert (run.posture, run.command, run.environment) == ({}, {}, frozenset())


def test_whatever_stands_in_a_packet_is_told_as_printable_ascii(tmp_path: Path) -> None:
    take_hostile(tmp_path / "hostile")
    packet = write_packet(tmp_path / "other", Scribe().open().lines)
    (packet / "posture.json").write_text(json.dumps({"\x1b[31m": "\x1b[31m", "x": ["\x85"], "y": "\ud800"}))
    for change in compare(read_run(tmp_path / "hostile"), read_run(packet)):
        text = json.dumps([change.what, change.old, change.new], ensure_ascii=False)
        assert text.isascii()
        assert text.isprintable()


def test_an_empty_file_is_a_run_and_one_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "evidence.jsonl").touch()
    run = read_run(tmp_path / "evidence.jsonl")
    assert (run.run_id, run.policies, run.places, run.end["closed_by"]) == ("", (), {}, None)
    with pytest.raises(EvidenceError, match="cannot open"):
        read_run(tmp_path / "nowhere")
