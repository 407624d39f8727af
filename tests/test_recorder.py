"""The recorder over a real file: what it acknowledges is on disk, and after a failure it acknowledges nothing.

Each test holds wherever its receipts are written: in a thread, and in a process of its own.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from trio_egress.drafts import render_target
from trio_egress.errors import RecorderError
from trio_egress.evidence.anchor import Anchor
from trio_egress.evidence.chain import Chain
from trio_egress.evidence.checkpoint import CHECKPOINT_NAME, Checkpoint, parse_checkpoint
from trio_egress.evidence.journal import EVIDENCE_NAME, Journal, open_journal
from trio_egress.evidence.landmarks import read_roots
from trio_egress.evidence.receipt import Draft
from trio_egress.evidence.session import Session
from trio_egress.evidence.sign import PublicKey, Signer, generate
from trio_egress.model import (
    Attempt,
    Decision,
    Endpoint,
    Layer,
    Name,
    Protocol,
    RuleRef,
    Transport,
    Upstream,
)
from trio_egress.policy.hosts import parse_host
from trio_egress.recorder import Durable, Recorder, Tell, open_recorder

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

HOST = Name("api.example.com")
ATTEMPT = Attempt(Transport.TRANSPARENT, Protocol.HTTP, HOST, 80, "GET", "/v1")
ALLOWED = Decision(True, Layer.RULE, "allowed", RuleRef(0, "api.example.com", 5), Upstream(HOST, 80))
DENIED = Decision(False, Layer.DEFAULT_DENY, "no rule allows api.example.com:80")


KEY = generate(bytes(32))


class FailingSigner:
    """Signs as KEY does, until it is told to fail, or to wait."""

    def __init__(self) -> None:
        self.public_hex: PublicKey = KEY.public_hex
        self.failing = False
        self.waiting = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def sign(self, message: bytes) -> bytes:
        return KEY.sign(message)

    def sign_receipt(self, record: bytes, ext: bytes) -> bytes:
        if self.failing:
            raise RecorderError("the signer is gone")
        if not self.go.is_set():
            self.waiting.set()
        assert self.go.wait(120)
        return KEY.sign_receipt(record, ext)


@pytest.fixture(params=[False, True], ids=["thread", "process"], autouse=True)
def apart(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Where it is written; a key that only this process can ask keeps it here."""
    monkeypatch.setattr("tests.test_recorder.APART", request.param)
    return bool(request.param)


APART = False


@asynccontextmanager
async def opened(
    directory: Path,
    shown: list[Draft] | None = None,
    signer: Signer = KEY,
    tell: Tell | None = None,
    durable: Durable | None = None,
) -> AsyncIterator[tuple[Recorder, Journal]]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    journal = open_journal(descriptor)
    try:
        session = Session("run-1", "nonce-1", "open-1", "sha256:" + "0" * 64, 30, "principal", "agent")
        async with open_recorder(
            Chain(signer, session),
            journal,
            None if shown is None else shown.append,
            tell,
            durable,
            apart=APART and signer is KEY,
        ) as recorder:
            yield recorder, journal
    finally:
        journal.close()
        os.close(descriptor)


def receipts(directory: Path) -> Sequence[dict[str, Any]]:
    return [
        json.loads(line)["action_record"] for line in (directory / EVIDENCE_NAME).read_bytes().splitlines()
    ]


def kinds(directory: Path) -> list[str]:
    return [
        r.get("session_control", {}).get("kind") or f"{r['verdict']} {r.get('decision_phase', '')}".strip()
        for r in receipts(directory)
    ]


async def test_a_run_without_traffic_opens_and_closes(tmp_path: Path) -> None:
    async with opened(tmp_path):
        assert kinds(tmp_path) == ["session_open"]
    assert kinds(tmp_path) == ["session_open", "session_close"]


async def test_an_intent_is_on_disk_when_allow_returns(tmp_path: Path) -> None:
    async with opened(tmp_path) as (recorder, journal):
        flow = await recorder.allow(ATTEMPT, ALLOWED)
        assert kinds(tmp_path) == ["session_open", "allow intent"]
        assert journal.durable_bytes == (tmp_path / EVIDENCE_NAME).stat().st_size
        with flow:
            flow.bytes_up += 10
            flow.bytes_down += 20
            flow.dialled(Endpoint(parse_host("192.0.2.7"), 8080))  # type: ignore[arg-type]
            flow.note(status=200)
    assert kinds(tmp_path) == ["session_open", "allow intent", "allow outcome", "session_close"]
    intent, outcome = receipts(tmp_path)[1:3]
    assert intent["action_id"] == outcome["action_id"]
    ext = json.loads((tmp_path / EVIDENCE_NAME).read_bytes().splitlines()[2])["ext"]["trio_egress"]
    assert (ext["bytes_up"], ext["bytes_down"], ext["dialled"], ext["status"]) == (
        10,
        20,
        "192.0.2.7:8080",
        200,
    )
    assert ext["duration_us"] >= 0


async def test_a_refusal_is_on_disk_when_refuse_returns(tmp_path: Path) -> None:
    shown: list[Draft] = []
    async with opened(tmp_path, shown) as (recorder, _):
        await recorder.refuse(ATTEMPT, DENIED)
        assert kinds(tmp_path) == ["session_open", "block"]
        assert recorder.refused == 1
    assert [draft.target for draft in shown] == ["http://api.example.com:80/v1"]


async def test_a_hundred_attempts_at_once_share_their_writes(tmp_path: Path) -> None:
    groups: list[Sequence[bytes]] = []
    async with opened(tmp_path, durable=lambda lines, _: groups.append(lines)) as (recorder, _):

        async def attempt() -> None:
            with await recorder.allow(ATTEMPT, ALLOWED):
                pass

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(attempt)
    assert len(groups) < 20
    assert kinds(tmp_path).count("allow intent") == kinds(tmp_path).count("allow outcome") == 100


async def test_a_cancelled_flow_leaves_its_outcome(tmp_path: Path) -> None:
    async with opened(tmp_path) as (recorder, _):
        with trio.CancelScope() as scope, await recorder.allow(ATTEMPT, ALLOWED):
            scope.cancel()
            await trio.sleep_forever()
    assert kinds(tmp_path)[1:3] == ["allow intent", "allow outcome"]
    assert '"reason":"the run ended"' in (tmp_path / EVIDENCE_NAME).read_text().splitlines()[2]


async def test_an_attempt_cancelled_before_its_intent_was_durable_is_paired(tmp_path: Path) -> None:
    async with opened(tmp_path) as (recorder, _):
        with trio.CancelScope() as scope:
            scope.cancel()
            await recorder.allow(ATTEMPT, ALLOWED)
        assert scope.cancelled_caught
    assert kinds(tmp_path)[1:3] == ["allow intent", "allow outcome"]


async def test_a_run_that_is_cancelled_from_outside_still_closes_its_chain(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        async with opened(tmp_path) as (recorder, _):
            recorder.drop_nowait("udp://192.0.2.1:53", 3, "no rule")
            scope.cancel()
            await trio.sleep_forever()
    assert kinds(tmp_path) == ["session_open", "block", "session_close"]
    assert receipts(tmp_path)[-1]["session_control"]["close"]["close_reason"] == "error"


async def test_the_close_says_what_it_was_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as (recorder, _):
        recorder.conclude("agent_exited", {"counters": {"udp": [1, 28]}})
    last = json.loads((tmp_path / EVIDENCE_NAME).read_bytes().splitlines()[-1])
    assert last["action_record"]["session_control"]["close"]["close_reason"] == "agent_exited"
    assert last["ext"]["trio_egress"]["counters"] == {"udp": [1, 28]}


async def test_nothing_is_acknowledged_and_the_body_is_cancelled_when_the_file_is_gone(
    tmp_path: Path,
) -> None:
    acknowledged = False
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012
        async with opened(tmp_path) as (recorder, _):
            (tmp_path / EVIDENCE_NAME).unlink()
            await recorder.allow(ATTEMPT, ALLOWED)
            acknowledged = True
    assert not acknowledged
    assert caught.group_contains(RecorderError)


async def test_nothing_is_acknowledged_or_written_without_a_signature(tmp_path: Path) -> None:
    acknowledged = False
    signer = FailingSigner()
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012
        async with opened(tmp_path, signer=signer) as (recorder, _):
            with await recorder.allow(ATTEMPT, ALLOWED):
                pass
            signer.failing = True
            await recorder.allow(ATTEMPT, ALLOWED)
            acknowledged = True
    assert not acknowledged
    assert caught.group_contains(RecorderError, match="the signer is gone")
    assert kinds(tmp_path)[:2] == ["session_open", "allow intent"]
    assert "session_close" not in kinds(tmp_path)


async def test_the_loop_goes_on_while_a_signer_takes_its_time(tmp_path: Path) -> None:
    signer = FailingSigner()
    async with opened(tmp_path, signer=signer) as (recorder, _):
        signer.go.clear()
        recorder.refuse_nowait(ATTEMPT, DENIED)
        while not signer.waiting.is_set():  # only a loop that runs gets out of this one
            await trio.lowlevel.checkpoint()
        signer.go.set()
    assert kinds(tmp_path) == ["session_open", "block", "session_close"]


async def test_what_comes_after_the_close_is_not_lost_silently(tmp_path: Path) -> None:
    signer = FailingSigner()
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012
        async with trio.open_nursery() as nursery, opened(tmp_path, signer=signer) as (recorder, _):
            signer.go.clear()

            @nursery.start_soon
            async def late() -> None:
                while not signer.waiting.is_set():
                    await trio.lowlevel.checkpoint()
                recorder.refuse_nowait(ATTEMPT, DENIED)
                signer.go.set()

    assert caught.group_contains(RecorderError, match="closed already")
    assert kinds(tmp_path) == ["session_open", "session_close"]


async def test_after_a_failure_every_further_attempt_is_refused(tmp_path: Path) -> None:
    seen: list[str] = []
    with pytest.raises(BaseExceptionGroup):  # noqa: PT012
        async with opened(tmp_path) as (recorder, _):
            (tmp_path / EVIDENCE_NAME).unlink()
            with trio.CancelScope(shield=True):
                for _ in range(2):
                    try:
                        await recorder.allow(ATTEMPT, ALLOWED)
                    except RecorderError as error:
                        seen.append(str(error))
    assert len(seen) == 2


def checkpoint(directory: Path) -> Checkpoint:
    signed = parse_checkpoint((directory / CHECKPOINT_NAME).read_bytes())
    assert signed.is_signed(KEY.public_hex)
    return signed.checkpoint


def state(directory: Path, size: int) -> Checkpoint:
    """The log as it is on disk, when it had this many lines."""
    with (directory / EVIDENCE_NAME).open("rb") as stream:
        return Checkpoint("trio-egress/run/run-1", size, read_roots(stream, [size])[size])


async def test_a_live_log_has_a_checkpoint_of_lines_that_are_on_disk(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with opened(tmp_path) as (recorder, _):
        assert checkpoint(tmp_path) == state(tmp_path, 1)
        await recorder.refuse(ATTEMPT, DENIED)
        assert checkpoint(tmp_path) == state(tmp_path, 1)  # until the next heartbeat
        mock_clock.jump(31)
        while checkpoint(tmp_path).size == 1:
            await trio.lowlevel.checkpoint()
        assert kinds(tmp_path) == ["session_open", "block", "heartbeat"]
        assert checkpoint(tmp_path) == state(tmp_path, 3)
    assert checkpoint(tmp_path) == state(tmp_path, 4)


async def test_a_checkpoint_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT_NAME).mkdir()
    with pytest.raises(BaseExceptionGroup) as caught:
        async with opened(tmp_path):
            raise AssertionError("never reached")
    assert caught.group_contains(RecorderError, match=r"cannot write checkpoint\.txt")
    assert not caught.group_contains(AssertionError)


async def test_states_are_told_when_they_are_on_disk(tmp_path: Path) -> None:
    told: list[Anchor] = []

    def tell(anchor: Anchor) -> None:
        assert checkpoint(tmp_path) == anchor.state == state(tmp_path, anchor.state.size)
        told.append(anchor)

    async with opened(tmp_path, tell=tell) as (recorder, _):
        assert [anchor.head for anchor in told] == [recorder.head]
        await recorder.refuse(ATTEMPT, DENIED)
    assert [anchor.state.size for anchor in told] == [1, 3]


async def test_who_tells_waits_for_no_thread_that_look_ups_have(tmp_path: Path) -> None:
    """The agent can make all of Trio's own threads wait: for name servers that don't answer."""
    threads = trio.to_thread.current_default_thread_limiter()
    kept = [object() for _ in range(int(threads.total_tokens))]
    for each in kept:
        threads.acquire_on_behalf_of_nowait(each)
    told: list[Anchor] = []
    try:
        with trio.fail_after(5):
            async with opened(tmp_path, tell=told.append):
                assert len(told) == 1
    finally:
        for each in kept:
            threads.release_on_behalf_of(each)
    assert [anchor.state.size for anchor in told] == [1, 2]


async def test_a_run_ends_when_nobody_can_be_told(tmp_path: Path) -> None:
    def tell(anchor: Anchor) -> None:
        raise RecorderError("nobody listens")

    with pytest.raises(BaseExceptionGroup) as caught:
        async with opened(tmp_path, tell=tell):
            raise AssertionError("never reached")
    assert caught.group_contains(RecorderError, match="nobody listens")
    assert not caught.group_contains(AssertionError)


async def test_heartbeats_stand_between_receipts_that_are_far_apart(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    async with opened(tmp_path):
        for beats in (1, 2):
            mock_clock.jump(31)
            while kinds(tmp_path) != ["session_open", *["heartbeat"] * beats]:
                await trio.lowlevel.checkpoint()
    assert kinds(tmp_path) == ["session_open", "heartbeat", "heartbeat", "session_close"]


async def test_what_shares_a_receipt_is_counted_each(tmp_path: Path) -> None:
    async with opened(tmp_path) as (recorder, _):
        recorder.drop_nowait("udp://192.0.2.1:53", 3, "no rule")
        recorder.refuse_nowait(ATTEMPT, DENIED)
        assert recorder.refused == 4


def test_a_target_carries_neither_query_nor_userinfo() -> None:
    assert render_target(ATTEMPT) == "http://api.example.com:80/v1"
    assert render_target(Attempt(Transport.DNS, Protocol.DNS, HOST, 0)) == "dns:api.example.com"
    address = parse_host("2001:db8::1")
    assert render_target(Attempt(Transport.CONNECT, Protocol.TLS, address, 443)) == "tls://[2001:db8::1]:443"


async def test_copies_are_told_of_what_is_on_disk_and_of_nothing_else(tmp_path: Path) -> None:
    told: list[bytes] = []

    def durable(lines: Sequence[bytes], seconds: float) -> None:
        assert seconds >= 0
        told.extend(lines)
        assert (tmp_path / EVIDENCE_NAME).read_bytes() == b"".join(told)

    async with opened(tmp_path, durable=durable) as (recorder, _):
        await recorder.refuse(ATTEMPT, DENIED)
        recorder.conclude("agent_exited")
    assert len(told) == 3


async def test_what_could_not_be_written_is_told_to_nobody(tmp_path: Path) -> None:
    signer, told = FailingSigner(), list[bytes]()

    async def fail() -> None:
        async with opened(tmp_path, signer=signer, durable=lambda lines, _: told.extend(lines)) as (one, _):
            signer.failing = True
            await one.refuse(ATTEMPT, DENIED)

    with pytest.raises(BaseExceptionGroup):
        await fail()
    assert len(told) == 1  # the open receipt
