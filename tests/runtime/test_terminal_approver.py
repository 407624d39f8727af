"""The approver at a pseudo-terminal of the test's own, by a clock of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing

from trio_egress.model import Attempt, Name, Protocol, RuleRef, Transport
from trio_egress.proxy.approval import ApproverError, Question, Said
from trio_egress.runtime.terminal import Terminal
from trio_egress.runtime.terminal_approver import ENDED, SETTLE_SECONDS, WITHDRAWN, TerminalApprover

RULE = RuleRef(0, "api.example", 5)


class Front(Terminal):
    """It is nobody's controlling terminal, so the kernel doesn't know who is in front."""

    def is_in_front(self) -> bool:
        return True


@attrs.define
class Desk:
    """A person before the terminal."""

    approver: TerminalApprover
    clock: trio.testing.MockClock
    master: int
    slave: int
    shown: bytes = b""

    async def expect(self, text: bytes) -> None:
        while text not in self.shown:
            await trio.lowlevel.wait_readable(self.master)
            self.shown += os.read(self.master, 4096)
        self.shown = self.shown.partition(text)[2]

    async def settle(self) -> None:
        await trio.testing.wait_all_tasks_blocked()
        self.clock.jump(SETTLE_SECONDS)
        await trio.testing.wait_all_tasks_blocked()

    def type(self, keys: bytes) -> None:
        """They have arrived when it returns, and nobody has read them."""
        there = self._count()
        os.write(self.master, keys)
        while self._count() < there + len(keys):
            os.sched_yield()

    def _count(self) -> int:
        return int(struct.unpack("i", fcntl.ioctl(self.slave, termios.FIONREAD, bytes(4)))[0])


@asynccontextmanager
async def open_desk(clock: trio.testing.MockClock) -> AsyncIterator[Desk]:
    master, slave = pty.openpty()
    os.set_blocking(slave, False)
    tty.setraw(slave)  # as it is beside an agent: else what is typed waits for the end of its line
    terminal = Front(slave, ())
    approver = TerminalApprover("anna at /dev/pts/9")
    desk = Desk(approver, clock, master, slave)
    try:
        async with approver.use(terminal):
            yield desk
    finally:
        terminal.close()
        os.close(desk.master)


def question(path: str = "/a", host: str = "api.example") -> Question:
    attempt = Attempt(Transport.FORWARD, Protocol.HTTP, Name(host), 80, "GET", path)
    return Question(attempt, RULE, "", 60, True)


async def ask(desk: Desk, answers: list[Said], asked: Question) -> None:
    answers.append(await desk.approver.ask(asked))


@pytest.mark.parametrize(
    ("keys", "allowed", "word"), [(b"y", True, b"allowed this once"), (b"n", False, b"denied")]
)
async def test_one_key_is_the_answer(
    mock_clock: trio.testing.MockClock, keys: bytes, allowed: bool, word: bytes
) -> None:
    answers: list[Said] = []
    async with open_desk(mock_clock) as desk, trio.open_nursery() as nursery:
        nursery.start_soon(ask, desk, answers, question())
        await desk.expect(b"Without an answer")
        await desk.settle()
        desk.type(keys)
        await desk.expect(b"-> " + word)
    assert answers == [Said(allowed, "anna at /dev/pts/9")]


async def test_question_that_is_withdrawn_says_so_and_the_next_one_is_put(
    mock_clock: trio.testing.MockClock,
) -> None:
    answers: list[Said] = []
    async with open_desk(mock_clock) as desk, trio.open_nursery() as nursery:
        with trio.CancelScope() as gone:
            async with trio.open_nursery() as first:
                first.start_soon(ask, desk, answers, question("/one"))
                await desk.expect(b"/one")
                nursery.start_soon(ask, desk, answers, question("/two"))
                await trio.testing.wait_all_tasks_blocked()
                gone.cancel()
        await desk.expect(b"-> " + WITHDRAWN.encode())
        await desk.expect(b"/two")
        await desk.settle()
        desk.type(b"y")
        await desk.expect(b"-> allowed")
    assert answers == [Said(True, "anna at /dev/pts/9")]


async def test_what_was_typed_before_is_no_answer(mock_clock: trio.testing.MockClock) -> None:
    answers: list[Said] = []
    async with open_desk(mock_clock) as desk, trio.open_nursery() as nursery:
        desk.type(b"y")
        nursery.start_soon(ask, desk, answers, question())
        await desk.expect(b"Without an answer")
        desk.type(b"y")
        await desk.settle()
        assert answers == []
        desk.type(b"n")
        await desk.expect(b"-> denied")
    assert not answers[0].allowed


async def test_keys_that_come_in_one_go_are_no_answer(mock_clock: trio.testing.MockClock) -> None:
    answers: list[Said] = []
    async with open_desk(mock_clock) as desk, trio.open_nursery() as nursery:
        nursery.start_soon(ask, desk, answers, question())
        await desk.expect(b"Without an answer")
        await desk.settle()
        desk.type(b"\x1b[1;1Ry")
        await trio.testing.wait_all_tasks_blocked()
        assert answers == []
        desk.type(b"y")
        await desk.expect(b"-> allowed")


async def test_one_question_at_a_time_and_each_by_itself(mock_clock: trio.testing.MockClock) -> None:
    answers: list[Said] = []
    async with open_desk(mock_clock) as desk, trio.open_nursery() as nursery:
        nursery.start_soon(ask, desk, answers, question("/one"))
        await desk.expect(b"/one")
        nursery.start_soon(ask, desk, answers, question("/two"))
        await desk.settle()
        assert b"/two" not in desk.shown
        desk.type(b"y")
        await desk.expect(b"-> allowed")
        await desk.expect(b"/two")
        await desk.settle()
        desk.type(b"n")
        await desk.expect(b"-> denied")
    assert [answer.allowed for answer in answers] == [True, False]


async def test_rest_of_the_run_is_for_this_rule_and_this_host(mock_clock: trio.testing.MockClock) -> None:
    answers: list[Said] = []
    async with open_desk(mock_clock) as desk, trio.open_nursery() as nursery:
        nursery.start_soon(ask, desk, answers, question("/one"))
        await desk.expect(b"Without an answer")
        nursery.start_soon(ask, desk, answers, question("/two"))
        await desk.settle()
        desk.type(b"a")
        await desk.expect(b"-> allowed until the run ends")
        await trio.testing.wait_all_tasks_blocked()
        assert [answer.by for answer in answers] == [
            "anna at /dev/pts/9",
            "anna at /dev/pts/9, for the rest of the run",
        ]
        nursery.start_soon(ask, desk, answers, question("/three", "other.example"))
        await desk.expect(b"other.example")
        await desk.settle()
        desk.type(b"n")
    assert not answers[-1].allowed


async def test_time_that_is_over_is_said_and_the_next_question_comes(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with open_desk(mock_clock) as desk, trio.open_nursery() as nursery:

        async def wait() -> None:
            with trio.move_on_after(60) as patience:
                await desk.approver.ask(question("/one"))
            assert patience.cancelled_caught

        nursery.start_soon(wait)
        await desk.expect(b"denied in 60 s")
        mock_clock.jump(60)
        await desk.expect(b"-> no answer: denied")
        answers: list[Said] = []
        nursery.start_soon(ask, desk, answers, question("/two"))
        await desk.expect(b"/two")
        await desk.settle()
        desk.type(b"y")


async def test_end_of_the_agent_ends_every_question(mock_clock: trio.testing.MockClock) -> None:
    said: list[str] = []

    async def fail(desk: Desk) -> None:
        with pytest.raises(ApproverError) as error:
            await desk.approver.ask(question())
        said.append(str(error.value))

    async with trio.open_nursery() as nursery:
        async with open_desk(mock_clock) as desk:
            nursery.start_soon(fail, desk)
            nursery.start_soon(fail, desk)
            await desk.expect(b"Without an answer")
        await fail(desk)
    assert said == [ENDED] * 3


async def test_terminal_that_is_gone_denies(mock_clock: trio.testing.MockClock) -> None:
    async with open_desk(mock_clock) as desk, trio.open_nursery() as nursery:

        async def fail() -> None:
            with pytest.raises(ApproverError, match="the terminal is gone"):
                await desk.approver.ask(question())

        nursery.start_soon(fail)
        await desk.expect(b"Without an answer")
        await desk.settle()
        os.close(desk.master)
        desk.master = os.open("/dev/null", os.O_RDONLY)
