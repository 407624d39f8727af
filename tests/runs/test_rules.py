"""What rules say of requests and of their use, in real runs: what the agent is told, what left, what was recorded."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.runs.launch import POLICY_HEAD, Ended, Place

pytestmark = pytest.mark.sandbox

ASK = """
import http.client, json, sys
for line in sys.argv[1:]:
    method, url, *fields = line.split(" ")
    host, slash, rest = url.partition("/")
    client = http.client.HTTPConnection(host, timeout=60)
    client.request(method, slash + rest, headers=dict(field.split("=") for field in fields))
    answer = client.getresponse()
    body = answer.read().decode()
    print(answer.status, json.loads(body)["layer"] if answer.status == 403 else body)
"""

RULES = """
[[egress]]
name = "read-docs"
destination = "api.example"
methods = ["GET"]
paths = ["/v1/**"]
query = ["page"]
headers = { forbidden = ["x-api-key"] }

[[egress]]
destination = "*.example"
deny = true
paths = ["/v1/admin/**"]
reason = "nobody needs that"

[[egress]]
destination = "few.example"
limits = { requests = "2/day" }
"""


class Handler(BaseHTTPRequestHandler):
    heard: list[str]

    def do_GET(self) -> None:
        self.heard.append(f"{self.headers['Host']}{self.path}")
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[tuple[int, list[str]]]:
    """A web server on loopback: its port, and what it was asked for."""
    heard: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"heard": heard}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port, heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(place: Place, rules: str, *requests: str) -> tuple[Ended, list[str], list[str]]:
    """What the agent was told, and what the server heard."""
    with serving() as (port, heard):
        pins = "".join(f'"{name}.example" = "127.0.0.1:{port}"\n' for name in ("api", "few"))
        ended = place.run(f"{POLICY_HEAD}{rules}[resolve]\n{pins}", "python3", "-c", ASK, *requests)
    assert ended.code == 0
    assert ended.verify() == 0
    return ended, ended.text.splitlines(), heard


def test_requests_that_a_rule_does_not_mean_never_leave(place: Place) -> None:
    requests = [
        "GET api.example/v1/a?page=2",
        "GET api.example/v2/a",
        "GET api.example/v1/%2e%2e/v2",
        "GET api.example/v1/a?token=x",
        "GET api.example/v1/a X-Api-Key=secret",
        "GET api.example/v1/admin/x",
        "GET few.example/",
        "GET few.example/",
        "GET few.example/",
    ]
    ended, told, heard = run(place, RULES, *requests)
    assert told == [
        "200 ok",
        "403 path",
        "403 deny_rule",
        "403 query",
        "403 header",
        "403 deny_rule",
        "200 ok",
        "200 ok",
        "403 limit",
    ]
    assert heard == ["api.example/v1/a?page=2", "few.example/", "few.example/"]
    assert [block.layer for block in ended.blocks] == [line[4:] for line in told if line.startswith("403")]
    assert ended.blocks[4].facts["rule"] == "egress[1] '*.example' (line 12)"
    assert ended.blocks[4].reason.endswith("denies it: nobody needs that")
    assert "it could be one of its paths (the path has a dot segment)" in ended.blocks[1].reason
    assert "egress[0] read-docs " in ended.blocks[0].reason
    assert "secret" not in (ended.evidence / "evidence.jsonl").read_text()


def test_the_control_without_the_keys_lets_them_all_leave(place: Place) -> None:
    rules = '[[egress]]\ndestination = "api.example"\n'
    requests = [
        "GET api.example/v1/%2e%2e/v2",
        "GET api.example/?token=x",
        "GET api.example/v1/admin/x X-Api-Key=x",
    ]
    ended, told, heard = run(place, rules, *requests)
    assert told == ["200 ok"] * 3
    assert len(heard) == 3
    assert ended.blocks == []


def test_what_a_policy_is_warned_of_is_said_and_the_run_goes_on(place: Place) -> None:
    rules = '[[egress]]\ndestination = "*.co.uk"\n'
    ended = place.run(f"{POLICY_HEAD}{rules}", "true")
    assert ended.code == 0
    assert "policy-0.toml:4:15: warning: anybody can have a name below co.uk" in ended.err
