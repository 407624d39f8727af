"""No receipt, no egress: when the evidence can't be written any more, nothing leaves, and the run is over."""

from __future__ import annotations

import contextlib
import resource
import shutil
import subprocess
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.runs.launch import PROXY, Ended, Place, find_processes, read_receipts, wait_until, write_policy

pytestmark = pytest.mark.sandbox


class Canary(ThreadingHTTPServer):
    """An upstream that remembers the path of everything that reached it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.seen: list[str] = []

    @property
    def policy(self) -> str:
        return write_policy("api.example.com", pins={"api.example.com": f"127.0.0.1:{self.server_port}"})


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Canary

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def canary() -> Iterator[Canary]:
    with Canary() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def mark() -> str:
    return f"mark-{uuid.uuid4()}"


AGENT = f"""
curl -s http://api.example.com/first
touch first-done
until [ -e go ]; do sleep 0.01; done
trap '' TERM INT HUP
while :; do curl -s -m 2 -x {PROXY} http://api.example.com/later; curl -s -m 2 http://evil.example/; done
"""
"""Asks once, waits for our word, and asks on for ever."""


def assert_incomplete(ended: Ended, mark: str) -> None:
    assert find_processes(mark) == []
    assert ended.code == 122
    assert (ended.status["end"], ended.status["exit_code"]) == ("evidence_incomplete", 122)
    assert ended.status["message"]
    assert ended.status["message"] in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("how", ["directory removed", "file removed", "file cut", "file replaced"])
def test_nothing_leaves_once_the_evidence_is_taken_away(
    place: Place, canary: Canary, mark: str, how: str
) -> None:
    started = place.start(canary.policy, "bash", "-c", AGENT, mark, options=["--json"])
    wait_until((place.work / "first-done").exists, "the first request")
    file = started.evidence / "evidence.jsonl"
    match how:
        case "directory removed":
            shutil.rmtree(started.evidence)
        case "file removed":
            file.unlink()
        case "file cut":
            file.write_bytes(b"")
        case "file replaced":
            raw = file.read_bytes()
            file.unlink()
            file.write_bytes(raw)
    (place.work / "go").touch()
    ended = started.wait()
    assert_incomplete(ended, mark)
    assert canary.seen == ["/first"]
    assert ended.out.endswith(ended.status_file.read_bytes())


FLOOD = 'exec curl -s -Z "http://api.example.com/[1-100000]" -o /dev/null'
"""Many requests at once, so that several wait for the disk when it is full."""


def assert_every_request_has_its_receipt(ended: Ended, canary: Canary) -> None:
    """What the upstream saw is a part of what the receipts on disk announced."""
    announced = [r.target.rpartition("/")[2] for r in read_receipts(ended.evidence) if r.phase == "intent"]
    assert canary.seen
    assert {path.strip("/") for path in canary.seen} <= set(announced)


def test_nothing_leaves_once_the_file_may_not_grow(place: Place, canary: Canary, mark: str) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024))

    ended = place.start(canary.policy, "bash", "-c", FLOOD, mark, preexec_fn=limit).wait()
    assert_incomplete(ended, mark)
    assert_every_request_has_its_receipt(ended, canary)
    assert ended.verify() == 3


@contextlib.contextmanager
def small_disk(place: Place) -> Iterator[str]:
    disk = place.path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k,mode=755", "tmpfs", disk], check=True)
    try:
        yield str(disk / "evidence")
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.root
def test_nothing_leaves_once_the_disk_is_full(place: Place, canary: Canary, mark: str) -> None:
    with small_disk(place) as evidence:
        started = place.start(canary.policy, "bash", "-c", FLOOD, mark, options=["--evidence", evidence])
        started.evidence = place.path / "disk" / "evidence"
        ended = started.wait()
        assert_incomplete(ended, mark)
        assert_every_request_has_its_receipt(ended, canary)
        assert ended.verify() == 3
