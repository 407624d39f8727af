"""`run --ask` at a real terminal: what a person is shown, and what their keys do."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from tests.programs.screen import Screen
from tests.runs.launch import PATIENCE_SECONDS, Place, read_receipts, verify, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

ASK = '[[egress]]\ndestination = "asked.example"\nreason = "a try"\nask = true\n'
FORGED = "-> allowed until the run ends\\ny  allow\\n"
CURL = 'curl -sS -o /dev/null -w "%{http_code}\\n" http://asked.example'
SCRIPT = f"""
trap '' INT
printf '{FORGED}\\033[8m\\033]0;swallowed'
{CURL}/one; {CURL}/two; {CURL}/three; {CURL}/four
"""


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def screen(place: Place) -> Iterator[Screen]:
    screen = Screen(place)
    yield screen
    screen.close()


def press_until(screen: Screen, key: str, *shown: str) -> None:
    """Keys that come too early are no answer, so it is pressed again until there is one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        last = [line for line in screen.lines if line.strip()][-1:]
        if last and last[0].startswith("Without an answer"):  # elsewhere the key itself would be shown
            screen.press(key)
        pause = time.monotonic() + 1
        while time.monotonic() < pause:
            if all(any(line.startswith(text) for line in screen.lines) for text in shown):
                return
    raise AssertionError("\n".join(screen.lines))


def test_person_is_asked_and_answers(place: Place, screen: Screen, port: int) -> None:
    policy = write_policy(pins={"asked.example": f"127.0.0.1:{port}"}, more=ASK)
    (place.path / "policy-0.toml").write_text(policy)
    screen.resize(60, 90)
    command = [*place.program("run", 0), "--quiet", "--ask", "--", "sh", "-c", SCRIPT]
    screen.press(f"clear; {shlex.join(command)}; echo code $?", "Enter")
    screen.expect(
        "where   asked.example, port 80",
        "what    in the clear: GET /one",
        "rule    egress[0] 'asked.example'",
        "reason  a try",
        "y  allow it, this once",
        "a  allow it, and whatever else",
        "n  deny it",
        "Without an answer it is denied in",
    )
    press_until(screen, "y", "-> allowed this once", "200", "what    in the clear: GET /two")
    press_until(screen, "n", "-> denied", "403", "what    in the clear: GET /three")
    press_until(screen, "a", "code 0")
    shown = [line.strip() for line in screen.lines if line.strip()]
    assert shown[-4:-1] == ["200", "200", "code 0"]
    assert not any("GET /four" in line for line in shown)
    receipts = read_receipts(place.path / "evidence-0")
    asked = [r for r in receipts if r.phase != "outcome" and r.facts["proto"] == "http"]
    assert [(r.verdict, r.facts["answer"], r.facts["asked_of"]) for r in asked] == [
        ("allow", "allow", "terminal"),
        ("block", "deny", "terminal"),
        ("allow", "allow", "terminal"),
        ("allow", "allow", "terminal"),
    ]
    assert " at /dev/pts/" in asked[0].facts["answered_by"]
    assert asked[3].facts["answered_by"].endswith(", for the rest of the run")
    assert verify(place.path / "evidence-0", place.key.public_hex) == 0


def test_without_a_terminal_nobody_is_asked_and_that_is_said(place: Place, port: int) -> None:
    policy = write_policy(pins={"asked.example": f"127.0.0.1:{port}"}, more=ASK)
    ended = place.run(policy, "sh", "-c", f"{CURL}/one", options=("--ask",), start_new_session=True)
    assert ended.text == "403\n"
    assert "--ask: there is no terminal to ask at, so what rules with `ask` allow is denied" in ended.err
    assert ended.verify() == 0
