"""The pages of real runs: an agent that puts on them what it can, and a browser that looks."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.pages.browser import open_browser
from tests.pages.test_browser import find_overflow
from tests.pages.test_summary import OURS, names, show, texts
from tests.runs.launch import Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

AGENT = r"""
import ctypes, os, socket

EVIL = b"</style></code><script>document.title='ran'</script><img/src=http://evil.example/x>`|**b**"

def ask(raw, to=("192.0.2.7", 80)):
    with socket.create_connection(to, timeout=120) as peer:
        peer.settimeout(120)
        try:
            peer.sendall(raw)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(4096):
                pass
        except OSError:
            pass

for host in (b"web.example.com", b"denied.example.com", EVIL):
    for path in (b"/" + EVIL, b"/%3Cscript%3E", b"/\xff\xe2\x80\xae" + EVIL, b"/" + b"y" * 3000):
        for method in (b"GET", b"<b>", b"A" * 200):
            ask(method + b" " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
ask(b"SSH-2.0-" + EVIL + b"\r\n", ("192.0.2.7", 22))
ask(EVIL, ("192.0.2.7", 9))
for label in (b"<script>", b"\xff\xfe\xe2\x80\xae", b"a|b`c", b"x" * 63):
    name = bytes([len(label)]) + label + b"\x04evil\x07example\x00"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(120)
        asker.sendto(b"\x12\x34\x01\x00\x00\x01" + bytes(6) + name + b"\x00\x01\x00\x01", ("192.0.2.53", 53))
        asker.recv(512)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stray:
        try:
            stray.sendto(label, ("203.0.113.9", 9999))
        except OSError:
            pass
ctypes.CDLL(None).unshare(0x10000000)
"""


@pytest.fixture(scope="module")
def packet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = Place()
    try:
        policy = write_policy("web.example.com", pins={"web.example.com": "127.0.0.1:1"})
        ended = place.run(policy, "/usr/bin/python3", place.write("agent.py", AGENT))
        assert ended.verify() == 0
        assert len(ended.blocks) > 5
        kept = tmp_path_factory.mktemp("packet")
        for path in ended.evidence.iterdir():
            (kept / path.name).write_bytes(path.read_bytes())
        return kept
    finally:
        place.close()


def test_a_browser_shows_the_page_of_a_hostile_agent_and_nothing_happens(packet: Path) -> None:
    with open_browser() as tab:
        for width in (360, 1280):
            tab.open(packet / "report.html", width)
            assert tab.behind == {}
            assert tab.ask("document.scripts.length + document.images.length") == 0
            assert tab.ask("document.title").startswith("Valid: trio-egress run ")
            assert find_overflow(tab, width) == []
        assert "script" in tab.ask("document.querySelector('#denied').textContent")


def test_its_summary_is_inert(packet: Path) -> None:
    body = show((packet / "summary.md").read_text())
    assert names(body) <= OURS
    assert texts(body, "h2") == ["Contacted", "Denied"]
    assert "script" not in "".join(texts(body, "p"))
