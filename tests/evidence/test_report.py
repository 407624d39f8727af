"""Verdicts, exit codes, and what a report says to people and programs."""

from __future__ import annotations

import json

import attrs
import pytest
from tests.evidence.specimens import KEY, SESSION, Scribe, replay, rewrite, setting, write_chain

from trio_egress.evidence.findings import KEPT
from trio_egress.evidence.replay import Replay
from trio_egress.evidence.report import (
    NOT_CLOSED,
    NOT_ENFORCED,
    NOT_EXPECTED,
    NOT_PINNED,
    NOT_PROVEN,
    Report,
    Verdict,
    conclude,
    render_json,
    render_text,
)


def _conclude(played: Replay, *, pinned: bool = True, whole: bool = True, expected: bool = False) -> Report:
    return conclude("p", played, played.findings, pinned=pinned, whole=whole, expected=expected)


OBSERVED = write_chain(attrs.evolve(SESSION, observing=True))
LET_THROUGH = Scribe().open().allow(layer="observe").close().lines
"""The open receipt does not say so, and a receipt does."""

BAD = rewrite(write_chain(), {3: setting("verdict", "banana")})


@pytest.mark.parametrize(
    ("lines", "pinned", "whole", "verdict", "exit_code"),
    [
        (write_chain(), True, True, Verdict.VALID, 0),
        (write_chain(), False, True, Verdict.SELF_CONSISTENT, 3),
        (write_chain(), True, False, Verdict.PREFIX, 3),
        (write_chain()[:4], True, True, Verdict.PREFIX, 3),
        (write_chain()[:4], False, True, Verdict.PREFIX, 3),
        ([], True, True, Verdict.PREFIX, 3),
        (OBSERVED, True, True, Verdict.OBSERVED, 3),
        (OBSERVED, False, True, Verdict.OBSERVED, 3),
        (OBSERVED[:4], True, True, Verdict.PREFIX, 3),
        (LET_THROUGH, True, True, Verdict.OBSERVED, 3),
        (BAD, True, True, Verdict.INVALID, 1),
        (BAD, False, False, Verdict.INVALID, 1),
        (BAD[:5], True, True, Verdict.INVALID, 1),
    ],
)
def test_a_verdict_is_as_weak_as_its_weakest_part(
    lines: list[bytes], pinned: bool, whole: bool, verdict: Verdict, exit_code: int
) -> None:
    report = _conclude(replay(lines), pinned=pinned, whole=whole)
    assert (report.verdict, report.exit_code, report.trusted) == (verdict, exit_code, exit_code == 0)


def test_a_run_that_only_observed_says_that_nothing_was_enforced() -> None:
    report = _conclude(replay(OBSERVED))
    assert NOT_ENFORCED in report.not_proven
    assert render_text(report).startswith("OBSERVED ONLY")


def test_what_could_not_be_read_is_exit_2() -> None:
    report = Report(path="p", verdict=Verdict.UNREADABLE, error="cannot open p")
    assert report.exit_code == 2
    assert render_text(report).splitlines()[:2] == [
        "ERROR: nothing was checked, as something could not be read",
        "  cannot open p",
    ]


def test_a_report_says_what_the_evidence_is() -> None:
    report = _conclude(replay(write_chain()))
    text = render_text(report)
    assert text.startswith("VALID: signed by a pinned key")
    for shown in (
        "run-1",
        KEY.public_hex,
        SESSION.policy_hash,
        report.head,
        "8 (7 allow, 1 block)",
        "exited",
    ):
        assert shown in text
    assert "finding" not in text


def test_a_report_says_what_is_not_proven() -> None:
    complete = _conclude(replay(write_chain()), expected=True)
    assert complete.not_proven == NOT_PROVEN
    weak = _conclude(replay(write_chain()[:3]), pinned=False)
    assert weak.not_proven == (NOT_CLOSED, NOT_PINNED, NOT_EXPECTED, *NOT_PROVEN)
    assert all(f"  - {item}" in render_text(weak) for item in weak.not_proven)


def test_a_prefix_says_how_it_ends() -> None:
    torn = _conclude(replay(write_chain()[:2], torn=write_chain()[2][:50]), whole=False)
    assert len(torn.notes) == 4
    assert "note: the last line is torn" in render_text(torn)
    assert "note: intents whose outcome is not recorded: 1" in render_text(torn)
    assert "note: packet.json is missing" in render_text(torn)
    assert "there is no receipt at all" in render_text(_conclude(replay([])))


def test_findings_are_listed_and_the_rest_is_counted() -> None:
    one = render_text(_conclude(replay(BAD)))
    assert "\n1 finding:\n  [member.type] evidence.jsonl:4: " in one
    many = _conclude(replay([b"?\n"] * (KEPT + 7)))
    assert f"{many.finding_count} findings:" in render_text(many)
    assert f"... and {many.finding_count - KEPT} more" in render_text(many)


def test_a_packet_cannot_steer_a_terminal() -> None:
    lines = Scribe().open().close("\x1b[2Jdone\r\n").lines
    played = replay(lines)
    report = conclude("\x1b[0m", played, played.findings, pinned=True)
    assert report.verdict is Verdict.VALID
    text = render_text(report)
    assert "\x1b" not in text
    assert r"\x1b[2Jdone\r\n" in text


def test_the_json_of_a_report_has_stable_names() -> None:
    report = _conclude(replay(BAD))
    told = json.loads(json.dumps(render_json(report)))
    assert list(told) == [
        *(
            "verdict",
            "trusted",
            "exit_code",
            "path",
            "error",
            "finding_count",
            "run_id",
            "signer_key",
            "policy_hash",
        ),
        *("receipt_count", "final_seq", "head", "started_at", "ended_at", "close_reason"),
        *("commands", "totals"),
        *("files", "recovered_at", "recovered_by"),
        *("balance", "findings", "notes", "not_proven"),
    ]
    assert (told["verdict"], told["exit_code"], told["trusted"]) == ("invalid", 1, False)
    assert told["findings"][0]["code"] == "member.type"
    assert told["findings"][0]["message"] == report.findings[0].message
