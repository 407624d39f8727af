"""What a supervisor says, whatever it says: nobody waits for ever, nothing is taken twice, no descriptor is left."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from trio_egress.errors import SandboxError
from trio_egress.library.session import Session

Opened = tuple[Session, socket.socket, subprocess.Popen[bytes]]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """A session whose supervisor is the test."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    assert process.stdin is not None
    session = Session(process, ours, tempfile.mkdtemp(prefix="trio-egress-"))
    try:
        theirs.send(b'{"step": "ready"}')
        session.begin(None)
        yield session, theirs, process
    finally:
        process.stdin.close()
        process.wait()
        theirs.close()
        with pytest.raises(SandboxError):
            session.close()


def say(supervisor: socket.socket, **members: object) -> None:
    supervisor.send(json.dumps(members).encode())


EXITED = {"step": "exited", "code": 0, "limit": "", "timed_out": False}


def test_end_that_comes_before_the_start_is_both(opened: Opened) -> None:
    session, supervisor, _ = opened
    command = session.spawn(["true"], [], "", {}, None)
    say(supervisor, number=command.number, **EXITED)
    command.started.result()
    assert command.ended.result().returncode == 0


def test_what_is_said_twice_or_of_nobody_changes_nothing(opened: Opened) -> None:
    session, supervisor, _ = opened
    command = session.spawn(["true"], [], "", {}, None)
    for number in (command.number, command.number, 99):
        say(supervisor, step="started", number=number)
    say(supervisor, step="ready")
    say(supervisor, step="file", number=98, errno=0, error="")
    say(supervisor, number=command.number, **EXITED)
    say(supervisor, number=command.number, **{**EXITED, "code": 7})
    other = session.spawn(["true"], [], "", {}, None)
    say(supervisor, number=other.number, **EXITED)
    assert (command.ended.result().returncode, other.ended.result().returncode) == (0, 0)


def test_descriptor_that_nobody_has_asked_for_is_closed(opened: Opened) -> None:
    _, supervisor, _ = opened
    reads, writes = os.pipe()
    packet = json.dumps({"step": "file", "number": 97, "errno": 0, "error": ""}).encode()
    socket.send_fds(supervisor, [packet], [writes])
    os.close(writes)
    assert os.read(reads, 1) == b"", "the last writing end is gone"
    os.close(reads)


@pytest.mark.parametrize(
    "raw", [b"{", b"[]", b'{"step": "exited", "number": 1}', b'{"step": "ready", "more": 1}', b"\xff" * 9]
)
def test_what_can_not_be_understood_ends_the_session_for_all_that_wait(opened: Opened, raw: bytes) -> None:
    session, supervisor, process = opened
    command, read = session.spawn(["true"], [], "", {}, None), session.open_file("read", "a")
    supervisor.send(raw)
    assert supervisor.recv(1 << 16), "what was asked for comes first"
    while supervisor.recv(1 << 16):
        pass
    assert process.stdin is not None
    process.stdin.close()  # as a supervisor that ends when its program has hung up
    for waits in (command.started, command.ended, read):
        with pytest.raises(SandboxError, match="what can't be understood"):
            waits.result()
