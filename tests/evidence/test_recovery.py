"""The note that a log was abandoned: it belongs to one log, says whose it is, and makes nothing valid."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from tests.evidence.specimens import KEY, START_NS, STRANGER, Change, Scribe, rewrite, setting, setting_fact

from trio_egress.evidence.canonical import render_stored
from trio_egress.evidence.line import Line, read_line
from trio_egress.evidence.recovery import RECOVERY_NAME, TORN_NAME, Abandoned, write_recovery
from trio_egress.evidence.report import Report, Verdict, render_json, render_text
from trio_egress.evidence.sign import SigningKey
from trio_egress.evidence.verify import verify

TORN = b'{"version":1,"action_record":{"version":1,"action_id":"01'


def head_of(lines: list[bytes]) -> str:
    line = read_line(lines[-1][:-1])
    assert isinstance(line, Line)
    return line.hash


def make_log(directory: Path, *, closed: bool = False) -> Abandoned:
    scribe = Scribe().open().allow().block()
    lines = scribe.close().lines if closed else scribe.lines
    (directory / "evidence.jsonl").write_bytes(b"".join(lines))
    return Abandoned("run-1", scribe.session.policy_hash, len(lines) - 1, head_of(lines))


def render_note(abandoned: Abandoned, key: SigningKey = KEY) -> list[bytes]:
    raw = write_recovery(key, abandoned, "note-1", "ef" * 32, "someone (uid 1)", START_NS + 10**12)
    return raw.splitlines(keepends=True)


def check(directory: Path, lines: list[bytes], *keys: SigningKey) -> Report:
    (directory / RECOVERY_NAME).write_bytes(b"".join(lines))
    return verify(directory, [key.public_hex for key in keys or (KEY,)])


def codes_of(report: Report) -> set[str]:
    return {finding.code for finding in report.findings}


@pytest.mark.parametrize(
    ("key", "pinned", "whose"),
    [
        (KEY, (KEY,), "a key that signed the run"),
        (STRANGER, (KEY, STRANGER), "another key that was pinned"),
        (STRANGER, (KEY,), "a key that nobody vouches for"),
    ],
)
def test_a_recovered_log_is_a_valid_prefix_and_says_by_whose_key(
    tmp_path: Path, key: SigningKey, pinned: tuple[SigningKey, ...], whose: str
) -> None:
    report = check(tmp_path, render_note(make_log(tmp_path), key), *pinned)
    assert report.findings == ()
    assert (report.verdict, report.exit_code) == (Verdict.PREFIX, 3)
    assert report.recovered_by == key.public_hex
    text = render_text(report)
    assert text.startswith("VALID PREFIX, recovered: ")
    assert f"{report.recovered_at} by {key.public_hex}" in text
    assert whose in text
    assert render_json(report)["recovered_by"] == key.public_hex


@pytest.mark.parametrize("key", [KEY, STRANGER])
def test_every_key_of_a_log_is_one_of_the_run(tmp_path: Path, key: SigningKey) -> None:
    lines = Scribe().open().block().rotate(STRANGER).block().lines
    (tmp_path / "evidence.jsonl").write_bytes(b"".join(lines))
    last = json.loads(lines[-1])["action_record"]
    abandoned = Abandoned("run-1", last["policy_hash"], last["chain_seq"], head_of(lines))
    report = check(tmp_path, render_note(abandoned, key))
    assert (report.findings, report.verdict) == ((), Verdict.PREFIX)
    assert "a key that signed the run" in render_text(report)


def test_without_a_note_it_is_a_valid_prefix_and_nothing_more(tmp_path: Path) -> None:
    make_log(tmp_path)
    report = verify(tmp_path, [KEY.public_hex])
    assert (report.verdict, report.recovered_by) == (Verdict.PREFIX, "")
    assert render_text(report).startswith("VALID PREFIX: ")


def test_a_log_without_any_receipt_can_have_a_note(tmp_path: Path) -> None:
    (tmp_path / "evidence.jsonl").touch()
    report = check(tmp_path, render_note(Abandoned("", "", -1, "")))
    assert (report.findings, report.verdict, report.recovered_by) == ((), Verdict.PREFIX, KEY.public_hex)


@pytest.mark.parametrize(
    "change",
    [{"run_id": "run-2"}, {"final_seq": 2}, {"final_seq": -1}, {"head": "00" * 32}, {"torn": TORN}],
    ids=str,
)
def test_a_note_about_another_log_is_a_finding(tmp_path: Path, change: dict[str, object]) -> None:
    abandoned = attrs.evolve(make_log(tmp_path), **change)  # type: ignore[arg-type]
    report = check(tmp_path, render_note(abandoned))
    assert codes_of(report) == {"recovery.differs"}
    assert (report.verdict, report.recovered_by) == (Verdict.INVALID, "")


def test_a_log_that_grew_or_shrank_since_is_a_finding(tmp_path: Path) -> None:
    note = render_note(make_log(tmp_path))
    raw = (tmp_path / "evidence.jsonl").read_bytes()
    for lines in (raw.splitlines(keepends=True)[:-1], Scribe().open().allow().block().block().lines):
        (tmp_path / "evidence.jsonl").write_bytes(b"".join(lines))
        assert codes_of(check(tmp_path, note)) == {"recovery.differs"}


def test_a_closed_log_has_no_note(tmp_path: Path) -> None:
    assert codes_of(check(tmp_path, render_note(make_log(tmp_path, closed=True)))) == {"recovery.differs"}


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (lambda lines: lines[:1], "recovery.differs"),
        (lambda lines: [], "recovery.differs"),
        (lambda lines: [*lines, b'{"version":1'], "session.order"),
        (lambda lines: [b"{}\n"], "member.missing"),
        (lambda lines: [lines[0].replace(b"run-1", b"run-2"), lines[1]], "ext.hash"),
        (lambda lines: [lines[0].replace(b"someone", b"anybody"), lines[1]], "signature.wrong"),
        (lambda lines: [lines[0], *rewrite(lines, {}, key=STRANGER)[1:]], "signature.key"),
        (lambda lines: Scribe().open().close().lines, "recovery.differs"),
    ],
)
def test_a_note_that_does_not_hold_together_is_a_finding(
    tmp_path: Path, tamper: Callable[[list[bytes]], list[bytes]], code: str
) -> None:
    note = render_note(make_log(tmp_path))
    assert codes_of(check(tmp_path, note)) == set()
    report = check(tmp_path, tamper(note))
    assert code in codes_of(report)
    assert (report.verdict, report.recovered_by) == (Verdict.INVALID, "")
    assert {finding.file for finding in report.findings} == {RECOVERY_NAME}


@pytest.mark.parametrize(
    "change",
    [
        setting_fact("recovers", "run-2"),
        setting_fact("abandoned_seq", 7),
        setting_fact("abandoned_head", "00" * 32),
        setting("session_id", "other"),
    ],
)
def test_a_note_signed_anew_about_something_else_is_a_finding(tmp_path: Path, change: Change) -> None:
    note = render_note(make_log(tmp_path))
    assert check(tmp_path, rewrite(note, {0: change})).verdict is Verdict.INVALID


def test_what_was_set_aside_is_what_the_note_says(tmp_path: Path) -> None:
    note = render_note(attrs.evolve(make_log(tmp_path), torn=TORN))
    (tmp_path / TORN_NAME).write_bytes(TORN)
    assert check(tmp_path, note).findings == ()
    for raw in (TORN[:-1], TORN + b"x", b""):
        (tmp_path / TORN_NAME).write_bytes(raw)
        assert codes_of(check(tmp_path, note)) == {"recovery.differs"}
    (tmp_path / TORN_NAME).unlink()
    assert codes_of(check(tmp_path, note)) == {"recovery.differs"}


def test_what_was_set_aside_without_a_word_is_a_finding(tmp_path: Path) -> None:
    note = render_note(make_log(tmp_path))
    (tmp_path / TORN_NAME).write_bytes(TORN)
    assert codes_of(check(tmp_path, note)) == {"recovery.differs"}


def test_a_note_that_is_no_plain_file_is_a_finding(tmp_path: Path) -> None:
    make_log(tmp_path)
    (tmp_path / RECOVERY_NAME).mkdir()
    assert codes_of(verify(tmp_path, [KEY.public_hex])) == {"packet.file"}


def test_a_note_held_out_as_the_evidence_of_a_run_is_never_valid(tmp_path: Path) -> None:
    note = render_note(make_log(tmp_path))
    (tmp_path / "alone.jsonl").write_bytes(b"".join(note))
    report = verify(tmp_path / "alone.jsonl", [KEY.public_hex])
    assert (report.findings, report.verdict) == ((), Verdict.PREFIX)
    assert "no record of a run" in render_text(report)


def test_the_note_says_where_and_that_the_end_is_not_proven(tmp_path: Path) -> None:
    abandoned = attrs.evolve(make_log(tmp_path), torn=TORN)
    first = json.loads(render_note(abandoned)[0])
    assert first["ext"]["trio_egress"]["end"] == "not proven"
    assert first["ext"]["trio_egress"]["torn_bytes"] == len(TORN)
    assert first["action_record"]["session_control"]["open"]["genesis_anchor_head"] == abandoned.head
    assert render_stored(first) + b"\n" == render_note(abandoned)[0]
