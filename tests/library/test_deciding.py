"""A function that decides: what it sees, and that only True of it allows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import pytest
from tests.wire.test_approval import QUESTION

import trio_egress as te
from trio_egress.errors import PeerError
from trio_egress.library.deciding import Deciding
from trio_egress.wire.approval import Answer, Asker


def answer_of(decide: Callable[[te.Question], object]) -> Answer:
    asker, deciding = Asker(), Deciding(decide)
    (raw,) = deciding.feed(asker.ask(**QUESTION)[1])
    ((number, answer),) = asker.feed(raw)
    assert (number, answer.by) == (1, deciding.by)
    return answer


def test_function_sees_the_attempt_and_its_rule() -> None:
    seen: list[te.Question] = []
    answer_of(seen.append)
    (question,) = seen
    attempt = question.attempt
    assert (str(attempt.host), attempt.port, attempt.protocol) == ("a.example", 80, te.Protocol.HTTP)
    assert (attempt.method, attempt.path, attempt.query) == ("GET", "/a", frozenset({"b"}))
    assert (question.rule, question.marked, question.seconds) == ("egress[0]", True, 60)


@pytest.mark.parametrize(
    ("said", "allow", "reason"),
    [
        (True, True, ""),
        (False, False, ""),
        ("not today", False, "not today"),
        ("x" * 999, False, "x" * 200),
        (None, False, "the program that decides gave no answer (NoneType)"),
        (1, False, "the program that decides gave no answer (int)"),
    ],
)
def test_only_true_allows(said: object, allow: bool, reason: str) -> None:
    answer = answer_of(lambda question: said)
    assert (answer.allow, answer.reason) == (allow, reason)


def test_error_denies_and_is_told_to_the_program_alone(caplog: pytest.LogCaptureFixture) -> None:
    def decide(question: te.Question) -> bool:
        raise ValueError("a detail")

    with caplog.at_level(logging.ERROR, "trio_egress"):
        answer = answer_of(decide)
    assert (answer.allow, answer.reason) == (False, "the program that decides failed (ValueError)")
    assert "a detail" in caplog.text


def test_who_decides_is_named() -> None:
    def careful(question: te.Question) -> bool:
        return True

    assert "careful in process " in Deciding(careful).by


async def _later(question: te.Question) -> bool:
    return True


class _Later:
    async def __call__(self, question: te.Question) -> bool:
        return True


@pytest.mark.parametrize("decide", [_later, partial(_later), _Later(), 1])
def test_what_is_no_plain_function_is_refused_before_anything_runs(decide: object) -> None:
    with pytest.raises(te.UsageError, match="must be a"):
        Deciding.of_plain(decide)  # type: ignore[arg-type]


def test_question_that_is_over_before_its_turn_is_not_put_to_the_function() -> None:
    asker, seen = Asker(), list[te.Question]()
    raw = asker.ask(**QUESTION)[1] + asker.ask(**{**QUESTION, "path": "/b"})[1] + asker.end(1)
    (first, second) = Deciding(seen.append).feed(raw)
    assert [question.attempt.path for question in seen] == ["/b"]
    assert [number for number, _ in asker.feed(first + second)] == [2]


def test_supervisor_that_says_what_is_no_question_is_not_believed() -> None:
    with pytest.raises(PeerError):
        list(Deciding(bool).feed(b"\0\0\0\2{}"))
