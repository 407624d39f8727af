"""The program's end of the line, whatever it does with it."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from trio_egress.model import Attempt, Name, Protocol, Transport
from trio_egress.proxy.approval import ApproverError, Question, Said
from trio_egress.runtime.program_approver import GONE, ProgramApprover
from trio_egress.wire.approval import Decider


def question(path: str = "/") -> Question:
    attempt = Attempt(Transport.FORWARD, Protocol.HTTP, Name("a.example"), 80, "GET", path)
    return Question(attempt, None, "", 60, True)


@asynccontextmanager
async def open_line() -> AsyncIterator[tuple[ProgramApprover, trio.SocketStream]]:
    own, other = socket.socketpair()
    approver = ProgramApprover(own.detach())
    async with approver.use(None), trio.SocketStream(trio.socket.from_stdlib_socket(other)) as program:
        yield approver, program


async def test_answers_find_their_questions_in_any_order() -> None:
    said: dict[str, Said] = {}
    async with open_line() as (approver, program):

        async def ask(path: str) -> None:
            said[path] = await approver.ask(question(path))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "/one")
            nursery.start_soon(ask, "/two")
            decider = Decider()
            asked: list[dict[str, Any]] = []
            while len(asked) < 2:
                asked += decider.feed(await program.receive_some())
            for each in reversed(asked):
                await program.send_all(decider.answer(each["id"], each["path"] == "/one", "anna", "why"))
    assert said == {"/one": Said(True, "anna", "why"), "/two": Said(False, "anna", "why")}


@pytest.mark.parametrize("say", [b"", b"\0\0\0\2{}", Decider().answer(7, True, "anna")])
async def test_program_that_hangs_up_or_breaks_the_rules_is_gone_for_good(say: bytes) -> None:
    async with open_line() as (approver, program), trio.open_nursery() as nursery:

        async def fail() -> None:
            with pytest.raises(ApproverError, match=GONE):
                await approver.ask(question())

        nursery.start_soon(fail)
        await program.receive_some()
        if say:
            await program.send_all(say)
        else:
            await program.send_eof()
        await trio.testing.wait_all_tasks_blocked()
        await fail()


async def ask_in_vain(approver: ProgramApprover) -> None:
    """The question is sent, nobody answers, and who has asked gives up."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(approver.ask, question())
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_late_answer_is_no_answer_to_another_question() -> None:
    async with open_line() as (approver, program), trio.open_nursery() as nursery:
        said: list[Said] = []

        async def ask() -> None:
            said.append(await approver.ask(question()))

        await ask_in_vain(approver)
        nursery.start_soon(ask)
        decider = Decider()
        asked: list[dict[str, Any]] = []
        while len(asked) < 3:
            asked += decider.feed(await program.receive_some())
        assert [each for each in asked if "over" in each] == [{"over": 1}]
        await program.send_all(decider.answer(1, True, "late") + decider.answer(2, False, "anna"))
    assert said == [Said(False, "anna")]


async def test_what_is_too_long_to_be_asked_about_is_denied_alone() -> None:
    async with open_line() as (approver, program):
        with pytest.raises(ApproverError, match="too long"):
            await approver.ask(question("/" * 40_000))
        await ask_in_vain(approver)
        assert Decider().feed(await program.receive_some())


async def test_frame_that_is_cut_in_its_middle_ends_the_line() -> None:
    """A program that takes nothing: what was begun when the time was up can't be told from what follows."""
    async with open_line() as (approver, _):

        async def flood() -> None:
            while True:
                with trio.move_on_after(0.01):
                    await approver.ask(question("/" * 20_000))

        with pytest.raises(ApproverError, match=GONE):
            await flood()


async def test_who_has_kept_the_socket_makes_nobody_wait() -> None:
    """Whether a read waits is said of what both have. Somebody comes to help where one does, and it fails."""
    own, other = socket.socketpair()
    with own.dup() as kept, other:
        approver = ProgramApprover(own.detach())
        helper = threading.Timer(60, other.shutdown, [socket.SHUT_RDWR])
        async with approver.use(None), trio.open_nursery() as nursery:
            await trio.testing.wait_all_tasks_blocked()
            kept.setblocking(True)
            helper.start()
            other.send(b"\0")  # not yet a frame: more of it is read for
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(200):  # more than the socket takes, which nobody reads
                nursery.start_soon(approver.ask, question("/" + 30_000 * "x"))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert helper.is_alive()
        helper.cancel()
