"""The outside: each canary tells what touched it, and nothing of it stays."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.runs.launch import wait_until

from trio_egress.attack.outside import (
    PROTECTED,
    Stage,
    find_host_sockets,
    find_processes,
    find_set_id_programs,
    open_stage,
)
from trio_egress.kernel.identity import find_identities


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with open_stage(tmp_path, find_identities(None, os.environ), whole=False) as stage:
        yield stage


def test_nothing_touched_is_nothing_found(stage: Stage) -> None:
    assert stage.find() == {}


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_UNIX, "")]
)
def test_a_canary_that_answered_is_found(stage: Stage, family: int, address: str) -> None:
    place = (address, stage.port) if address else str(stage.work / "canary.sock")
    with socket.socket(family) as sock:
        sock.connect(place)
        assert sock.recv(100) == stage.token.encode()
    assert list(stage.find()) == ["host_loopback_again" if address else "host_sockets"]


def test_a_datagram_and_an_abstract_name_are_found(stage: Stage) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", stage.udp_port))
        assert sock.recv(100) == stage.token.encode()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"\0{stage.token}")
        assert sock.recv(100) == stage.token.encode()
    assert set(stage.find()) == {"host_loopback_again", "host_sockets"}


def test_what_is_allowed_answers_and_is_no_finding(stage: Stage) -> None:
    with socket.create_connection(("127.0.0.1", stage.allowed_port)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        raw = b""
        while piece := sock.recv(4096):
            raw += piece
    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert raw.endswith(stage.token.encode())
    assert stage.find() == {}


def test_an_ended_victim_is_found(stage: Stage) -> None:
    stage.victim.terminate()
    stage.victim.wait()
    assert stage.find() == {"victim": "a process outside was ended"}


def test_a_daemon_is_found_and_ended(stage: Stage) -> None:
    word = f"daemon-{stage.token}"
    with subprocess.Popen(  # nobody but itself: a child would have its words until it runs another program
        ["/bin/sh", "-c", "read line", word], stdin=subprocess.PIPE, start_new_session=True
    ) as daemon:
        wait_until(lambda: find_processes(word), "the daemon")
        assert stage.find() == {"daemon": "was still there when the run was over"}
        assert daemon.wait() == -9
    assert find_processes(word) == []


def test_a_file_left_in_a_place_of_all_is_found_and_taken_away(stage: Stage) -> None:
    left = Path("/tmp", stage.token)
    left.touch()
    assert stage.find() == {"places": f"left {left}"}
    assert not left.exists()


@pytest.mark.parametrize("name", PROTECTED)
def test_a_protected_file_that_changed_or_went_is_found(stage: Stage, name: str) -> None:
    (stage.work / name).unlink()
    assert stage.find() == {"protected": f"changed {name}"}


def test_sockets_of_this_machine_are_found_by_path_and_by_name(tmp_path: Path) -> None:
    path = f"/tmp/te-{os.urandom(4).hex()}"
    with socket.socket(socket.AF_UNIX) as sock, socket.socket(socket.AF_UNIX) as abstract:
        sock.bind(path)
        abstract.bind(f"\0{path[5:]}")
        assert {path, f"@{path[5:]}"} <= set(find_host_sockets())
    os.unlink(path)


def test_programs_that_gain_rights_are_found() -> None:
    found = find_set_id_programs()
    assert "/bin/su" in found or "/usr/bin/su" in found
    assert all(os.stat(path).st_mode & 0o6000 for path in found)
