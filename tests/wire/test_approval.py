"""Frames of a program that decides: every split, every bound, and no answer that nobody asked for."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from trio_egress.errors import PeerError
from trio_egress.wire.approval import FRAME_BYTES, LATE_MOST, TEXT_CHARS, Answer, Asker, Decider

QUESTION: dict[str, Any] = {
    "transport": "forward",
    "protocol": "http",
    "host": "a.example",
    "port": 80,
    "method": "GET",
    "path": "/a",
    "query": ["b"],
    "secure": False,
    "websocket": False,
    "service": None,
    "rule": "egress[0]",
    "reason": "",
    "marked": True,
    "seconds": 60,
}
ANSWER: dict[str, Any] = {"id": 1, "allow": True, "by": "anna", "reason": ""}


def frame(body: object) -> bytes:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return struct.pack(">I", len(raw)) + raw


def asked(count: int = 1) -> Asker:
    asker = Asker()
    for number in range(count):
        assert asker.ask(**QUESTION)[0] == number + 1
    return asker


def test_question_arrives_as_it_was_asked_wherever_it_is_split() -> None:
    raw = Asker().ask(**QUESTION)[1]
    for at in range(len(raw) + 1):
        decider = Decider()
        assert decider.feed(raw[:at]) + decider.feed(raw[at:]) == [{"id": 1, **QUESTION}]


def test_answers_arrive_wherever_they_are_split() -> None:
    raw = Decider().answer(2, False, "anna", "no") + Decider().answer(1, True, "anna")
    for at in range(len(raw) + 1):
        asker = asked(2)
        found = asker.feed(raw[:at]) + asker.feed(raw[at:])
        assert found == [(2, Answer(False, "anna", "no")), (1, Answer(True, "anna", ""))]


def test_frame_that_is_cut_short_is_no_answer_yet() -> None:
    raw = frame(ANSWER)
    assert all(asked().feed(raw[:at]) == [] for at in range(len(raw)))


@pytest.mark.parametrize(
    "body",
    [
        {**ANSWER, "more": 1},
        {key: value for key, value in ANSWER.items() if key != "by"},
        {**ANSWER, "allow": 1},
        {**ANSWER, "allow": "true"},
        {**ANSWER, "id": True},
        {**ANSWER, "id": 2},
        {**ANSWER, "id": 0},
        {**ANSWER, "by": None},
        {**ANSWER, "by": "x" * (TEXT_CHARS + 1)},
        {**ANSWER, "reason": "x" * (TEXT_CHARS + 1)},
        [ANSWER],
        b"",
        b"{",
        b'{"id": 1, "allow": false, "allow": true, "by": "anna", "reason": ""}',
        "é".encode(),
        b"[" * 20_000,
    ],
)
def test_what_is_no_answer_is_refused(body: object) -> None:
    with pytest.raises(PeerError):
        asked().feed(frame(body))


def test_frame_is_refused_by_its_length_alone() -> None:
    with pytest.raises(PeerError, match="over the bound"):
        asked().feed(struct.pack(">I", FRAME_BYTES + 1))
    assert asked().feed(struct.pack(">I", FRAME_BYTES)) == []
    with pytest.raises(ValueError, match="over the bound"):
        Asker().ask(**{**QUESTION, "path": "/" * FRAME_BYTES})


def test_second_answer_is_refused() -> None:
    asker = asked()
    assert asker.feed(frame(ANSWER)) == [(1, Answer(True, "anna", ""))]
    with pytest.raises(PeerError, match="question 1 is not one that waits"):
        asker.feed(frame(ANSWER))


def test_late_answer_is_passed_over_once() -> None:
    asker = asked()
    asker.end(1)
    assert asker.feed(frame(ANSWER)) == []
    with pytest.raises(PeerError):
        asker.feed(frame(ANSWER))


def test_program_that_never_answers_is_gone_in_the_end() -> None:
    asker = asked(LATE_MOST + 1)
    for number in range(LATE_MOST):
        asker.end(number + 1)
    with pytest.raises(PeerError, match="never answered"):
        asker.end(LATE_MOST + 1)


@pytest.mark.parametrize("change", [{"query": [1]}, {"port": "80"}, {"method": 1}, {"who": "x"}])
def test_question_that_is_none_is_never_sent(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is not what|is no list|other members"):
        Asker().ask(**{**QUESTION, **change})


def test_program_is_told_that_a_question_is_over_once_and_unless_it_was_answered() -> None:
    asker, decider = asked(2), Decider()
    asker.feed(Decider().answer(1, True, "anna"))
    assert asker.end(1) == b""
    assert decider.feed(asker.end(2)) == [{"over": 2}]
    assert asker.end(2) == b""
    assert asker.feed(Decider().answer(2, True, "anna")) == []
