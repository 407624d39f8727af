"""`trio_egress.run(decide=…)`: a function of the program's own sees what a real run asks for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from tests.runs.launch import PATIENCE_SECONDS, Place, read_receipts, verify, write_policy

import trio_egress as te

pytestmark = pytest.mark.sandbox

RULES = """
[[egress]]
destination = "plain.example"
[[egress]]
destination = "asked.example"
ask = { seconds = 60 }
"""
SCRIPT = """
import urllib.error, urllib.request
for url in ("plain.example/one", "plain.example/two", "asked.example/three", "asked.example/four", "other.example/"):
    try:
        print(urllib.request.urlopen(f"http://{url}").status)
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode())
    except OSError:
        print("none")
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


def run(place: Place, port: int, **more: object) -> te.Run:
    pins = {f"{name}.example": f"127.0.0.1:{port}" for name in ("plain", "asked")}
    policy = place.write("egress.toml", write_policy(pins=pins, more=RULES))
    return te.run(
        ["python3", "-c", SCRIPT],
        policy=policy,
        directory=place.work,
        evidence=place.path / "evidence",
        key=place.key_file,
        max_output=1 << 20,
        timeout=PATIENCE_SECONDS,
        **more,  # type: ignore[arg-type]
    )


def test_function_sees_what_the_policy_allows_and_narrows_it(place: Place, port: int) -> None:
    seen: list[tuple[str | None, bool]] = []

    def careful(question: te.Question) -> object:
        seen.append((question.attempt.path, question.marked))
        match question.attempt.path:
            case "/two":
                return "not this one"
            case "/four":
                raise ValueError
        return True

    done = run(place, port, decide=careful)
    answers = [line for line in done.stdout.decode().splitlines() if line[:4] in ("200", "403 ", "none")]
    assert [answer[:3] for answer in answers] == ["200", "403", "200", "403", "non"]
    assert b"not this one" in done.stdout
    assert seen == [("/one", False), ("/two", False), ("/three", True), ("/four", True)]
    receipts = read_receipts(place.path / "evidence")
    asked = [r for r in receipts if r.phase != "outcome" and r.facts["proto"] == "http"]
    assert [(r.verdict, r.facts["answer"], r.facts["asked_of"]) for r in asked] == [
        ("allow", "allow", "program"),
        ("block", "deny", "program"),
        ("allow", "allow", "program"),
        ("block", "deny", "program"),
    ]
    assert asked[0].facts["answered_by"].endswith(f"careful in process {os.getpid()}")
    assert verify(place.path / "evidence", place.key.public_hex) == 0


def test_without_a_function_what_a_rule_asks_about_is_denied(place: Place, port: int) -> None:
    done = run(place, port)
    answers = [line[:3] for line in done.stdout.decode().splitlines() if line[:4] in ("200", "403 ", "none")]
    assert answers == ["200", "200", "403", "403", "non"]
    assert {denied.layer for denied in done.denied} == {"approval", "default_deny"}


def test_interrupt_in_the_function_ends_the_run(place: Place, port: int) -> None:
    def interrupt(question: te.Question) -> object:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(place, port, decide=interrupt)
    assert verify(place.path / "evidence", place.key.public_hex) == 0
    assert not any(
        r.verdict == "allow" and r.facts["proto"] == "http" for r in read_receipts(place.path / "evidence")
    )
