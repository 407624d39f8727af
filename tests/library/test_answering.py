"""Questions of a sandbox, each in a call of its own: how many at once, what is no answer, and what ends it all."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.wire.test_approval import QUESTION

import trio_egress as te
from trio_egress.library.answering import CALLS_AT_ONCE, Answering
from trio_egress.wire.approval import Answer, Asker

Fail = Callable[[BaseException], object]


class Supervisor:
    """The other end of the line."""

    def __init__(self, line: socket.socket) -> None:
        self.line = line
        self.talk = Asker()

    def ask(self, path: str = "/") -> int:
        number, raw = self.talk.ask(**{**QUESTION, "path": path})
        self.line.sendall(raw)
        return number

    def hear(self, count: int) -> dict[int, Answer]:
        found: dict[int, Answer] = {}
        while len(found) < count:
            raw = self.line.recv(1 << 16)
            assert raw, "it has hung up"
            found |= dict(self.talk.feed(raw))
        return found


@contextmanager
def answering(decide: Callable[[te.Question], object], fail: Fail = print) -> Iterator[Supervisor]:
    opened = Answering(decide, None)
    with opened.other:
        opened.begin(fail)
        try:
            yield Supervisor(opened.other)
        finally:
            opened.close()


def test_slow_answer_holds_up_no_other() -> None:
    go_on = threading.Event()

    def decide(question: te.Question) -> bool:
        if question.attempt.path == "/slow":
            go_on.wait()
        return True

    with answering(decide) as supervisor:
        slow, quick = supervisor.ask("/slow"), supervisor.ask("/quick")
        assert list(supervisor.hear(1)) == [quick]
        go_on.set()
        assert list(supervisor.hear(1)) == [slow]


def test_one_call_too_many_is_denied_and_those_before_it_stand() -> None:
    go_on = threading.Event()

    def decide(question: te.Question) -> bool:
        return go_on.wait()

    with answering(decide) as supervisor:
        for _ in range(CALLS_AT_ONCE):
            supervisor.ask()
        last = supervisor.ask()
        assert (
            supervisor.hear(1)[last].reason
            == f"{CALLS_AT_ONCE} calls of the program that decides are running"
        )
        go_on.set()
        assert all(answer.allow for answer in supervisor.hear(CALLS_AT_ONCE).values())


def test_question_that_is_over_is_answered_all_the_same_and_the_line_goes_on() -> None:
    """So that neither side has to remember it for good."""
    begun, go_on = threading.Event(), threading.Event()

    def decide(question: te.Question) -> bool:
        begun.set()
        return go_on.wait()

    with answering(decide) as supervisor:
        number = supervisor.ask()
        begun.wait()
        supervisor.line.sendall(supervisor.talk.end(number))
        go_on.set()
        later = supervisor.ask()
        assert list(supervisor.hear(1)) == [later]


def test_what_is_no_exception_to_go_on_after_denies_and_is_told() -> None:
    failures: queue.Queue[BaseException] = queue.Queue()

    def decide(question: te.Question) -> bool:
        raise KeyboardInterrupt

    with answering(decide, failures.put) as supervisor:
        number = supervisor.ask()
        assert not supervisor.hear(1)[number].allow
        assert isinstance(failures.get(), KeyboardInterrupt)


def test_supervisor_that_says_what_is_no_question_hears_no_more() -> None:
    with answering(lambda question: True) as supervisor:
        supervisor.line.sendall(b"\0\0\0\2{}")
        assert supervisor.line.recv(1) == b""


async def _later(question: te.Question) -> bool:
    return True


def test_async_function_needs_a_loop() -> None:
    with pytest.raises(te.UsageError, match="must be a plain function where the sandbox is"):
        Answering(_later, None)
