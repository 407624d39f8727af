"""Attempts and receipts as a person reads them."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
from tests.evidence.specimens import Scribe
from tests.views.pictures import take, take_hostile, write_lines, write_packet

from trio_egress.evidence.attempts import Attempt
from trio_egress.views.lines import (
    describe_attempt,
    paint_ansi,
    render_attempt,
    render_receipt,
    render_time,
)

RULE = "egress[0] 'api.example.com' (line 5)"


def read_attempts(tmp_path: Path, lines: list[bytes]) -> list[Attempt]:
    return list(take(write_packet(tmp_path, lines)).attempts())


def test_an_attempt_is_one_line_with_what_came_of_it(tmp_path: Path) -> None:
    assert [render_attempt(one) for one in read_attempts(tmp_path, write_lines())] == [
        "     1  08:00:00.001  allowed  tls://api.example.com:443  100 up, 2000 down, 0 ms",
        "     3  08:00:00.003  allowed  GET http://api.example.com:80/v1  204, 10 up, 20 down, 0 ms",
        f"     5  08:00:00.006  denied   POST http://api.example.com:80/v1  {RULE} allows GET",
        "     6  08:00:00.007  denied   tls://evil.example:443  a reason",
        "     7  08:00:00.008  denied   dns:evil.example (20 times)  no rule allows evil.example",
        "     8  08:00:00.009  denied   udp://203.0.113.7:9999 (3 times)  only TCP",
        "     9  08:00:00.011  denied   syscall:bpf (2 times)  bpf is refused",
    ]


def test_of_a_websocket_the_messages_are_told(tmp_path: Path) -> None:
    scribe = Scribe().open()
    intent = scribe.draft(phase="intent", layer="rule")
    scribe.append(intent)
    counts = {"bytes_up": 40, "bytes_down": 9, "messages_up": 3, "messages_down": 1, "duration_us": 5}
    outcome = attrs.evolve(intent, phase="outcome", facts={**intent.facts, **counts})
    (attempt,) = read_attempts(tmp_path, scribe.append(outcome).lines)
    assert render_attempt(attempt).endswith("  40 up, 9 down, 3 messages up, 1 down, 0 ms")
    told = describe_attempt(attempt)
    assert (told["messages_up"], told["messages_down"]) == (3, 1)


def test_why_nothing_came_of_an_attempt_is_told(tmp_path: Path) -> None:
    scribe = Scribe().open()
    intent = scribe.draft(phase="intent", layer="rule")
    facts = {**intent.facts, "reason": "it can't be resolved", "bytes_up": 0, "bytes_down": 0}
    outcome = attrs.evolve(intent, phase="outcome", facts=facts)
    (attempt,) = read_attempts(tmp_path, scribe.append(intent).append(outcome).lines)
    assert render_attempt(attempt).endswith("  0 up, 0 down, it can't be resolved")


def test_one_without_its_outcome_says_so_unless_it_may_come(tmp_path: Path) -> None:
    scribe = Scribe().open()
    (attempt,) = read_attempts(tmp_path, scribe.append(scribe.draft(phase="intent", layer="rule")).lines)
    assert render_attempt(attempt).endswith("tls://api.example.com:443  no outcome")
    assert render_attempt(attempt, live=True).endswith("tls://api.example.com:443")
    denied = attrs.evolve(attempt, first=attrs.evolve(attempt.first, record={"verdict": "block"}))
    assert render_attempt(denied, live=True).endswith("a reason")


def test_what_was_observed_has_a_word_of_its_own(tmp_path: Path) -> None:
    (attempt,) = read_attempts(tmp_path, Scribe().open().allow(layer="observe").lines)
    assert "  observe  tls://api.example.com:443  a reason" in render_attempt(attempt)
    assert describe_attempt(attempt)["verdict"] == "observe"


def test_colours_change_no_word(tmp_path: Path) -> None:
    for attempt in read_attempts(tmp_path, write_lines()):
        painted = render_attempt(attempt, paint_ansi)
        assert "\x1b[" in painted
        assert re.sub(r"\x1b\[[0-9]+m", "", painted) == render_attempt(attempt)


def test_whatever_stands_in_receipts_a_line_is_a_line(tmp_path: Path) -> None:
    picture = take_hostile(tmp_path)
    lines = [render_attempt(one) for one in picture.attempts()]
    lines += [line for told in picture.receipts() for line in render_receipt(told)]
    assert len(lines) > 100
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert max(map(len, lines)) < 4000


def test_for_programs_what_is_not_known_is_null(tmp_path: Path) -> None:
    first, *_, call = map(describe_attempt, read_attempts(tmp_path, write_lines()))
    assert (first["seq"], first["outcome_seq"], first["bytes_down"], first["status"]) == (1, 2, 2000, None)
    assert (call["outcome_seq"], call["bytes_up"], call["count"]) == (None, None, 2)
    assert set(first) == set(call)


def test_a_receipt_is_shown_with_every_member_and_fact(tmp_path: Path) -> None:
    told = [*take(write_packet(tmp_path, write_lines())).receipts()]
    shown = "\n".join(render_receipt(told[0]))
    assert re.search(r"^  session_control\.open\.heartbeat_seconds +30$", shown, re.MULTILINE)
    shown = "\n".join(render_receipt(told[9]))
    assert shown.startswith("receipt 9, line 10\n")
    assert re.search(r"^  detail +BPF_PROG_LOAD$", shown, re.MULTILINE)


def test_times_have_one_width() -> None:
    times = [
        "2026-11-22T12:16:41Z",
        "2026-11-22T12:16:41.5Z",
        "2026-11-22T12:16:41.123456789Z",
        "",
        "no time",
    ]
    assert {len(render_time(time)) for time in times} == {12}
    assert render_time(times[2]) == "12:16:41.123"
