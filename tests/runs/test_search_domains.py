"""Search domains of the machine's resolver: what is looked up is the name that was allowed, and no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import trio_egress

pytestmark = pytest.mark.sandbox

SEARCHED = "corp.example"
INSIDE = """
import ctypes, fcntl, json, os, socket, struct, sys, threading
from pathlib import Path
import trio
from trio_egress.model import Name, Upstream
from trio_egress.proxy.dial import Undialled, find_endpoints, forget_search_domains
from trio_egress.proxy.gate import Limits

CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS = 0x10000000, 0x40000000, 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
libc = ctypes.CDLL(None, use_errno=True)

def check(result):
    if result:
        raise OSError(ctypes.get_errno(), "in the namespace")

name, conf, *step = sys.argv[1:]
ids = os.geteuid(), os.getegid()
check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS))
Path("/proc/self/setgroups").write_text("deny")
for kind, own in zip(("uid", "gid"), ids):
    Path(f"/proc/self/{kind}_map").write_text(f"0 {own} 1")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    fcntl.ioctl(sock, 0x8914, struct.pack("16sH14x", b"lo", 0x41))
check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
check(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))
Path("/tmp/resolv.conf").write_text(conf)
check(libc.mount(b"/tmp/resolv.conf", b"/etc/resolv.conf", None, MS_BIND, None))

asked = []

def serve(sock):
    while True:
        raw, peer = sock.recvfrom(512)
        labels, at = [], 12
        while raw[at]:
            labels.append(raw[at + 1 : at + 1 + raw[at]].decode())
            at += 1 + raw[at]
        question = raw[12 : at + 5]
        asked.append(".".join(labels))
        found = asked[-1].endswith(".corp.example")
        four = found and question[-3] == 1
        head = raw[:2] + struct.pack("!HHHHH", 0x8180 if found else 0x8183, 1, four, 0, 0)
        answer = bytes.fromhex("c00c000100010000003c000408080808") if four else b""
        sock.sendto(head + question + answer, peer)

stub = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
stub.bind(("127.0.0.1", 53))
threading.Thread(target=serve, args=(stub,), daemon=True).start()
if step:
    forget_search_domains()
found = trio.run(find_endpoints, Upstream(Name(name), 443), Limits())
said = found.reason if isinstance(found, Undialled) else [str(endpoint) for endpoint in found]
print(json.dumps([said, sorted(set(asked))]))
"""


def look_up(name: str, options: str, *step: str) -> tuple[object, list[str]]:
    """What became of a lookup where every name of SEARCHED exists and no other does; and what was asked for."""
    conf = f"search {SEARCHED}\nnameserver 127.0.0.1\n{options}\n"
    ran = subprocess.run(
        [sys.executable, "-c", INSIDE, name, conf, *step],
        env={**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(trio_egress.__file__))},
        capture_output=True,
        check=True,
        timeout=60,
    )
    said, asked = json.loads(ran.stdout)
    return said, asked


@pytest.mark.parametrize("options", ["", "options ndots:5"])
def test_a_name_is_looked_up_as_it_is_written(options: str) -> None:
    said, asked = look_up("api.example", options, "with our step")
    assert asked == ["api.example"]
    assert str(said).startswith("api.example can't be resolved: ")


@pytest.mark.parametrize("options", ["", "options ndots:5"])
def test_without_our_step_another_name_is_dialled(options: str) -> None:
    said, asked = look_up("api.example", options)
    assert f"api.example.{SEARCHED}" in asked
    assert said == ["8.8.8.8:443"]


def test_a_short_name_is_told_that_search_domains_do_not_apply() -> None:
    said, asked = look_up("db", "", "with our step")
    assert asked == ["db"]
    assert str(said).startswith("db can't be resolved (as it is written: search domains don't apply): ")


def test_a_name_of_a_hosts_file_is_found() -> None:
    said, asked = look_up("localhost", "", "with our step")
    assert asked == []
    assert "localhost has no outside address" in str(said)
