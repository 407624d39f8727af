"""What a verifier finds in a chain, and what the holder of the key could try.

Each tampered chain is made from one that replays without a finding (the first test): the control of all others.
Chains that are signed and linked anew (`rewrite`) are what a dishonest holder of the key could write.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import attrs
import pytest
from tests.evidence.specimens import (
    KEY,
    SESSION,
    STRANGER,
    Change,
    Receipt,
    Scribe,
    codes,
    record_of,
    replay,
    rewrite,
    setting,
    setting_control,
    setting_fact,
    write_chain,
)

from trio_egress.evidence.canonical import LINE_BYTES
from trio_egress.evidence.findings import Findings
from trio_egress.evidence.replay import LINE_START, Replay
from trio_egress.evidence.session import SessionState
from trio_egress.evidence.stream import replay_stream

OPEN, INTENT, OUTCOME, BLOCK, BEAT, INTENT_2, OUTCOME_2, CLOSE = range(8)


def test_an_honest_chain_has_no_finding() -> None:
    played = replay(write_chain())
    assert played.findings.kept == []
    assert (played.state, played.final_seq, played.signer_key) == (SessionState.CLOSED, 7, KEY.public_hex)
    assert (played.started_at[:19], played.actor) == ("2027-01-15T08:00:00", "agent.sh")
    assert played.close_facts["bytes_down"] == 40


def test_a_chain_written_anew_without_a_change_is_the_same_chain() -> None:
    assert rewrite(write_chain(), {}) == write_chain()


def test_a_session_that_carried_nothing_is_honest() -> None:
    assert codes(replay(Scribe().open().close().lines)) == []


@pytest.mark.parametrize("kept", range(1, 8))
def test_a_truncated_chain_has_no_finding_but_is_not_closed(kept: int) -> None:
    played = replay(write_chain()[:kept])
    assert (codes(played), played.state) == ([], SessionState.OPEN)


def _drop(name: str) -> Change:
    return lambda receipt: record_of(receipt).__delitem__(name)


def _add_member(receipt: Receipt) -> None:
    record_of(receipt)["precedent_refs"] = record_of(receipt).pop("precedent_refs")
    record_of(receipt)["zone"] = "eu"


def _rotate(receipt: Receipt) -> None:
    record = record_of(receipt)
    refs = record.pop("precedent_refs")
    record["key_transition"] = {"prior_signer_key": "x", "prior_chain_seq": 1, "prior_chain_hash": "y"}
    record["precedent_refs"] = refs


def _two_payloads(receipt: Receipt) -> None:
    record = record_of(receipt)
    control = record["session_control"]
    assert isinstance(control, dict)
    closing = json.loads(write_chain()[CLOSE])["action_record"]["session_control"]["close"]
    control["close"] = closing


def _prior(receipt: Receipt) -> None:
    control = record_of(receipt)["session_control"]
    assert isinstance(control, dict)
    opening = control["open"]
    items = list(opening.items())
    at = [name for name, _ in items].index("genesis_hash")
    control["open"] = dict([*items[:at], ("prior_chain_head", "x"), *items[at:]])


@pytest.mark.parametrize(
    ("index", "change", "found"),
    [
        # types, enums, unknown and missing members
        (BLOCK, setting("verdict", "banana"), ["member.type"]),
        (BLOCK, setting("verdict", ["block"]), ["member.type"]),
        (BLOCK, setting("version", True), ["member.type"]),
        (BLOCK, setting("transport", "pigeon"), ["member.type"]),
        (BLOCK, setting("action_id", "7"), ["member.type"]),
        (BLOCK, _drop("reversibility"), ["member.missing"]),
        (BLOCK, _drop("policy_hash"), ["member.missing"]),
        (BLOCK, _add_member, ["member.unknown"]),
        (BLOCK, setting("target", ""), ["member.empty"]),
        # time
        (BLOCK, setting("timestamp", "2026-01-01T00:00:00Z"), ["time.order"]),
        (BLOCK, setting("timestamp", "2027-01-15 08:00:00Z"), ["time.form"]),
        (BLOCK, setting("timestamp", "2027-01-15T08:00:00.100Z"), ["time.form"]),
        (BLOCK, setting("timestamp", 5), ["member.type"]),
        # sequence and links
        (BLOCK, setting("chain_seq", 4), ["chain.seq"]),
        (BLOCK, setting("chain_seq", "3"), ["chain.seq", "member.type"]),
        (BLOCK, setting("chain_prev_hash", "0" * 64), ["chain.link"]),
        (OPEN, setting("chain_seq", 1), ["chain.seq"]),
        (BLOCK, _rotate, ["chain.rotation"]),
        # the session
        (OPEN, setting("chain_prev_hash", "g1:" + "0" * 64), ["chain.genesis"]),
        (OPEN, setting_control("open", "genesis_hash", "g1:" + "0" * 64), ["chain.genesis"]),
        (OPEN, setting_control("open", "recorder_session", "other"), ["chain.genesis", "session.member"]),
        (OPEN, setting_control("open", "heartbeat_seconds", 31), ["chain.genesis"]),
        (OPEN, setting_control("open", "chain_open_seq", 1), ["session.member"]),
        (OPEN, _prior, ["chain.rotation"]),
        (BEAT, setting_control("heartbeat", "run_nonce", "cc"), ["session.member"]),
        (BEAT, setting_control("heartbeat", "open_nonce", "cc"), ["session.member"]),
        (BEAT, setting_control("heartbeat", "beat", 2), ["session.member"]),
        (BEAT, setting_control("heartbeat", "chain_head", "0" * 64), ["session.member"]),
        (BEAT, setting_control("heartbeat", "chain_seq_head", 2), ["session.member"]),
        (BEAT, setting_control("heartbeat", "heartbeat_time", "2027-01-15T08:00:00Z"), ["session.member"]),
        (BEAT, setting_control("heartbeat", "beat", True), ["member.type"]),
        (BEAT, _two_payloads, ["session.member"]),
        (BEAT, setting("transport", "transparent"), ["session.member"]),
        (BLOCK, setting("transport", "receipt_session"), ["balance.redirected", "session.member"]),
        (CLOSE, setting_control("close", "run_nonce", "cc"), ["session.member"]),
        (CLOSE, setting_control("close", "open_nonce", "cc"), ["session.member"]),
        (CLOSE, setting_control("close", "final_seq", 6), ["session.member"]),
        (CLOSE, setting_control("close", "root_hash", "0" * 64), ["session.member"]),
        (CLOSE, setting_control("close", "receipt_count", 7), ["session.member"]),
        (BLOCK, setting("run_nonce", "cc"), ["session.nonce"]),
        (BLOCK, _drop("run_nonce"), ["session.nonce"]),
        (CLOSE, _drop("run_nonce"), ["session.nonce"]),
        (BLOCK, setting("policy_hash", "sha256:00"), ["session.policy"]),
        (BLOCK, setting("session_id", "run-2"), ["session.member"]),
        # pairs
        (
            OUTCOME,
            setting("action_id", "0190a0b0-0000-7000-8000-000000000000"),
            ["pair.no_intent", "pair.no_outcome"],
        ),
        (OUTCOME, _drop("decision_phase"), ["pair.no_outcome", "pair.reuse", "sum.bytes"]),
        (OUTCOME, setting("decision_phase", "intent"), ["pair.no_outcome", "pair.reuse", "sum.bytes"]),
        (INTENT, _drop("decision_phase"), ["pair.no_intent", "pair.single"]),
        (INTENT, setting("verdict", "block"), ["pair.verdict"]),
        (OUTCOME, setting("target", "tls://other.example:443"), ["pair.differs"]),
        (OUTCOME, setting("transport", "connect"), ["balance.proxy", "pair.differs"]),
        (OUTCOME, setting("action_type", "write"), ["pair.differs"]),
        # facts and sums
        (OUTCOME, setting_fact("bytes_up", 11), ["sum.bytes"]),
        (CLOSE, setting_fact("bytes_down", 39), ["sum.bytes"]),
        (BLOCK, setting_fact("port", 65536), ["ext.fact"]),
        (BLOCK, setting_fact("host", "münchen"), ["ext.text"]),
        (BLOCK, setting_fact("v", 2), ["ext.fact"]),
    ],
)
def test_what_the_holder_of_the_key_must_not_write_is_found(
    index: int, change: Change, found: list[str]
) -> None:
    assert codes(replay(rewrite(write_chain(), {index: change}))) == found


@pytest.mark.parametrize(
    ("tamper", "found"),
    [
        (lambda lines: lines[1:], ["chain.seq", "session.order"]),
        (lambda lines: lines[:3] + lines[4:], ["chain.link", "chain.seq", "session.member"]),
        (lambda lines: [*lines, lines[CLOSE]], ["chain.link", "chain.seq", "session.order"]),
        (lambda lines: [*lines, *write_chain()], ["chain.link", "chain.seq", "session.order", "time.order"]),
        (lambda lines: [b"\n", *lines], ["chain.seq", "line.form"]),
        (lambda lines: [*lines[:3], b"\n", *lines[3:]], ["chain.seq", "line.form"]),
        (lambda lines: [*lines[:3], b'{"type":"note"}\n', *lines[3:]], ["member.missing"]),
        (lambda lines: [*lines[:3], b"\xff\xfe\n", *lines[4:]], ["line.encoding"]),
        (lambda lines: [lines[0][:-1] + b"\r\n", *lines[1:]], ["line.bytes"]),
    ],
    ids=[
        "head cut",
        "middle cut",
        "closed twice",
        "two runs",
        "blank first",
        "blank",
        "foreign",
        "no utf-8",
        "crlf",
    ],
)
def test_lines_that_come_go_or_change_are_found(
    tamper: Callable[[list[bytes]], list[bytes]], found: list[str]
) -> None:
    assert set(found) <= set(codes(replay(tamper(write_chain()))))


def test_one_unreadable_line_is_one_finding() -> None:
    lines = write_chain()
    played = replay([*lines[:BLOCK], b"?\n", *lines[BLOCK + 1 :]])
    assert [(finding.code, finding.line) for finding in played.findings.kept] == [("line.form", 4)]


def test_a_receipt_without_a_run_nonce_after_the_close_is_found() -> None:
    lines = Scribe().open().block().close().lines
    receipt: Receipt = json.loads(lines[1])
    record_of(receipt)["chain_seq"] = 3
    del record_of(receipt)["run_nonce"]
    stray = rewrite([*lines, json.dumps(receipt).encode()], {})
    assert codes(replay(stray)) == ["session.nonce", "session.order", "time.order"]


def test_every_changed_byte_of_a_signature_is_found() -> None:
    lines = write_chain()
    at = lines[BLOCK].index(b'"ed25519:') + 9
    for offset in range(0, 128, 8):
        changed = bytearray(lines[BLOCK])
        changed[at + offset] = ord("0") if changed[at + offset] != ord("0") else ord("1")
        assert "signature.wrong" in codes(replay([*lines[:BLOCK], bytes(changed), *lines[BLOCK + 1 :]]))


def test_a_chain_by_another_key_is_not_trusted_when_one_is_pinned() -> None:
    lines = rewrite(write_chain(), {}, key=STRANGER)
    assert codes(replay(lines)) == ["key.not_trusted"]
    unpinned = Replay(Findings(), "e")
    for line in lines:
        unpinned.feed(line[:-1])
    assert unpinned.findings.count == 0


def test_a_key_cannot_change_within_a_chain() -> None:
    lines = write_chain()
    assert codes(replay([*lines[:5], *rewrite(lines, {}, key=STRANGER)[5:]])) == [
        "chain.link",
        "signature.key",
    ]


def test_a_key_of_small_order_signs_nothing() -> None:
    weak = "00" * 32
    lines = [line.replace(KEY.public_hex.encode(), weak.encode()) for line in write_chain()]
    assert "signature.wrong" in codes(replay(lines))


@pytest.mark.parametrize("at", [1, 30, len(LINE_START), 200, -2, -1])
def test_a_torn_last_line_is_no_finding(at: int) -> None:
    lines = write_chain()
    played = replay(lines[:5], torn=lines[5][:at])
    assert (codes(played), played.torn, played.state) == ([], True, SessionState.OPEN)
    assert played.tally.receipt_count == 5


@pytest.mark.parametrize(
    ("torn", "found"),
    [(b"\x00\x00", "line.form"), (b'{"version":2', "line.form"), (b"\xc3", "line.encoding")],
)
def test_torn_bytes_that_cannot_begin_a_receipt_are_found(torn: bytes, found: str) -> None:
    assert codes(replay(write_chain()[:5], torn=torn)) == [found]


def test_torn_bytes_after_the_close_are_found() -> None:
    assert codes(replay(write_chain(), torn=write_chain()[1][:30])) == ["session.order"]


def _play_stream(raw: bytes) -> Replay:
    played = Replay(Findings(), "evidence.jsonl", {KEY.public_hex})
    replay_stream(io.BytesIO(raw), played)
    return played


def test_a_stream_is_the_same_as_its_lines() -> None:
    raw = b"".join(write_chain())
    assert codes(_play_stream(raw)) == []
    assert _play_stream(raw).head == replay(write_chain()).head
    assert _play_stream(raw[:-1]).torn
    assert _play_stream(b"").state is SessionState.NEW


@pytest.mark.parametrize("size", [LINE_BYTES - 1, LINE_BYTES, 3 * LINE_BYTES])
def test_a_line_over_the_bound_is_not_read_whole_and_the_next_one_is_read(size: int) -> None:
    lines = write_chain()
    played = _play_stream(b"".join(lines[:3]) + b"{" * size + b"\n" + b"".join(lines[4:]))
    assert codes(played) == ["line.length"]
    assert played.state is SessionState.CLOSED


@pytest.mark.parametrize("size", [LINE_BYTES, 3 * LINE_BYTES])
def test_an_endless_last_line_is_not_read_whole(size: int) -> None:
    assert codes(_play_stream(b"".join(write_chain()[:3]) + b"{" * size)) == ["line.length"]


def test_the_bound_is_the_same_for_what_is_written() -> None:
    raw = b"x" * (LINE_BYTES - 2) + b"\n"
    assert codes(_play_stream(raw)) == ["line.form"]
    assert codes(_play_stream(b"x" + raw)) == ["line.length"]


def test_a_session_without_optional_members_is_honest() -> None:
    session = attrs.evolve(SESSION, contained_uid="", principal="", actor="")
    lines = rewrite(write_chain(session), {index: _drop("session_id") for index in range(8)})
    assert codes(replay(lines)) == []


def test_a_receipt_without_ext_counts_no_bytes() -> None:
    def strip(receipt: Receipt) -> None:
        del receipt["ext"]
        del record_of(receipt)["precedent_refs"]

    played = replay(rewrite(write_chain(), {BLOCK: strip, BEAT: strip, CLOSE: strip}))
    assert codes(played) == ["balance.missing"]
    assert played.tally.domains_touched == ["api.example.com", "b.example.com"]
