"""`decide=` in one sandbox, with real clients: HTTP/2, WebSocket, MCP over HTTP, git over SSH, plain TCP, and names."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread

import pytest
from tests.programs import test_mcp_http, test_websockets
from tests.programs.servers import Web, answers, find_ports, start_server
from tests.programs.sshd import HOST as FORGE
from tests.programs.sshd import Forge, open_forge
from tests.runs.launch import ENVIRONMENT, PATIENCE_SECONDS, Place, read_receipts, verify, wait_until

import trio_egress as te

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

API, LIVE, MCP, LINES = ("api.example.com", "live.example.com", "mcp.example.com", "lines.example.com")
RULES = f"""
[[egress]]
destination = "{API}"
tls = "intercept"
ask = true
[[egress]]
destination = "{LIVE}"
websocket = {{ message = "2 MiB" }}
ask = true
[[egress]]
destination = "{MCP}"
ask = true
[egress.mcp]
tools = ["search_*"]
[[egress]]
destination = "{LINES}:7000"
protocol = "tcp"
ask = true
[[egress]]
destination = "{LINES}:7001"
protocol = "tcp"
ask = true
[tls]
extra_ca = ["root.pem"]
"""
CURL = "curl -sS --http2 -o /dev/null -w '%{{http_version}} %{{http_code}}\\n' https://{}{}"


@contextmanager
def serve_lines() -> Iterator[int]:
    """Answers when all was said, as `nc -N` says it."""

    def serve() -> None:
        while True:
            try:
                sock, _ = server.accept()
            except OSError:
                return
            with sock, sock.makefile("rb") as said:
                sock.sendall(b"heard " + said.read())

    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@contextmanager
def serve_program(place: Place, name: str, source: str, *words: str) -> Iterator[int]:
    (port,) = find_ports(1)
    program = place.write(f"{name}.py", source)
    with start_server(
        [sys.executable, "-I", program, *words, str(port)],
        place.path / f"{name}.log",
        env={**ENVIRONMENT, "PATH": os.defpath},
    ):
        wait_until(lambda: answers(port), name)
        yield port


class Person:
    """Says no to what has `no` in it, nothing about org/b until `over`, and remembers all that it was asked."""

    def __init__(self) -> None:
        self.questions: list[te.Question] = []
        self.thinks, self.over = Event(), Event()
        self._lock = Lock()

    def __call__(self, question: te.Question) -> object:
        with self._lock:
            self.questions.append(question)
        attempt = question.attempt
        if (attempt.path or "").endswith("org/b.git"):
            self.thinks.set()
            self.over.wait()
        refused = (
            "/no" in (attempt.path or "") or attempt.port == 7001 or attempt.service == "git-receive-pack"
        )
        return "not today" if refused else True


def lay_out(place: Place, forge: Forge, web: Web, ports: dict[str, int]) -> Path:
    (place.path / "root.pem").write_bytes(web.authority.read_bytes())
    (place.path / "root.pem").chmod(0o644)
    git = forge.policy(fetch=["org/*"], push=["org/*"], rule="ask = true")
    pins = web.pins(API) | {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    resolve = "".join(f'"{name}" = "{endpoint}"\n' for name, endpoint in pins.items())
    return place.write("egress.toml", git.replace("[resolve]\n", f"{RULES}[resolve]\n{resolve}"))


def test_each_is_asked_about_by_what_can_be_seen_of_it(place: Place, web: Web) -> None:
    person = Person()
    with (
        open_forge(place) as forge,
        serve_lines() as lines,
        serve_program(place, "live", test_websockets.SERVER) as live,
        serve_program(place, "mcp", test_mcp_http.SERVER, "streamable-http") as mcp,
    ):
        ports = {f"{LIVE}:80": live, f"{MCP}:80": mcp, f"{LINES}:7000": lines, f"{LINES}:7001": lines}
        socket_client = str(place.write("socket_client.py", test_websockets.CLIENT))
        mcp_client = str(place.write("mcp_client.py", test_mcp_http.CLIENT))
        python = [sys.executable, "-I"]
        with te.Sandbox(
            lay_out(place, forge, web, ports),
            workspace=place.work,
            environment=ENVIRONMENT,
            evidence=place.path / "evidence",
            key=place.key_file,
            decide=person,
        ) as sandbox:
            curls = f"{CURL.format(API, '/hello')}; {CURL.format(API, '/no')}"
            assert sandbox.run(["sh", "-c", curls]).stdout == b"2 200\n2 403\n"

            spoken = sandbox.run([*python, socket_client, f"ws://{LIVE}/", "it"])
            assert json.loads(spoken.stdout or b"null")[-1] == "see ", spoken.stderr
            refused = sandbox.run([*python, socket_client, f"ws://{LIVE}/no", "it"])
            assert b"HTTP 403" in refused.stderr

            conversed = sandbox.run([*python, mcp_client, "streamable-http", f"http://{MCP}/mcp", "more"])
            said = json.loads(conversed.stdout.splitlines()[-1])
            assert said["allowed"] == "found x below /src/a"
            assert "doesn't allow tools/call delete_all" in said["tool"]

            script = (
                f"git clone -q {forge.url('org/open')} copy; cd copy; cat file; git push -q origin HEAD:x"
            )
            cloned = sandbox.run(["sh", "-c", script])
            assert cloned.stdout == b"hello\n"
            assert b"asks first, and not today" in cloned.stderr

            talk = f"printf abc | nc -N {LINES} 7000; printf abc | nc -N {LINES} 7001"
            assert sandbox.run(["sh", "-c", talk]).stdout == b"heard abc"

            told = sandbox.events()
            with sandbox.spawn(["git", "ls-remote", forge.url("org/b")]):
                assert person.thinks.wait(PATIENCE_SECONDS)
            assert any("has hung up" in event.reason for event in told), "git is gone, and so is its question"
            person.over.set()
    asked = defaultdict(list)
    for question in person.questions:
        assert question.marked
        asked[str(question.attempt.host)].append(question.attempt)
    assert [each.path for each in asked[API]] == ["/hello", "/no"]
    assert [(each.path, each.websocket) for each in asked[LIVE]] == [("/", True), ("/no", True)]
    assert {each.path for each in asked[MCP]} == {"/mcp"}
    assert [each.port for each in asked[LINES]] == [7000, 7001]
    services = [q.attempt.service for q in person.questions if q.attempt.service]
    assert services == ["git-upload-pack", "git-receive-pack", "git-upload-pack"]
    receipts = read_receipts(place.path / "evidence")
    assert any(receipt.facts.get("proto") == "dns" for receipt in receipts)
    assert te.Protocol.DNS not in {question.attempt.protocol for question in person.questions}, (
        "a name that is looked up is no question"
    )
    answered = [r for r in receipts if "answer" in r.facts and r.phase != "outcome"]
    assert len(answered) == len(person.questions)
    assert {r.facts["asked_of"] for r in answered} == {"program"}
    assert [r.facts["host"] for r in answered if r.facts["answer"] == "withdrawn"] == [FORGE]
    denied = [r.facts["host"] for r in answered if r.facts["answer"] == "deny"]
    assert sorted(denied) == sorted([API, LIVE, FORGE, LINES])
    assert verify(place.path / "evidence", place.key.public_hex) == 0
