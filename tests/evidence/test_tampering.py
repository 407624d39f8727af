"""What a dishonest holder of the key could sign, beside what test_replay.py has: each manipulation and what finds it.

Every log here is the one of the first test with one thing changed, linked and signed anew by the right key.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256

import attrs
import pytest
from tests.evidence.specimens import (
    KEY,
    SESSION,
    STRANGER,
    Change,
    Receipt,
    codes,
    record_of,
    replay,
    rewrite,
    setting,
    setting_control,
    setting_fact,
    write_chain,
)

from trio_egress.evidence.receipt import assemble

OPEN, INTENT, OUTCOME, BLOCK, BEAT, INTENT_2, OUTCOME_2, CLOSE = range(8)
LINES = write_chain()
PRETENDED = rewrite(LINES, {}, key=STRANGER)[3].replace(STRANGER.public_hex.encode(), KEY.public_hex.encode())
"""A line of a stranger who names the right key."""

OTHER_RUN = write_chain(attrs.evolve(SESSION, run_nonce="cc" * 16, run_id="run-2"))


def _drop(name: str) -> Change:
    return lambda receipt: record_of(receipt).__delitem__(name)


def _turn_payload(receipt: Receipt) -> None:
    control = record_of(receipt)["session_control"]
    assert isinstance(control, dict)
    control["close"] = dict(reversed(list(control["close"].items())))


def test_the_log_that_all_others_are_made_of_has_no_finding() -> None:
    assert codes(replay(rewrite(LINES, {}))) == []


@pytest.mark.parametrize(
    ("index", "change", "found"),
    [
        # what was decided
        (BLOCK, setting("verdict", "allow"), ["pair.single"]),
        (BLOCK, setting("verdict", "redirect"), ["pair.single"]),
        (BLOCK, setting("transport", "packet"), ["balance.redirected"]),
        (OPEN, setting("verdict", "block"), ["session.member"]),
        (BEAT, setting("verdict", "block"), ["session.member"]),
        (CLOSE, setting("verdict", "warn"), ["session.member"]),
        # whose it is
        (BLOCK, setting("actor", "other"), ["session.member"]),
        (BLOCK, setting("principal", "uid:0"), ["session.member"]),
        (BLOCK, _drop("session_id"), ["session.member"]),
        (CLOSE, _drop("session_id"), ["session.member"]),
        (OPEN, setting_control("open", "signer_key_epoch", "sha256:" + "0" * 64), ["chain.genesis"]),
        (OPEN, setting_control("open", "contained_uid", "0"), ["chain.genesis"]),
        # what it was about
        (OUTCOME, setting_fact("host", "other.example"), ["pair.differs"]),
        (OUTCOME, setting_fact("port", 22), ["pair.differs"]),
        (OUTCOME, setting_fact("flow", 77), ["pair.differs"]),
        (OUTCOME, setting_fact("proto", "ssh"), ["pair.differs"]),
        (BLOCK, setting_fact("connection", 1), ["balance.redirected"]),
        (BLOCK, setting_fact("connection", 0), ["balance.redirected"]),
        (BLOCK, setting_fact("connections", 5), ["balance.redirected"]),
        (BLOCK, setting("action_id", "0190A0B0-0000-7000-8000-000000000000"), ["member.type"]),
        (BLOCK, setting("action_id", "0190a0b0-0000-4000-8000-000000000000"), ["member.type"]),
        (BLOCK, setting_fact("host", "evil\x7f.example"), ["ext.text"]),
        (BLOCK, setting_fact("host", "evil\x1b.example"), ["ext.text"]),
        # numbers
        (OUTCOME, setting_fact("bytes_up", -5), ["ext.fact", "pair.no_outcome", "sum.bytes"]),
        (OUTCOME, setting_fact("bytes_up", 2**64), ["ext.fact", "pair.no_outcome", "sum.bytes"]),
        (OUTCOME, setting_fact("bytes_up", 2**63), ["sum.bytes"]),
        (OUTCOME, setting_fact("bytes_up", True), ["ext.fact", "pair.no_outcome", "sum.bytes"]),
        (OUTCOME, setting_fact("bytes_up", "10"), ["ext.fact", "pair.no_outcome", "sum.bytes"]),
        (OUTCOME, setting_fact("bytes_up", None), ["ext.fact", "pair.no_outcome", "sum.bytes"]),
        (BLOCK, setting_fact("count", -1), ["ext.fact"]),
        (BEAT, setting_control("heartbeat", "fsync_errors_gated", -1), ["member.type"]),
        (BEAT, setting_control("heartbeat", "durability_blocks", "0"), ["member.type"]),
        (CLOSE, setting_control("close", "close_reason", 0), ["member.type"]),
        (CLOSE, setting_control("close", "final_seq", True), ["member.type"]),
        (CLOSE, setting_fact("counters", {}), ["balance.missing"]),
        (CLOSE, setting_fact("counters", {"redirected": [-1, 0]}), ["balance.missing"]),
        (CLOSE, _turn_payload, ["member.order"]),
        (BEAT, setting("decision_phase", "intent"), ["member.order"]),
    ],
)
def test_a_lie_of_the_signer_is_found(index: int, change: Change, found: list[str]) -> None:
    assert codes(replay(rewrite(LINES, {index: change}))) == found


@pytest.mark.parametrize(
    "text",
    [
        "2027-01-15T08:00:00.1234567891Z",
        "2027-01-15T08:00:01.Z",
        "2027-01-15T08:00:01.10Z",
        "2027-01-15T08:00:01,5Z",
        "2027-01-15T08:00:01+00:00",
        "2027-01-15T08:00:01-00:00",
        "2027-01-15T08:00:01",
        "2027-01-15T08:00Z",
        "2027-01-15t08:00:01z",
        "2027-01-15 08:00:01Z",
        " 2027-01-15T08:00:01Z",
        "2027-01-15T08:00:01Z\n",
        "2027-01-15T23:59:60Z",
        "2027-01-15T24:00:00Z",
        "2027-02-30T00:00:00Z",
        "2027-W03-5T08:00:01Z",
        "10000-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "٢٠٢٧-01-15T08:00:01Z",
        "2027-01-15T08:00:01.٥Z",
    ],
)
def test_a_time_has_one_form(text: str) -> None:
    assert codes(replay(rewrite(LINES, {BLOCK: setting("timestamp", text)}))) == ["time.form"]


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ([OPEN, OUTCOME, INTENT, BLOCK, BEAT, INTENT_2, OUTCOME_2, CLOSE], ["pair.no_intent", "time.order"]),
        (
            [OPEN, INTENT, OUTCOME, OUTCOME, BLOCK, BEAT, INTENT_2, OUTCOME_2, CLOSE],
            ["pair.no_intent", "sum.bytes"],
        ),
        ([OPEN, INTENT, INTENT, OUTCOME, BLOCK, BEAT, INTENT_2, OUTCOME_2, CLOSE], ["pair.reuse"]),
        (
            [OPEN, INTENT, OUTCOME, OPEN, BLOCK, BEAT, INTENT_2, OUTCOME_2, CLOSE],
            ["session.order", "time.order"],
        ),
        (
            [OPEN, INTENT, OUTCOME, BLOCK, BEAT, INTENT_2, OUTCOME_2, CLOSE, BLOCK],
            ["session.order", "time.order"],
        ),
        ([OPEN, INTENT, OUTCOME, BLOCK, BEAT, INTENT_2, OUTCOME_2, CLOSE, CLOSE], ["session.order"]),
        ([OPEN, INTENT, BLOCK, BEAT, INTENT_2, OUTCOME_2, CLOSE], ["pair.no_outcome", "sum.bytes"]),
        ([OPEN, OUTCOME, BLOCK, BEAT, INTENT_2, OUTCOME_2, CLOSE], ["pair.no_intent"]),
        ([OPEN, INTENT, OUTCOME, BEAT, INTENT_2, OUTCOME_2, CLOSE], ["balance.redirected"]),
        ([OPEN, INTENT, OUTCOME, BLOCK, BEAT, BEAT, INTENT_2, OUTCOME_2, CLOSE], ["session.member"]),
        ([INTENT, OUTCOME, BLOCK, BEAT, INTENT_2, OUTCOME_2, CLOSE], ["session.order"]),
    ],
)
def test_receipts_in_another_order_numbered_and_signed_anew_are_found(
    order: list[int], found: list[str]
) -> None:
    def renumber(seq: int) -> Change:
        def change(receipt: Receipt) -> None:
            record_of(receipt)["chain_seq"] = seq
            control = record_of(receipt).get("session_control")
            if isinstance(control, dict):
                control.get("heartbeat", {}).update(chain_seq_head=seq - 1)
                control.get("close", {}).update(final_seq=seq, receipt_count=seq + 1)

        return change

    lines = rewrite([LINES[index] for index in order], {seq: renumber(seq) for seq in range(len(order))})
    assert set(found) <= set(codes(replay(lines)))


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([*LINES[:4], *OTHER_RUN[4:]], "chain.link"),
        (rewrite([*LINES[:4], *OTHER_RUN[4:]], {}), "session.nonce"),
        (rewrite(LINES, {OPEN: lambda receipt: None}, key=STRANGER), "key.not_trusted"),
        ([*LINES[:3], rewrite(LINES, {}, key=STRANGER)[3], *LINES[4:]], "signature.key"),
        ([*LINES[:3], PRETENDED, *LINES[4:]], "signature.wrong"),
    ],
    ids=["another tail", "another tail, signed anew", "another key", "one of another key", "a key pretended"],
)
def test_what_comes_from_elsewhere_is_found(lines: list[bytes], found: str) -> None:
    assert found in codes(replay(lines))


@pytest.mark.parametrize(
    "tamper",
    [
        lambda receipt: {**receipt, "ext": json.loads(LINES[OUTCOME])["ext"]},
        lambda receipt: {name: value for name, value in receipt.items() if name != "ext"},
        lambda receipt: {**receipt, "ext": {"trio_egress": {"v": 1}}},
    ],
    ids=["of another receipt", "none", "an empty one"],
)
@pytest.mark.parametrize("index", [OUTCOME_2, CLOSE])
def test_an_ext_that_was_not_signed_is_found_at_the_tail_as_well(
    index: int, tamper: Callable[[Receipt], Receipt]
) -> None:
    line = json.dumps(tamper(json.loads(LINES[index])), separators=(",", ":")).encode() + b"\n"
    played = replay([*LINES[:index], line, *LINES[index + 1 :]])
    assert ("ext.hash", index + 1) in {(item.code, item.line) for item in played.findings.kept}


@pytest.mark.parametrize(
    "spell", [str.upper, lambda text: f" {text}", lambda text: f"{text}\n", lambda text: text[:-2]]
)
def test_a_signature_has_one_spelling(spell: Callable[[str], str]) -> None:
    receipt = json.loads(LINES[BLOCK])
    receipt["signature"] = spell(receipt["signature"])
    line = json.dumps(receipt, separators=(",", ":")).encode() + b"\n"
    assert "member.type" in codes(replay([*LINES[:BLOCK], line, *LINES[BLOCK + 1 :]]))


@pytest.mark.parametrize(
    ("old", "new"), [(b"\\u00e9", b"\\u00E9"), (b"\\u00e9", b"e\\u0301"), (b"\\u003c", b"<")]
)
def test_text_has_one_spelling(old: bytes, new: bytes) -> None:
    lines = rewrite(LINES, {BLOCK: setting("target", "tls://\u00e9<.example:443")})
    assert codes(replay(lines)) == []
    assert codes(replay([*lines[:BLOCK], lines[BLOCK].replace(old, new), *lines[BLOCK + 1 :]])) != []


def test_a_signature_over_other_bytes_of_the_same_receipt_is_wrong() -> None:
    receipt = json.loads(LINES[CLOSE])
    record = json.dumps(receipt["action_record"]).encode()  # with spaces
    signature = KEY.sign(sha256(record).digest())
    compact = json.dumps(receipt["action_record"], separators=(",", ":")).encode()
    ext = json.dumps(receipt["ext"], separators=(",", ":")).encode()
    line = assemble(compact, signature, KEY.public_hex, ext) + b"\n"
    assert codes(replay([*LINES[:CLOSE], line])) == ["signature.wrong"]
