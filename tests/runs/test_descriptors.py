"""Runs whose supervisor may have few descriptors, and an agent that takes all: its connections end, not the run."""

from __future__ import annotations

import resource

import pytest
from tests.runs.launch import Place, write_policy

pytestmark = pytest.mark.sandbox

MOST = 256
AGENT = """
import os, socket, ssl

context = ssl._create_unverified_context()

def connect(number):
    return socket.create_connection(("h%d.example.com" % number, 443), 60)

def shake_hands(sock, number):
    try:
        context.wrap_socket(sock, server_hostname="h%d.example.com" % number)
    except OSError:
        return False
    return True

held, hold = os.pipe()
go, began = os.pipe()
for kid in range(3):
    if os.fork() == 0:
        os.close(began)
        kept = [connect(kid) for _ in range(150)]
        os.write(hold, b"1")
        os.read(go, 1)
        print(*[shake_hands(sock, kid) for sock in kept[:20]], flush=True)
        os._exit(0)
for _ in range(3):
    os.read(held, 1)
os.close(began)
for _ in range(3):
    os.wait()
while not shake_hands(connect(9), 9):
    pass
print("accepted")
"""


def lower() -> None:
    """In the process that becomes the run's."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST, MOST))


def test_an_agent_that_takes_all_descriptors_ends_its_own_connections(place: Place) -> None:
    rule = '[[egress]]\ndestination = "*.example.com"\nmethods = ["GET"]\n'
    ended = place.run(write_policy(more=rule), "python3", "-c", AGENT, preexec_fn=lower)
    assert ended.code == 0
    assert "False" in ended.text
    assert ended.text.endswith("\naccepted\n")
    full = [outcome for outcome in ended.outcomes if "Too many open files" in outcome.reason]
    assert full
    assert ended.verify() == 0
