"""Servers that show a pinned key without having it, to OpenSSH's client: what the client itself sees through, and what
only the proxy does."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from tests.programs.sshd import bare_client, make_key
from tests.runs.launch import AGENT, PATIENCE_SECONDS, Ended, Place, write_policy
from tests.wire.ssh_specimens import LINE, key, offer, reply

from trio_egress.wire.ssh_messages import HostKey, measure_packet

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

HOST = "ssh.example.com"
PINNED, OTHER = (key("ssh-ed25519", letter * 32) for letter in (b"p", b"o"))
"""Keys that nobody has the private part of: each signature by them is wrong."""

METHODS = "ecdh-sha2-nistp521,curve25519-sha256"
"""No client's first choice comes first here: what is guessed by it is a wrong guess."""


def fingerprint(blob: bytes) -> str:
    return HostKey("ssh-ed25519", blob).fingerprint


@contextmanager
def impostor(first: bytes, then: bytes) -> Iterator[int]:
    """Says the first at once, and the other when a client has sent its line, its algorithms and its share."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    sock, _address = listener.accept()
                    with sock, suppress(OSError):
                        sock.sendall(first)
                        hear_client(sock)
                        sock.sendall(then)
                        while sock.recv(4096):
                            pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def hear_client(sock: socket.socket) -> None:
    raw, packets, at = b"", 0, 0
    while packets < 2:
        piece = sock.recv(65536)
        if not piece:
            raise ConnectionError
        raw += piece
        at = at or raw.find(b"\n") + 1
        while at and (size := measure_packet(raw, at)):
            at += size
            packets += 1


CARELESS = bare_client("-v", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null")


def run_inside(place: Place, port: int) -> Ended:
    make_key(place.work / "id")
    for name in ("id", "id.pub"):
        os.chown(place.work / name, AGENT.pw_uid, AGENT.pw_gid)
    rule = f'[[egress]]\ndestination = "{HOST}"\nprotocol = "ssh"\nhost_keys = ["{fingerprint(PINNED)}"]\n'
    policy = write_policy(more=rule, pins={f"{HOST}:22": f"127.0.0.1:{port}"})
    return place.run(policy, *CARELESS, f"a@{HOST}", "true")


def run_outside(port: int) -> str:
    ran = subprocess.run(
        [*CARELESS, "-F", "none", "-p", str(port), "a@127.0.0.1", "true"],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert ran.returncode == 255
    return ran.stderr


def test_a_copy_of_a_pinned_key_gets_as_far_as_its_signature(place: Place) -> None:
    """The proxy can't see that it is wrong; every client does, and has said nothing by then."""
    with impostor(LINE + offer(), reply(PINNED)) as port:
        ended = run_inside(place, port)
    assert ended.code == 255
    assert "incorrect signature" in ended.err
    assert ended.outcome.facts["host_key"] == fingerprint(PINNED)
    assert ended.verify() == 0


def test_a_pinned_key_in_a_wrong_guess_is_not_taken_for_the_servers(place: Place) -> None:
    """A control outside: the client skips the guess with the pinned key, and takes the other one that follows."""
    guess = offer(METHODS, guesses=True)
    with impostor(LINE + guess, reply(PINNED) + reply(OTHER)) as port:
        control = run_outside(port)
        ended = run_inside(place, port)
    assert f"Server host key: ssh-ed25519 {fingerprint(OTHER)}" in control
    assert fingerprint(PINNED) not in control
    assert ended.code == 255
    assert "Server host key" not in ended.err
    (outcome,) = [receipt for receipt in ended.receipts if receipt.phase == "outcome"]
    assert (outcome.verdict, outcome.layer) == ("block", "host_key")
    assert "the server guesses" in outcome.reason
    assert ended.verify() == 0
