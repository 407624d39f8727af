"""What a signer signs, and what a proxy that was taken over can't get signed."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256

import attrs
import pytest
from tests.evidence.specimens import KEY, SESSION, START_NS, Scribe, replay, write_chain
from tests.signer.asking import DAY_NS, Asking

from trio_egress.evidence.canonical import render_canonical
from trio_egress.evidence.statement import PREDICATE_TYPE
from trio_egress.signer.followed import Followed, Refused


def _frame(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


DSSE = b"DSSEv1 28 application/vnd.in-toto+json "


def render_statement(lines: list[bytes], **members: object) -> bytes:
    """The statement about these lines, with other `members` of it, or of its predicate's own part, or `subject`."""
    own = {"head": replay(lines).head, "receipts": len(lines), **members}
    digest = {"sha256": sha256(b"".join(lines)).hexdigest()}
    statement = {
        "predicateType": own.pop("predicateType", PREDICATE_TYPE),
        "predicate": {"trioEgress": own, "monitoredProcess": {"trioEgressRun": own.pop("run", "run-1")}},
        "subject": own.pop("subject", [{"name": "evidence.jsonl", "digest": digest}]),
    }
    payload = json.dumps(statement).encode()
    return DSSE + b"%d " % len(payload) + payload


OTHER_RUN = attrs.evolve(SESSION, run_id="run-2")
MANIFEST = b"SSHSIG" + _frame(b"trio-egress-manifest") + _frame(b"") + _frame(b"sha512") + _frame(bytes(64))


def test_an_honest_run_is_signed_to_its_end_with_the_same_bytes() -> None:
    asking = Asking()
    lines = write_chain(key=asking)
    assert lines == write_chain()
    assert (asking.followed.receipts, asking.followed.is_closed) == (len(lines), True)
    assert (asking.followed.run_id, asking.followed.head) == ("run-1", replay(lines).head)


def test_what_else_a_run_signs_is_signed_once_there_is_a_run() -> None:
    asking = Asking()
    with pytest.raises(Refused, match="none of this run's"):
        Asking().sign(MANIFEST)
    scribe, plain = Scribe(key=asking).open(), Scribe().open()
    for message in (render_statement(scribe.lines), MANIFEST):
        assert asking.sign(message) == KEY.sign(message)
    for _ in range(2):
        assert scribe.chain.sign_checkpoint() == plain.chain.sign_checkpoint()
    assert asking.followed.messages == 4


@pytest.mark.parametrize("message", [MANIFEST, render_statement(Scribe().open().lines)])
def test_what_is_said_at_the_end_is_said_once(message: bytes) -> None:
    asking = Asking()
    Scribe(key=asking).open()
    asking.sign(message)
    with pytest.raises(Refused, match="signed once"):
        asking.sign(message)


OPENED = Scribe().open().lines


@pytest.mark.parametrize(
    "statement",
    [
        render_statement(OPENED, head="0" * 64),
        render_statement(OPENED, receipts=2),
        render_statement(OPENED, run="run-2"),
        render_statement(OPENED, predicateType="https://slsa.dev/provenance/v1"),
        render_statement(OPENED, subject=[]),
        render_statement(OPENED, subject=[{"name": "evidence.jsonl", "digest": {"sha256": "0" * 64}}]),
        render_statement(OPENED, subject=[{"name": "app", "digest": {"sha256": "0" * 64}}]),
        render_statement(Scribe().open().block().lines),
        render_statement(OPENED) + b" ",
        *[
            DSSE + b"%d " % len(text) + text
            for text in (b"", b"{}", b"[]", b"7", b'{"predicate":[]}', b"\xff")
        ],
    ],
)
def test_no_statement_about_anything_else_is_signed(statement: bytes) -> None:
    asking = Asking()
    Scribe(key=asking).open()
    with pytest.raises(Refused, match="none of this run's"):
        asking.sign(statement)


def test_a_checkpoint_is_signed_of_what_was_signed_and_of_nothing_else() -> None:
    for scribe in (Scribe().open(), Scribe().open().block().block(), Scribe(OTHER_RUN).open().block()):
        asking = Asking()
        Scribe(key=asking).open().block()
        scribe.chain._key = asking
        with pytest.raises(Refused, match="none of this run's"):
            scribe.chain.sign_checkpoint()


@pytest.mark.parametrize(
    "message",
    [
        bytes(32),
        sha256(b"a record").digest(),
        b"",
        b"any text",
        b"trio-egress/run/run-1\n1\n" + b"A" * 44 + b"\n",
        MANIFEST.replace(_frame(b"trio-egress-manifest"), _frame(b"git")),
        MANIFEST.replace(_frame(b"trio-egress-manifest"), _frame(b"file")),
        b"DSSEv1 28 application/vnd.something+json 2 {}",
        b"pipelock-rotation-endorsement-v1\0{}",
    ],
)
def test_no_other_message_is_signed(message: bytes) -> None:
    asking = Asking()
    scribe = Scribe(key=asking).open()
    with pytest.raises(Refused, match="none of this run's"):
        asking.sign(message)
    with pytest.raises(Refused):
        scribe.block()  # and nothing any more


def _again(asking: Asking) -> None:
    asking.sign_receipt(*asking.asked[-1])


def _second_run(asking: Asking) -> None:
    Scribe(OTHER_RUN, asking).open()


def _same_run(asking: Asking) -> None:
    Scribe(key=asking).open()


def _forked(asking: Asking) -> None:
    """Another third receipt than the one that was signed."""
    other = Asking()
    Scribe(key=other).open().block().block("another.example")
    asking.sign_receipt(*other.asked[-1])


def _changed(change: Callable[[dict[str, object]], None]) -> Callable[[Asking], None]:
    """The next receipt of an honest run, but for one thing."""

    def attack(asking: Asking) -> None:
        other = Asking()
        Scribe(key=other).open().block().block().block()
        record, ext = other.asked[-1]
        values = json.loads(record)
        change(values)
        asking.sign_receipt(render_canonical(values), ext)

    return attack


def _other_ext(asking: Asking) -> None:
    other = Asking()
    Scribe(key=other).open().block().block().block()
    record, ext = other.asked[-1]
    asking.sign_receipt(record, ext.replace(b"evil", b"good"))


def _spelt(asking: Asking) -> None:
    other = Asking()
    Scribe(key=other).open().block().block().block()
    record, ext = other.asked[-1]
    asking.sign_receipt(record.replace(b'"version":1', b'"version": 1'), ext)


@pytest.mark.parametrize(
    "attack",
    [
        *(_again, _second_run, _same_run, _forked, _other_ext, _spelt),
        _changed(lambda record: record.update(chain_seq=9)),
        _changed(lambda record: record.update(chain_prev_hash="0" * 64)),
        _changed(lambda record: record.update(run_nonce="cc" * 16)),
        _changed(lambda record: record.update(policy_hash="sha256:" + "0" * 64)),
        _changed(lambda record: record.update(session_id="run-2")),
        _changed(lambda record: record.update(timestamp="2020-01-01T00:00:00Z")),
        _changed(lambda record: record.update(timestamp="2099-01-01T00:00:00Z")),
        _changed(lambda record: record.update(timestamp="now")),
        _changed(lambda record: record.update(verdict="banana")),
        _changed(lambda record: record.update(more=1)),
        lambda asking: asking.sign_receipt(b"\xff", b"{}"),
        lambda asking: asking.sign_receipt(b"[]", b"{}"),
        lambda asking: asking.sign_receipt(b"[" * 5000, b"{}"),
        lambda asking: asking.sign_receipt(b"{}", b"{}\n{}"),
    ],
)
def test_only_the_next_receipt_of_the_only_chain_is_signed(attack: Callable[[Asking], None]) -> None:
    asking = Asking()
    scribe = Scribe(key=asking).open().block().block()
    with pytest.raises(Refused):
        attack(asking)
    with pytest.raises(Refused):
        scribe.block()  # after one refusal everything is refused


def test_the_next_receipt_is_signed_where_nothing_was_changed() -> None:
    """The control of the attacks above."""
    asking = Asking()
    Scribe(key=asking).open().block().block()
    _changed(lambda record: None)(asking)
    assert asking.followed.receipts == 4


def test_nothing_comes_before_the_open_or_after_the_close() -> None:
    other = Asking()
    Scribe(key=other).open().block()
    with pytest.raises(Refused):
        Asking().sign_receipt(*other.asked[1])
    asking = Asking()
    Scribe(key=asking).open().close()
    links = {"chain_seq": 2, "chain_prev_hash": asking.followed.head}
    with pytest.raises(Refused, match=r"session\.order"):
        _changed(lambda record: record.update(links))(asking)


def test_a_run_may_say_that_its_books_do_not_balance_and_no_more_than_that() -> None:
    asking = Asking()
    scribe = Scribe(key=asking).open()
    scribe.append(scribe.draft(phase="intent", layer="rule"))
    scribe.close(books=False)
    assert asking.followed.is_closed
    assert {"balance.missing", "pair.no_outcome"} <= {f.code for f in replay(scribe.lines).findings.kept}


@pytest.mark.parametrize(("late_ns", "signed"), [(-DAY_NS, False), (-299 * 10**9, True), (DAY_NS, True)])
def test_no_receipt_is_dated_ahead(late_ns: int, signed: bool) -> None:
    """A clock that goes back is no reason to end a run, and one that goes forward neither."""
    asking = Asking()
    asking.now_ns = START_NS + late_ns
    if signed:
        Scribe(key=asking).open().block()
        return
    with pytest.raises(Refused, match="time is not that of this machine"):
        Scribe(key=asking).open()


def test_a_clock_that_goes_back_during_a_run_is_no_reason_to_end_it() -> None:
    asking = Asking()
    scribe = Scribe(key=asking).open()
    asking.now_ns -= DAY_NS
    scribe.block()
    assert asking.followed.receipts == 2


def test_a_receipt_longer_than_a_line_is_refused() -> None:
    followed = Followed(KEY)
    with pytest.raises(Refused, match="bytes"):
        followed.sign_receipt(
            b'{"timestamp":"2020-01-01T00:00:00Z"}', b'"' + b"a" * (1 << 20) + b'"', START_NS
        )
