"""What the receipts tell of attempts, each once, whatever stands in the file."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from tests.evidence.specimens import SESSION, Scribe, rewrite, setting, setting_fact

from trio_egress.errors import EvidenceError
from trio_egress.evidence import attempts
from trio_egress.evidence.attempts import Attempt, Told, join_attempts, read_attempts, read_receipts

HOSTILE = '\x1b[31m\r\n\u202e<script>"&]]>\x00é'


def write(tmp_path: Path, raw: bytes) -> Path:
    (tmp_path / "evidence.jsonl").write_bytes(raw)
    return tmp_path


def sum_up(told: Told) -> tuple[object, ...]:
    return told.host, told.port, told.protocol, told.method, told.allowed, told.observed, told.count


def read_joined(path: Path) -> list[Attempt]:
    return list(join_attempts(read_receipts(path)))


def test_an_attempt_is_told_once_whether_it_was_allowed_or_denied(tmp_path: Path) -> None:
    scribe = Scribe().open().allow().block().heartbeat().close()
    expected = [
        ("api.example.com", 443, "tls", "", True, False, 1),
        ("evil.example", 443, "tls", "", False, False, 1),
    ]
    assert [*map(sum_up, read_attempts(write(tmp_path, scribe.raw)))] == expected
    assert [*map(sum_up, read_attempts(tmp_path / "evidence.jsonl"))] == expected


def test_a_sum_counts_as_many(tmp_path: Path) -> None:
    scribe = Scribe().open()
    draft = scribe.draft(layer="observe")
    scribe.append(attrs.evolve(draft, facts={**draft.facts, "count": 7}))
    (told,) = read_attempts(write(tmp_path, scribe.raw))
    assert (told.count, told.observed, told.reason) == (7, True, "a reason")


def test_what_says_no_host_is_left_out(tmp_path: Path) -> None:
    scribe = Scribe(attrs.evolve(SESSION)).open()
    draft = scribe.draft()
    scribe.append(attrs.evolve(draft, facts={"reason": "a dropped packet", "connection": 1}))
    assert list(read_attempts(write(tmp_path, scribe.raw + b"no receipt\n"))) == []
    assert len(read_joined(tmp_path)) == 1


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="cannot open"):
        list(read_attempts(tmp_path / "nowhere"))


def test_an_attempt_has_its_outcome_however_many_are_under_way(tmp_path: Path) -> None:
    scribe = Scribe().open()
    intents = [scribe.draft(host, phase="intent", layer="rule") for host in ("a.example", "b.example")]
    for intent in intents:
        scribe.append(intent)
    for intent, sent in zip(intents, (3, 5), strict=True):
        facts = {**intent.facts, "bytes_up": sent, "bytes_down": 7, "duration_us": 5}
        scribe.append(attrs.evolve(intent, phase="outcome", facts=facts))
    joined = read_joined(write(tmp_path, scribe.block().raw))
    assert [(one.place, one.bytes("bytes_up"), one.denied) for one in joined] == [
        ("tls://a.example:443", 3, False),
        ("tls://b.example:443", 5, False),
        ("tls://evil.example:443", 0, True),
    ]


def test_one_whose_outcome_is_missing_comes_last(tmp_path: Path) -> None:
    scribe = Scribe().open()
    scribe.append(scribe.draft("a.example", phase="intent", layer="rule")).block()
    joined = read_joined(write(tmp_path, scribe.raw))
    assert [one.place for one in joined] == ["tls://evil.example:443", "tls://a.example:443"]
    assert (joined[1].outcome, joined[1].bytes("bytes_up"), joined[1].denied) == (None, 0, False)


def test_intents_without_end_are_told_before_they_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scribe = Scribe().open()
    for host in ("a.example", "b.example", "c.example"):
        scribe.append(scribe.draft(host, phase="intent", layer="rule"))
    lines = [len(line) for line in scribe.lines]
    path = write(tmp_path, scribe.block().raw)
    monkeypatch.setattr(attempts, "OPEN_BYTES", lines[2] + lines[3])
    assert [one.first.host for one in read_joined(path)] == [
        "a.example",
        "evil.example",
        "b.example",
        "c.example",
    ]


def test_what_the_boundary_refused_after_all_is_denied(tmp_path: Path) -> None:
    scribe = Scribe().open()
    intent = scribe.draft(phase="intent", layer="rule")
    scribe.append(intent).append(attrs.evolve(intent, phase="outcome", verdict="block", layer="address"))
    (joined,) = read_joined(write(tmp_path, scribe.raw))
    assert joined.denied
    assert joined.last.layer == "address"


def test_an_id_that_comes_twice_is_two_attempts_and_an_outcome_alone_is_one(tmp_path: Path) -> None:
    scribe = Scribe().open()
    intent = scribe.draft(phase="intent", layer="rule")
    outcome = attrs.evolve(intent, phase="outcome")
    scribe.append(intent).append(intent).append(outcome).append(outcome)
    lines = [(one.first.line, one.last.line) for one in read_joined(write(tmp_path, scribe.raw))]
    assert lines == [(2, 2), (3, 4), (5, 5)]


def test_every_text_is_printable_ascii(tmp_path: Path) -> None:
    lines = Scribe().open().allow().block().close().lines
    members = ("target", "method", "action_id", "layer", "timestamp", "transport", "decision_phase")
    for name in members:
        lines = rewrite(lines, {3: setting(name, HOSTILE)})
    for name in ("host", "reason", "rule", "proto"):
        lines = rewrite(lines, {3: setting_fact(name, HOSTILE)})
    told = [*read_receipts(write(tmp_path, b"".join(lines)))][3]
    texts = [told.word(name) for name in members] + [told.fact(name) for name in ("host", "reason", "rule")]
    texts += [Attempt(told).place, told.phase, told.step, told.protocol]
    assert all(text.isascii() and text.isprintable() for text in texts)
    assert told.target.startswith("\\x1b[31m\\r\\n\\u202e<script>")


def test_what_is_not_of_its_type_is_empty() -> None:
    record = {"target": 5, "chain_seq": "1", "session_control": [], "verdict": None, "timestamp": {}}
    told = Told(1, record, {"host": 1, "port": "x", "count": -4, "reason": [], "bytes_up": True})
    assert (told.target, told.seq, told.step, told.allowed, told.time) == ("", -1, "", False, "")
    assert (told.host, told.port, told.count, told.reason) == ("", 0, 1, "")
    assert Attempt(told, told).bytes("bytes_up") == 0


def test_what_is_no_receipt_or_torn_or_too_long_is_left_out(tmp_path: Path) -> None:
    lines = Scribe().open().allow().block().close().lines
    raw = b"".join(
        [*lines[:2], b"\xff\xfe\n", b"[" * (3 << 20) + b"\n", b"{}\n", *lines[2:-1], lines[-1][:-1]]
    )
    read = [(told.line, told.seq) for told in read_receipts(write(tmp_path, raw))]
    assert read == [(1, 0), (2, 1), (6, 2), (7, 3)]


def test_a_link_in_the_place_of_the_evidence_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(Scribe().open().raw)
    (tmp_path / "evidence.jsonl").symlink_to("elsewhere")
    with pytest.raises(EvidenceError, match="is a link"):
        list(read_receipts(tmp_path))


def test_nothing_is_learnt_of_a_file_without_receipts(tmp_path: Path) -> None:
    (tmp_path / "notes").write_bytes(b"nothing\n" * 3)
    with pytest.raises(EvidenceError, match="there is no receipt in"):
        list(read_attempts(tmp_path / "notes"))
