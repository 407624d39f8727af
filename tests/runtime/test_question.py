"""What a question shows, whatever the agent has chosen, and what counts as an answer."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_egress.model import Attempt, Name, Protocol, RuleRef, Transport
from trio_egress.proxy.approval import Question
from trio_egress.runtime.question import CLEAN, Key, read_key, render_question

RULE = RuleRef(0, "api.example", 5)


def ask(columns: int = 80, **attempt: Any) -> list[str]:
    known = {"transport": Transport.INTERCEPT, "protocol": Protocol.HTTP, "host": Name("api.example")}
    made = Attempt(**{**known, "port": 443, "method": "POST", "path": "/v1", "secure": True, **attempt})
    raw = render_question(Question(made, RULE, "a try", 60, True), columns, 60)
    assert raw.startswith(CLEAN + b"\r\n\a")
    return raw.removeprefix(CLEAN + b"\r\n\a").decode("ascii").split("\r\n")


def test_question_has_what_there_is_to_know() -> None:
    assert ask(query=frozenset({"b", "a"})) == [
        "=== trio-egress asks " + "=" * 58,
        "May the agent do this?",
        "where   api.example, port 443",
        "what    inside TLS: POST /v1",
        "query   a, b",
        "rule    egress[0] 'api.example' (line 5)",
        "reason  a try",
        "y  allow it, this once",
        "a  allow it, and whatever else this rule allows to this host, until the run ends",
        "n  deny it",
        "Without an answer it is denied in 60 s.",
        "",
    ]


@pytest.mark.parametrize(
    ("attempt", "what"),
    [
        ({"protocol": Protocol.TLS}, "a TLS connection that nobody looks into"),
        ({"protocol": Protocol.SSH}, "an SSH connection"),
        (
            {"protocol": Protocol.SSH, "service": "git-upload-pack", "path": "/a"},
            "git over SSH: git-upload-pack /a",
        ),
        ({"protocol": Protocol.TCP}, "a connection of bytes that nobody can read"),
        ({"websocket": True, "secure": False, "method": "GET"}, "in the clear: WebSocket GET /v1"),
    ],
)
def test_each_kind_of_attempt_is_named(attempt: dict[str, Any], what: str) -> None:
    assert f"what    {what}" in ask(**attempt)


@given(st.text(max_size=400), st.integers(0, 200))
def test_whatever_the_agent_chose_stays_in_its_line(text: str, columns: int) -> None:
    plain, hostile = ask(columns), ask(columns, path=f"/{text}")
    assert len(hostile) == len(plain)
    assert [line for line in hostile if not line.startswith("what ")] == [
        line for line in plain if not line.startswith("what ")
    ]
    (shown,) = [line for line in hostile if line.startswith("what ")]
    assert shown.isprintable()
    assert len(shown) < max(40, columns or 80)


def test_long_path_is_cut_in_its_middle_and_says_so() -> None:
    (shown,) = [line for line in ask(path="/begin" + "x" * 500 + "end") if line.startswith("what ")]
    assert re.fullmatch(r"what    inside TLS: POST /beginx+\[\d+ more\]x+end", shown)


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        (b"y", Key.ONCE),
        (b"Y", Key.ONCE),
        (b"a", Key.REST),
        (b"n", Key.NO),
        (b"\x03", Key.NO),
        (b"yy", None),
        (b"y\r", None),
        (b"\r", None),
        (b"\x1b[1;1Ry", None),
        (b"\xc3\xbf", None),
    ],
)
def test_answer_is_one_key_by_itself(keys: bytes, key: Key | None) -> None:
    assert read_key(keys) is key
