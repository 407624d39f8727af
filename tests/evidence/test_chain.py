"""The writing side, line by line, against an oracle of its own."""

from __future__ import annotations

import hashlib
import itertools
import json
import struct

import attrs
import pytest
from nacl.signing import VerifyKey
from tests.evidence.specimens import (
    KEY,
    SESSION,
    START_NS,
    Receipt,
    Scribe,
    codes,
    record_of,
    render_counters,
    replay,
    write_chain,
)

from trio_egress.errors import RecorderError
from trio_egress.evidence import chain as chain_module
from trio_egress.evidence.chain import Chain


def _parse(lines: list[bytes]) -> list[Receipt]:
    return [json.loads(line) for line in lines]


def _facts(receipt: Receipt) -> dict[str, object]:
    ext = receipt["ext"]
    assert isinstance(ext, dict)
    facts = ext["trio_egress"]
    assert isinstance(facts, dict)
    return facts


def _control(receipt: Receipt, name: str) -> dict[str, object]:
    control = record_of(receipt)["session_control"]
    assert isinstance(control, dict)
    payload = control[name]
    assert isinstance(payload, dict)
    return payload


def _go_json(value: object) -> bytes:
    """Canonical bytes by another road: Go's escaping over Python's plain dump."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def test_a_chain_is_ascii_lines_numbered_from_zero() -> None:
    lines = write_chain()
    assert all(line.isascii() and line.endswith(b"}\n") and line.count(b"\n") == 1 for line in lines)
    assert [record_of(receipt)["chain_seq"] for receipt in _parse(lines)] == list(range(8))


def test_each_signature_is_over_the_hash_of_the_canonical_record() -> None:
    for receipt in _parse(Scribe().open().block(target="é<&>\u2028\U0001f600").close().lines):
        digest = hashlib.sha256(_go_json(receipt["action_record"])).digest()
        signature = bytes.fromhex(str(receipt["signature"]).removeprefix("ed25519:"))
        VerifyKey(bytes.fromhex(KEY.public_hex)).verify(digest, signature)
        assert receipt["signer_key"] == KEY.public_hex


def test_each_receipt_names_the_hash_of_the_whole_receipt_before_it() -> None:
    receipts = _parse(Scribe().open().block(target="é<&>\u2028").heartbeat().close().lines)
    for before, after in itertools.pairwise(receipts):
        assert record_of(after)["chain_prev_hash"] == hashlib.sha256(_go_json(before)).hexdigest()


def test_the_head_is_the_hash_of_the_newest_receipt() -> None:
    scribe = Scribe()
    assert (scribe.chain.head, scribe.chain.next_seq) == ("", 0)
    for step in (scribe.open, scribe.block, scribe.heartbeat, scribe.close):
        step()
        assert scribe.chain.head == hashlib.sha256(_go_json(json.loads(scribe.lines[-1]))).hexdigest()
    assert (scribe.chain.next_seq, scribe.chain.heartbeat_seconds) == (4, 30)


def test_the_genesis_hash_frames_what_the_session_is() -> None:
    opening = _parse(write_chain())[0]
    frames = [
        b"pipelock.receipt.session_open.v1",
        SESSION.run_nonce.encode(),
        SESSION.open_nonce.encode(),
        b"run-1",
        SESSION.policy_hash.encode(),
        KEY.fingerprint.encode(),
        struct.pack(">Q", 30),
        *(b"", b"", b"", b""),
        b"1000",
    ]
    framed = b"".join(struct.pack(">Q", len(frame)) + frame for frame in frames)
    genesis = f"g1:{hashlib.sha256(framed).hexdigest()}"
    assert _control(opening, "open")["genesis_hash"] == record_of(opening)["chain_prev_hash"] == genesis


def test_ext_is_bound_by_the_signed_reference_to_its_hash() -> None:
    for receipt in _parse(write_chain()):
        digest = hashlib.sha256(_go_json(receipt["ext"])).hexdigest()
        assert record_of(receipt)["precedent_refs"] == [f"trio-egress/ext:sha256:{digest}"]


def test_every_receipt_carries_the_run() -> None:
    for receipt in _parse(write_chain()):
        record = record_of(receipt)
        assert (record["run_nonce"], record["session_id"]) == (SESSION.run_nonce, "run-1")
        assert (record["principal"], record["actor"]) == ("uid:1000", "agent.sh")
        assert record["policy_hash"] == SESSION.policy_hash


def test_a_heartbeat_says_what_was_recorded_before_it() -> None:
    scribe = Scribe().open().heartbeat().block().heartbeat()
    first, second = (_control(_parse(scribe.lines)[at], "heartbeat") for at in (1, 3))
    assert (first["beat"], second["beat"]) == (1, 2)
    assert second["chain_seq_head"] == 2
    assert second["chain_head"] == record_of(_parse(scribe.lines)[3])["chain_prev_hash"]
    assert second["heartbeat_time"] == record_of(_parse(scribe.lines)[3])["timestamp"]


def test_the_close_states_what_came_before_it_and_the_bytes_of_all_outcomes() -> None:
    scribe = Scribe().open().allow(up=3, down=4).allow(up=30, down=40).block()
    facts = {"agent_exit_code": 7, "bytes_up": 999}
    closing = _parse(scribe.close("exited", facts, books=False).lines)[-1]
    assert _control(closing, "close") == {
        "run_nonce": SESSION.run_nonce,
        "open_nonce": SESSION.open_nonce,
        "final_seq": 6,
        "root_hash": record_of(closing)["chain_prev_hash"],
        "receipt_count": 7,
        "close_reason": "exited",
        "fsync_errors_gated": 0,
        "durability_blocks": 0,
    }
    assert _facts(closing) == {"v": 1, "agent_exit_code": 7, "bytes_up": 33, "bytes_down": 44}


def test_an_outcome_without_byte_counts_adds_nothing() -> None:
    scribe = Scribe().open()
    intent = scribe.draft(phase="intent")
    scribe.append(intent).append(attrs.evolve(intent, phase="outcome", facts={"bytes_up": None})).close()
    assert _facts(_parse(scribe.lines)[-1])["bytes_up"] == 0


def test_a_clock_that_runs_backwards_is_recorded_as_standing_still() -> None:
    chain = Chain(KEY, SESSION)
    lines = [
        chain.open(START_NS),
        chain.append(Scribe().draft(verdict="block"), START_NS - 5),
        chain.heartbeat(START_NS - 10**12),
        chain.close("exited", 0, render_counters(redirected=1)),
    ]
    assert {record_of(receipt)["timestamp"] for receipt in _parse(lines)} == {"2027-01-15T08:00:00Z"}
    assert codes(replay(lines)) == []


def test_the_same_session_at_the_same_times_gives_the_same_bytes() -> None:
    assert write_chain() == write_chain()


@pytest.mark.parametrize("step", ["append", "heartbeat", "close"])
def test_nothing_comes_before_the_open(step: str) -> None:
    scribe = Scribe()
    with pytest.raises(RecorderError, match="before its open receipt"):
        {"append": scribe.block, "heartbeat": scribe.heartbeat, "close": scribe.close}[step]()
    assert scribe.chain.next_seq == 0


@pytest.mark.parametrize("step", ["open", "append", "heartbeat", "close"])
def test_nothing_comes_after_the_close(step: str) -> None:
    scribe = Scribe().open().close()
    steps = {
        "open": scribe.open,
        "append": scribe.block,
        "heartbeat": scribe.heartbeat,
        "close": scribe.close,
    }
    with pytest.raises(RecorderError, match="closed"):
        steps[step]()


def test_a_session_opens_once() -> None:
    with pytest.raises(RecorderError, match="open"):
        Scribe().open().open()


def test_a_receipt_over_the_bound_is_never_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "LINE_BYTES", 900)
    scribe = Scribe()
    with pytest.raises(RecorderError, match="over the bound of 900"):
        scribe.open()
    assert scribe.chain.head == ""


@pytest.mark.parametrize("text", ["", "a b", "é", "a\n", "x" * 257])
def test_a_session_whose_ids_are_not_visible_ascii_is_refused(text: str) -> None:
    for member in ("run_id", "run_nonce", "open_nonce", "policy_hash"):
        with pytest.raises(ValueError, match=member):
            attrs.evolve(SESSION, **{member: text})  # type: ignore[arg-type]


def test_what_a_chain_writes_is_what_the_verifier_accepts_whatever_the_texts_say() -> None:
    scribe = Scribe(attrs.evolve(SESSION, principal="\udc80é\n", actor="<&>" * 500)).open()
    for text in ("", "\x00", "\udcff", "x" * 100_000, "\U0001f600" * 5000, '"\\</script>', "\u2028", "a\nb"):
        scribe.block(target=text, pattern=text, facts={"reason": text, "host": text, text: [text]})
    played = replay(scribe.close("\udc80").lines)
    assert played.findings.kept == []
