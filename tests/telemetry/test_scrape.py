"""The figures over HTTP on a Unix socket."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from trio_egress.telemetry.scrape import Scrape

FIGURES = "trio_egress_attempts_open 0\n"


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "metrics"
    scrape = Scrape(str(path), lambda: FIGURES)
    scrape.start()
    yield path
    scrape.close()
    assert not path.exists()


def ask(path: Path, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(120)
        sock.connect(str(path))
        sock.sendall(request)
        with sock.makefile("rb") as stream:
            return stream.read()


def test_figures_are_told_again_and_again(path: Path) -> None:
    for _ in range(2):
        head, _, body = ask(path, b"GET /metrics HTTP/1.1\r\nHost: run\r\n\r\n").partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 200 ")
        assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8" in head
        assert body == FIGURES.encode()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"501"),
        (b"\x00\xff\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 70_000 + b"\r\n", b"414"),
    ],
)
def test_anything_else_is_refused_and_the_next_is_answered(
    path: Path, request_: bytes, status: bytes
) -> None:
    try:
        assert status in ask(path, request_)[:400]
    except ConnectionResetError:  # what it had not read of too long a line
        assert status == b"414"
    assert b" 200 " in ask(path, b"GET /metrics HTTP/1.1\r\n\r\n")


def test_who_says_nothing_holds_up_others_for_seconds_alone(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.connect(str(path))
        assert b" 200 " in ask(path, b"GET /metrics HTTP/1.1\r\n\r\n")


def test_it_is_the_owners_alone(path: Path) -> None:
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_dead_sockets_place_is_taken_and_no_living_ones(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
        dead.listen()
        with pytest.raises(OSError, match="in use"):
            Scrape(str(path), str)
    scrape = Scrape(str(path), str)
    scrape.close()
    path.write_text("mine")
    with pytest.raises(OSError, match="in use"):
        Scrape(str(path), str)
    assert path.read_text() == "mine"
