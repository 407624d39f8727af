"""What is said of receipts as they come."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
from tests.evidence.specimens import KEY, START_NS, STRANGER, Scribe, rewrite, setting_control
from tests.views.pictures import take_hostile, write_lines

from trio_egress.drafts import draft_command
from trio_egress.evidence.report import Verdict
from trio_egress.evidence.roster import TrustedKey
from trio_egress.evidence.sign import PublicKey
from trio_egress.views.lines import leave_plain, paint_ansi
from trio_egress.views.watching import HEARTBEAT_SECONDS, Said, Watching


def watch(lines: list[bytes], keys: set[PublicKey] | None = None) -> tuple[list[Said], Watching]:
    watching = Watching(leave_plain, dict.fromkeys(keys or ()))
    return [said for line in lines for said in watching.feed(line[:-1])], watching


def test_each_attempt_is_a_line_and_each_outcome_for_programs_alone() -> None:
    said, watching = watch(write_lines(), {KEY.public_hex})
    assert [one.members["event"] for one in said] == [
        "open",
        *("attempt", "outcome", "attempt", "outcome"),
        *("attempt", "attempt", "attempt", "attempt", "attempt"),
        "close",
    ]
    lines = [one.line for one in said if one.line]
    assert len(lines) == 9
    assert lines[1] == "     1  08:00:00.001  allowed  tls://api.example.com:443"
    assert lines[-1] == "closed: exited; 2 let out, 5 denied; 110 bytes up, 2020 down"
    assert said[2].members["bytes_down"] == 2000
    assert watching.is_closed
    assert watching.conclude("x").verdict is Verdict.VALID


def test_what_the_boundary_refused_after_all_is_a_line() -> None:
    scribe = Scribe().open()
    intent = scribe.draft(phase="intent", layer="rule")
    scribe.append(intent)
    facts = {**intent.facts, "reason": "no outside address", "bytes_up": 0, "bytes_down": 0}
    scribe.append(attrs.evolve(intent, phase="outcome", verdict="block", layer="address", facts=facts))
    said, _ = watch(scribe.lines)
    assert said[2].line.endswith("denied   tls://api.example.com:443  no outside address")


def test_another_policy_is_a_line() -> None:
    said, _ = watch(Scribe().open().change_policy(reason="the policy was changed").lines)
    assert said[1].line.endswith("policy   the policy was changed")
    assert said[1].members["taken"] is True


def test_another_key_is_a_line() -> None:
    said, watching = watch(Scribe().open().rotate(STRANGER).block().close().lines, {KEY.public_hex})
    assert said[1].line.endswith("key      the key was changed")
    assert (said[1].members["event"], said[1].members["taken"]) == ("key", True)
    assert watching.conclude("x").verdict is Verdict.VALID


def test_a_command_of_a_session_is_a_line() -> None:
    facts = {"command_number": 1, "program": "pytest", "reason": "pytest ended with 0"}
    said, watching = watch(Scribe().open().append(draft_command(facts)).close().lines, {KEY.public_hex})
    assert said[1].line.endswith("command  pytest ended with 0")
    assert said[1].members["event"] == "command"
    assert watching.conclude("x").verdict is Verdict.VALID


def test_a_key_that_was_not_valid_then_is_said_at_the_end() -> None:
    late = TrustedKey("ours", KEY.public_hex, valid_from=START_NS + 10**18)
    watching = Watching(leave_plain, {KEY.public_hex: late})
    for line in write_lines():
        assert all(said.members["event"] != "finding" for said in watching.feed(line[:-1]))
    (finding,) = watching.finish()
    assert finding.members["code"] == "key.not_yet_valid"
    assert watching.conclude("x").verdict is Verdict.INVALID


def test_heartbeats_say_nothing_and_their_rhythm_is_known() -> None:
    lines = Scribe().open().heartbeat().lines
    said, watching = watch(lines)
    assert len(said) == 1
    assert watching.heartbeat_seconds == 30
    _, watching = watch(rewrite(lines, {0: setting_control("open", "heartbeat_seconds", 0)}))
    assert watching.heartbeat_seconds == HEARTBEAT_SECONDS


def test_what_does_not_verify_is_said_at_once() -> None:
    lines = write_lines()
    said, watching = watch([*lines[:3], *lines[4:]])
    events = [one.members["event"] for one in said]
    assert events.index("finding") == 3
    assert said[3].line.startswith("does not verify: [chain.")
    assert watching.conclude("x").verdict is Verdict.INVALID
    said, _ = watch(write_lines(), {STRANGER.public_hex})
    assert said[0].members["code"] == "key.not_trusted"


def test_whatever_comes_every_line_is_a_line(tmp_path: Path) -> None:
    take_hostile(tmp_path)
    lines = (tmp_path / "evidence.jsonl").read_bytes().splitlines(keepends=True)
    said, watching = watch([b"\n", b"\x1b[31m\n", b"{}\n", *lines])
    said += watching.feed_overlong()
    texts = [one.line for one in said] + [json.dumps(one.members) for one in said]
    assert len(texts) > 40
    assert all(text.isascii() and text.isprintable() for text in texts)


def test_colours_are_for_whoever_asks() -> None:
    watching = Watching(paint_ansi)
    said = [one.line for line in write_lines() for one in watching.feed(line[:-1])]
    assert any("\x1b[31mdenied " in line for line in said)
    assert any("\x1b[32mallowed" in line for line in said)
