"""Packets of real runs, as other programs get them: what was allowed, denied, asked of DNS, dropped and refused."""

from __future__ import annotations

import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.runs.launch import PATIENCE_SECONDS, Ended, Place, wait_until, write_policy
from tests.views.test_junit import list_results, read_suite
from tests.views.test_ocsf import find_misfits

pytestmark = pytest.mark.sandbox

AGENT = """
import os, socket, urllib.error, urllib.request
def get(url, **more):
    try:
        urllib.request.urlopen(urllib.request.Request(url, **more)).read()
    except OSError as error:
        print(error)
get("http://api.example.com/v1?token=secret")
get("http://api.example.com/v1", method="DELETE")
get("http://evil.example/")
for attempt in (
    lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("203.0.113.7", 9999)),
    lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    lambda: socket.create_connection(("203.0.113.8", 22)).recv(1),
):
    try:
        attempt()
    except OSError as error:
        print(error)
"""


LINGERING = """
import os, time, urllib.request
urllib.request.urlopen("http://api.example.com/v1").read()
while not os.path.exists("go"):
    time.sleep(0.05)
""" + AGENT.replace('get("http://api', '#("http://api')


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def upstream() -> Iterator[int]:
    """The port of a web server on this machine."""
    with socketserver.TCPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def ended(place: Place, upstream: int) -> Ended:
    pins = {"api.example.com:80": f"127.0.0.1:{upstream}"}
    policy = write_policy("api.example.com", pins=pins).replace("[[egress]]", '[[egress]]\nmethods = ["GET"]')
    return place.run(policy, sys.executable, "-c", AGENT)


def export(ended: Ended, format_: str) -> str:
    command = [
        sys.executable,
        "-m",
        "trio_egress",
        "packet",
        "export",
        str(ended.evidence),
        "--format",
        format_,
    ]
    ran = subprocess.run(
        [*command, "--public-key", ended.key],
        cwd=ended.evidence.parent,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def test_a_run_is_told_in_every_format(ended: Ended) -> None:
    events = [json.loads(line) for line in export(ended, "ocsf").splitlines()]
    assert [misfit for event in events for misfit in find_misfits(event)] == []
    told = {(event["type_name"], event["action"], place_of(event)) for event in events}
    assert told >= {
        ("HTTP Activity: Get", "Allowed", "api.example.com"),
        ("HTTP Activity: Delete", "Denied", "api.example.com"),
        ("DNS Activity: Query", "Allowed", "api.example.com"),
        ("DNS Activity: Query", "Denied", "evil.example"),
        ("Network Activity: Refuse", "Denied", "203.0.113.7"),
        ("Network Activity: Refuse", "Denied", "203.0.113.8"),
        ("Kernel Activity: Invoke", "Denied", "socket"),
    }
    cases = list_results(read_suite(export(ended, "junit")))
    assert cases["the packet verifies"] == cases["dns:api.example.com"] == []
    denied = {name for name, results in cases.items() if results == ["Failure"]}
    assert denied == {
        "dns:evil.example",
        "http://api.example.com:80",
        "tcp://203.0.113.8:22",
        "syscall:socket",
        "udp://203.0.113.7:9999",
    }
    results = json.loads(export(ended, "sarif"))["runs"][0]["results"]
    places = {result["ruleId"]: result["locations"][0]["physicalLocation"] for result in results}
    assert set(places) == {"denied/method", "denied/default_deny", "denied/kernel"}
    policy = ended.evidence.parent / "policy-0.toml"
    assert places["denied/method"]["artifactLocation"]["uri"] == policy.name
    assert read_line(policy, places["denied/method"]) == "[[egress]]"
    assert read_line(policy, places["denied/default_deny"]) == "default_deny = true"
    assert "secret" not in json.dumps([events, results])


def test_a_run_is_watched_while_it_lives(place: Place, upstream: int) -> None:
    """Each line is there while the agent waits for it: a receipt is on disk before anything leaves."""
    policy = write_policy("api.example.com", pins={"api.example.com:80": f"127.0.0.1:{upstream}"})
    evidence, shown = place.path / "evidence-0", place.path / "shown"
    command = [
        sys.executable,
        "-m",
        "trio_egress",
        "watch",
        str(evidence),
        "--public-key",
        place.key.public_hex,
    ]
    with shown.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.PIPE) as watch:
        try:
            assert b"no run yet" in (watch.stderr.readline() if watch.stderr else b"")
            run = place.start(policy, sys.executable, "-c", LINGERING)
            wait_until(
                lambda: "allowed  GET http://api.example.com:80/v1" in shown.read_text(), "the first request"
            )
            (place.work / "go").touch()
            ended = run.wait()
            assert watch.wait(PATIENCE_SECONDS) == 0
        finally:
            watch.kill()
    text = shown.read_text()
    assert ended.verify() == 0
    assert "denied   syscall:socket" in text
    assert "denied   dns:evil.example" in text
    assert text.splitlines()[-1].startswith("closed: agent_exited; 1 let out, ")


def place_of(event: dict[str, Any]) -> str:
    query, endpoint = event.get("query", {}), event.get("dst_endpoint", {})
    named: str = (
        query.get("hostname") or endpoint.get("hostname") or endpoint.get("ip") or event["kernel"]["name"]
    )
    return named


def read_line(file: Path, place: dict[str, Any]) -> str:
    line: int = place["region"]["startLine"]
    return file.read_text().splitlines()[line - 1]
