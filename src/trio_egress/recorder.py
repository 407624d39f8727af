"""The one task that every receipt is asked of, and the only one that has them signed and written.

Rule 1: receipts are signed in the order in which they are asked for, and written in groups (one fdatasync a group).
Both are done elsewhere (`writer/`): neither a slow disk nor a slow signer holds up the loop.
Rule 2: `allow` and `refuse` return only when their receipt is on disk; the `_nowait` calls never block or raise.
Rule 3: after the first failed write nothing is acknowledged any more, and the failure cancels the whole run.
Rule 4: it outlives all that is opened inside it: cancelling ends the run, not the recording (it has DRAIN_SECONDS).
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from types import TracebackType

import trio

from trio_egress.drafts import (
    draft_attempt,
    draft_command,
    draft_finding,
    draft_key_change,
    draft_outcome,
    draft_policy_change,
    make_action_id,
)
from trio_egress.errors import RecorderError
from trio_egress.evidence.anchor import Anchor
from trio_egress.evidence.chain import Chain
from trio_egress.evidence.journal import Journal
from trio_egress.evidence.receipt import Draft
from trio_egress.evidence.scan_attempt import Finds
from trio_egress.evidence.scan_facts import ToldFinding
from trio_egress.evidence.scan_form import BLOCK, FINDINGS
from trio_egress.evidence.sign import Signer
from trio_egress.groups import Groups
from trio_egress.model import Attempt, Decision, Endpoint, Layer, StdioMessage, Transport
from trio_egress.writer.desk import Desk, Order, Writer
from trio_egress.writer.process import WriterProcess
from trio_egress.writer.thread import WriterThread

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup

DRAIN_SECONDS = 30.0
"""How long the last group may take after the run has ended: a disk slower than this has failed."""

Facts = Mapping[str, object]
Watch = Callable[[Draft], None]
Tell = Callable[[Anchor], None]
"""Told each state that has a checkpoint, in a thread; what it raises of RecorderError ends the run."""

Durable = Callable[[Sequence[bytes], float], None]
"""Told the lines of each group when they are on disk, and how many seconds that took; never waits, and never raises."""


class Recorder:
    """Receipts of one run. Made by `open_recorder`; used from the run's Trio thread only."""

    def __init__(
        self,
        chain: Chain,
        writer: Writer,
        watch: Watch | None,
        tell: Tell | None,
        durable: Durable | None,
    ) -> None:
        self._tell = tell
        self._telling = trio.CapacityLimiter(1)
        self._durable = durable
        self._chain = chain
        self._writer = writer
        self._watch = watch
        self._groups = Groups[Order](self._write)
        self._closing = False
        self._flows = 0
        self._close_reason = "error"
        self._close_facts: Facts = {}
        self.refused = 0
        """Attempts, queries and packets refused so far, those that share a receipt included."""

        self.head = ""
        """The hash of the newest line that is on disk."""

        self.signer = chain.signer
        """Whoever signed it."""

        self._signers = {chain.signer.public_hex: chain.signer}

    # what the proxy asks for

    async def refuse(
        self, attempt: Attempt | StdioMessage, decision: Decision, facts: Facts | None = None
    ) -> None:
        """Record a denied attempt; the receipt is on disk when this returns."""
        self.refuse_nowait(attempt, decision, facts)
        await self._groups.wait_settled()

    def refuse_nowait(
        self, attempt: Attempt | StdioMessage, decision: Decision, facts: Facts | None = None
    ) -> None:
        """Record a denied attempt with the next group."""
        self._append(draft_attempt(attempt, decision, {"flow": self._next_flow(), **(facts or {})}))

    def allow_nowait(
        self, attempt: Attempt | StdioMessage, decision: Decision, facts: Facts | None = None
    ) -> None:
        """Record an allowed attempt after which nothing leaves (an answer of the DNS stub): one receipt, no pair."""
        self._append(draft_attempt(attempt, decision, {"flow": self._next_flow(), **(facts or {})}))

    async def allow(
        self, attempt: Attempt | StdioMessage, decision: Decision, facts: Facts | None = None
    ) -> Flow:
        """Record the intent of an allowed attempt. Only when this has returned may anything leave.

        Use the flow as a context manager, at once and without an await in between: leaving it records the outcome.
        """
        facts = {"flow": self._next_flow(), **(facts or {})}
        draft = self._chain.tell(draft_attempt(attempt, decision, facts, phase="intent"))
        flow = Flow(self, draft, Finds(facts.get(FINDINGS)))
        self._append(draft)
        try:
            await self._groups.wait_settled()
        except BaseException:
            # The intent may already be on disk: an intent never stays without its outcome.
            flow.fail("ended before anything left")
            flow.finish()
            raise
        return flow

    def drop_nowait(
        self,
        target: str,
        count: int,
        reason: str,
        facts: Facts | None = None,
        transport: Transport = Transport.PACKET,
    ) -> None:
        """Record `count` packets, connections or system calls that the kernel refused; `target` is where or what."""
        self._append(
            Draft(
                action_id=make_action_id(),
                target=target,
                verdict="block",
                transport=transport.value,
                layer=Layer.KERNEL.value,
                facts={"count": count, "reason": reason, **(facts or {})},
            )
        )

    def change_policy(self, policy_hash: str, facts: Facts) -> None:
        """Record that another policy comes into force; what follows is recorded under it."""
        why = f"egress was stopped {facts['stopped']}" if facts.get("stopped") else "the policy was changed"
        draft = draft_policy_change("allow", why, {**facts, "policy_to": policy_hash})
        if self._groups.failure is None:
            self._groups.put(
                partial(Chain.change_policy, draft=draft, policy_hash=policy_hash, now_ns=time.time_ns())
            )
            if self._watch is not None:
                self._watch(draft)

    def refuse_policy(self, reason: str) -> None:
        """Record that another policy was asked for and not taken: the old one stays in force."""
        draft = draft_policy_change("block", reason, {})
        if self._groups.failure is None:  # not the agent's: not refused
            self._groups.put(partial(Chain.append, draft=draft, now_ns=time.time_ns()))
            if self._watch is not None:
                self._watch(draft)

    def change_key(self, key: Signer) -> None:
        """Record that another key signs from here on, endorsed by the one so far."""
        draft = draft_key_change("allow", "the key was changed")
        if self._groups.failure is None:
            now_ns = time.time_ns()
            self._groups.put(partial(Chain.rotate, key=key, draft=draft, now_ns=now_ns), marked=True)
            self._signers[key.public_hex] = key

    def refuse_key(self, reason: str) -> None:
        """Record that another key was asked for, and that there is none."""
        if self._groups.failure is None:
            self._groups.put(
                partial(Chain.append, draft=draft_key_change("block", reason), now_ns=time.time_ns())
            )

    def tell_command(self, facts: Facts) -> None:
        """Record how a command of a session has ended."""
        draft = self._chain.tell(draft_command(facts))
        if self._groups.failure is None:
            self._groups.put(partial(Chain.append, draft=draft, now_ns=time.time_ns()))

    def conclude(self, reason: str, facts: Facts | None = None) -> None:
        """What the close receipt will say; without this call it says `error`."""
        self._close_reason = reason
        self._close_facts = facts or {}

    # the task

    def _next_flow(self) -> int:
        self._flows += 1
        return self._flows

    def _append(self, draft: Draft) -> None:
        if self._groups.failure is not None:
            return
        draft = self._chain.tell(draft)
        self._groups.put(partial(Chain.append, draft=draft, now_ns=time.time_ns()))
        if draft.verdict == "block" and not draft.parent_id:  # whose attempt's outcome counts
            count = draft.facts.get("count", 1)
            self.refused += count if isinstance(count, int) else 1
        if self._watch is not None:
            self._watch(draft)

    async def _keep(self, task_status: trio.TaskStatus[None]) -> None:
        """Write group after group until closed, with a heartbeat where nothing else was due."""
        groups, every = self._groups, self._chain.heartbeat_seconds
        try:
            groups.put(partial(Chain.open, now_ns=time.time_ns()), marked=True)
            await groups.write()
            task_status.started()
            beat = trio.current_time() + every
            while not self._closing:
                await groups.wait_for_work(beat)
                if trio.current_time() >= beat:
                    groups.put(partial(Chain.heartbeat, now_ns=time.time_ns()), marked=True)
                    beat = trio.current_time() + every
                await groups.write()
            reason, facts = self._close_reason, self._close_facts
            groups.put(partial(Chain.close, reason=reason, now_ns=time.time_ns(), facts=facts), marked=True)
            await groups.write()
            if groups.is_filling:
                raise RecorderError("a receipt was asked for when the chain was closed already")
        finally:
            groups.close()
            await self._writer.close()

    async def _write(self, orders: Sequence[Order], marked: bool) -> None:
        written = await self._writer.write(orders, marked=marked)
        self.head, self.signer = written.head, self._signers[written.public_hex]
        if self._durable is not None:
            self._durable(written.lines, written.seconds)
        if self._tell is not None and written.anchor is not None:
            # Not of Trio's own forty threads, all of which the agent's look-ups may be waiting in.
            await trio.to_thread.run_sync(
                self._tell, written.anchor, abandon_on_cancel=True, limiter=self._telling
            )


@asynccontextmanager
async def open_recorder(
    chain: Chain,
    journal: Journal,
    watch: Watch | None = None,
    tell: Tell | None = None,
    durable: Durable | None = None,
    *,
    apart: bool = False,
) -> AsyncIterator[Recorder]:
    """A recorder for the body's lifetime: its open receipt is on disk before the body starts, its close after.

    `apart`: what signs and writes is a process of its own; every key is one that it can have.

    Raises RecorderError (possibly in a group) when a receipt could not be written, and when the drain at the end took
    longer than DRAIN_SECONDS. The journal stays the caller's to close.
    """
    desk = Desk(chain, journal, copies=durable is not None)
    writer = WriterProcess(desk) if apart else WriterThread(desk)
    recorder = Recorder(chain, writer, watch, tell, durable)
    drain = trio.CancelScope(shield=True)

    async def keep(task_status: trio.TaskStatus[None]) -> None:
        with drain:
            await recorder._keep(task_status)
        if drain.cancelled_caught:
            raise RecorderError(f"the last receipts were not on disk after {DRAIN_SECONDS:.0f} s")

    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(keep)
            yield recorder
        finally:
            recorder._closing = True
            recorder._groups.hurry()
            drain.deadline = trio.current_time() + DRAIN_SECONDS


class Flow:
    """One allowed attempt between its intent and its outcome. `bytes_up` and `bytes_down` are payload bytes."""

    def __init__(self, recorder: Recorder, intent: Draft, finds: Finds) -> None:
        self._recorder = recorder
        self._intent = intent
        self._started = time.monotonic_ns()
        self._facts: dict[str, object] = {}
        self._verdict = intent.verdict
        self._layer = intent.layer
        self._done = False
        self._finds = finds
        self.bytes_up = 0
        self.bytes_down = 0

    def dialled(self, endpoint: Endpoint) -> None:
        """The checked address that was connected to."""
        self._facts["dialled"] = str(endpoint)

    def note(self, **facts: object) -> None:
        """More facts for the outcome (status, sni, alpn …); a later value replaces an earlier one."""
        self._facts.update(facts)

    def fail(self, reason: str, layer: Layer | None = None, *, blocked: bool = False) -> None:
        """Why it ended early. `blocked`: refused by the boundary after the intent; the outcome's verdict is block."""
        self._facts["reason"] = reason
        if layer is not None and self._layer != Layer.SCAN.value:  # what a finding has ended stays so
            self._layer = layer.value
        if blocked:
            self._verdict = "block"

    async def find(self, findings: Iterable[ToldFinding]) -> None:
        """Record what was found in what the attempt carries; it is on disk when this returns.

        After a finding that blocks, the outcome says that the attempt was ended for it, whatever follows.
        """
        if self.find_nowait(findings):
            await self._recorder._groups.wait_settled()

    def find_nowait(self, findings: Iterable[ToldFinding]) -> bool:
        """Record it with the next group. False where nothing of it is new, so that it is only counted."""
        if self._done:
            raise ValueError("something was found in an attempt that has ended")
        found = self._finds.add(findings)
        if found is not None:
            first = found.findings[0]
            if first.action == BLOCK:
                self.fail(f"{first.pattern} was found", Layer.SCAN, blocked=True)
            self._recorder._append(draft_finding(self._intent, self._recorder._chain.tell, found))
        return found is not None

    def finish(self) -> None:
        """Record the outcome, once. Synchronous: it works while being cancelled."""
        if self._done:
            return
        self._done = True
        facts = {
            **self._intent.facts,
            **self._facts,
            **self._finds.render_sums(),
            "bytes_up": self.bytes_up,
            "bytes_down": self.bytes_down,
            "duration_us": (time.monotonic_ns() - self._started) // 1000,
        }
        self._recorder._append(
            draft_outcome(self._intent, self._verdict, self._layer, facts, self._finds.gravest)
        )

    def __enter__(self) -> Flow:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._facts.setdefault(
                "reason", "the run ended" if _is_cancelled(error) else type(error).__name__
            )
        self.finish()


def _is_cancelled(error: BaseException) -> bool:
    """Whether nothing but cancellation is in it; a nursery with several children groups theirs."""
    if isinstance(error, BaseExceptionGroup):
        return all(_is_cancelled(part) for part in error.exceptions)
    return isinstance(error, trio.Cancelled)
