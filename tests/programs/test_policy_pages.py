"""Policies of docs/tcp.md, websocket.md, ssh.md, mcp.md and scanning.md, all in one run, with the commands beside them.

Each is a file of its own, as it stands, that the run's policy includes; the names lead to servers of the test.
"""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import trustme
from tests.blocks import ROOT, read_blocks, write_program
from tests.content.vectors import make_positives
from tests.programs.jobs import SYSTEM_PATH, run_job
from tests.programs.servers import GREETING, greeting_server
from tests.programs.sshd import open_sshd
from tests.runs.launch import POLICY_HEAD, Ended, Place
from tests.serving import Handler, serve
from websockets.sync.server import ServerConnection
from websockets.sync.server import serve as serve_websockets

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

TCP, MCP, SCAN = (read_blocks(f"docs/{page}.md", "toml")[0] for page in ("tcp", "mcp", "scanning"))
SSH, _ = read_blocks("docs/ssh.md", "toml")
WEBSOCKET, ENDPOINT = read_blocks("docs/websocket.md", "toml")
(SHOWN,) = read_blocks("docs/websocket.md", "")
ECHO, TALK = [line.removeprefix("$ ") for line in SHOWN.splitlines() if line.startswith("$ ")]
PAGE_OF_SSH = (ROOT / "docs/ssh.md").read_text("utf-8")
REFUSED = re.search(r"    Received disconnect .*\n    .*\n", PAGE_OF_SSH)
TOKEN = make_positives("github-token", 1)[0][1]


class Answer(Handler):
    """A service of JSON-RPC, whose list of tools has another description each time."""

    listed = 0

    def do_POST(self) -> None:
        raw = self.read_body()
        asked = json.loads(raw) if raw.startswith(b"{") else {"method": "", "id": 0}
        Answer.listed += asked["method"] == "tools/list"
        tool = {"name": "read_file", "description": f"Read, version {Answer.listed}.", "inputSchema": {}}
        result = {"tools": [tool]} if asked["method"] == "tools/list" else {"content": []}
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": result}
        self.answer(json.dumps(answer).encode(), "application/json")


def greet(connection: ServerConnection) -> None:
    connection.send(f"welcome to {connection.request.path if connection.request else ''}")


@contextmanager
def serve_sockets(place: Place) -> Iterator[int]:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(str(place.path / "root.pem"))
    (place.path / "root.pem").chmod(0o644)
    authority.issue_cert("realtime.example.com").configure_cert(context)
    with serve_websockets(greet, "127.0.0.1", 0, ssl=context) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.socket.getsockname()[1]
        finally:
            server.shutdown()
            thread.join()


CALLS: list[dict[str, object]] = [
    {"method": "tools/call", "params": {"name": "search_web", "arguments": {}}},
    {"method": "tools/call", "params": {"name": "read_file", "arguments": {"path": "/src/a"}}},
    {"method": "tools/call", "params": {"name": "read_file", "arguments": {"path": "/etc/passwd"}}},
    {"method": "tools/call", "params": {"name": "delete_all", "arguments": {}}},
    {"method": "tools/list"},
    {"method": "tools/list"},
]
ASKED = [json.dumps({"jsonrpc": "2.0", "id": number, **call}) for number, call in enumerate(CALLS)]
ASKED += [
    f"[{ASKED[0]}, {ASKED[1]}]",
    f"[{ASKED[3]}]",
    '{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "ping"}',
]
REASONS = ["with such arguments", "delete_all", "mcp-tool-changed", "several messages at once", "delete_all"]
SCRIPT = f"""
! ssh -T -o BatchMode=yes git@git.example.com >ssh 2>&1
for place in db.example.com/5432 mail.example.com/25; do read line <>/dev/tcp/$place; echo "$place $line"; done >tcp
! read line <>/dev/tcp/db.example.com/5433
{{ {ECHO}; until grep -qs welcome sockets; do sleep 0.05; done | {TALK}; }} >sockets 2>&1
for body; do
  curl -sS -w ' %{{http_code}}\\n' -H 'Content-Type: application/json' -d "$body" http://mcp.example.com/mcp
done >tools
curl -sS -w ' %{{http_code}}\\n' -d "word=plain" http://api.example.com/ >scanned
curl -sS -w ' %{{http_code}}\\n' -d "word=$WORD" http://api.example.com/ >>scanned
"""


@pytest.fixture
def ended(place: Place) -> Iterator[Ended]:
    pages = {"tcp": TCP, "mcp": MCP, "ssh": SSH, "scan": SCAN, "websocket": WEBSOCKET, "endpoint": ENDPOINT}
    for name, text in pages.items():
        place.write(f"{name}.toml", text if "default_deny" in text else POLICY_HEAD + text)
    write_program(place.path / "programs", "python", f'#!/bin/sh\nexec {sys.executable} -u "$@"\n')
    with ExitStack() as stack:
        tools, sockets = stack.enter_context(serve(Answer)), stack.enter_context(serve_sockets(place))
        greets, ssh = stack.enter_context(greeting_server(2)), stack.enter_context(open_sshd(place))
        pins = {
            "db.example.com:5432": greets,
            "mail.example.com:25": greets,
            "git.example.com:22": ssh.port,
            "mcp.example.com:80": tools,
            "api.example.com:80": tools,
            "realtime.example.com:443": sockets,
        }
        resolve = "".join(f'"{name}" = "127.0.0.1:{port}"\n' for name, port in pins.items())
        includes = json.dumps([f"{name}.toml" for name in pages])
        policy = f'include = {includes}\n[tls]\nextra_ca = ["root.pem"]\n[resolve]\n{resolve}'
        environment = {"WORD": TOKEN, "PATH": f"{place.path}/programs:{SYSTEM_PATH}"}
        ended = run_job(place, SCRIPT, *ASKED, policy=POLICY_HEAD + policy, environment=environment)
        (place.path / "fingerprint").write_text(ssh.fingerprint)
        yield ended


def test_each_holds_as_its_page_says(place: Place, ended: Ended) -> None:
    told = {name: (place.work / name).read_text() for name in ("ssh", "tcp", "sockets", "tools", "scanned")}
    check_ssh(place, ended, told["ssh"])
    assert told["tcp"].splitlines() == [
        f"{at} {GREETING.decode().strip()}" for at in ("db.example.com/5432", "mail.example.com/25")
    ]
    assert "tcp://db.example.com:5433" in {block.target for block in ended.blocks}
    address, *talked = told["sockets"].splitlines()
    assert address == SHOWN.splitlines()[1]
    assert any(line.endswith("< welcome to /v1/realtime") for line in talked), talked
    check_tools(told["tools"])
    plain, secret = told["scanned"].split(" 200\n")
    assert "error" not in plain
    assert "github-token was found in its body" in secret
    assert TOKEN not in (ended.evidence / "evidence.jsonl").read_text()
    assert ended.verify() == 0


def check_ssh(place: Place, ended: Ended, told: str) -> None:
    """What the client shows, and the page's way to see which key a server has shown."""
    assert REFUSED is not None
    page = " ".join(REFUSED[0].split())
    shown = re.sub(r"egress\[\d\] ('\S+) \(ssh.toml ", r"egress[0] \1 (", told.splitlines()[0])
    assert re.sub(r"SHA256:[^,]+", "SHA256:…", shown) == page
    key = (place.path / "fingerprint").read_text()
    assert key in told
    (place.path / "audit").symlink_to(ended.evidence)
    command = next(line for line in PAGE_OF_SSH.splitlines() if line.startswith("    grep "))
    found = subprocess.check_output(["bash", "-c", command], cwd=place.path, text=True)
    assert found == f'"host_key":"{key}"\n'


def check_tools(told: str) -> None:
    """By what the page's table has for each."""
    *texts, malformed = told.replace("\n 200", " 200").split(" 200\n")
    answers = [json.loads(text) for text in texts]
    assert ["result" in answer for answer in answers] == [True] * 2 + [False] * 2 + [True] + [False] * 3
    refused = [*answers[2:4], answers[5], answers[6][0], answers[7]]
    for answer, word in zip(refused, REASONS, strict=True):
        assert (answer["error"]["code"], word in answer["error"]["message"]) == (-32003, True)
    assert json.loads(malformed.removesuffix(" 400\n"))["layer"] == "malformed"
