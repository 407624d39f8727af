"""Standard streams: what an agent may inherit, and what would lead it out."""

from __future__ import annotations

import os
import pty
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trio_egress.errors import SandboxError
from trio_egress.kernel.streams import check_streams, find_trouble, open_pipes


def trouble_of(sock: socket.socket) -> str:
    with sock:
        return find_trouble(sock.fileno())


@contextmanager
def standard_input(number: int) -> Iterator[None]:
    """Another descriptor 0 for a while."""
    kept = os.dup(0)
    os.dup2(number, 0)
    try:
        yield
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_pipe_file_terminal_and_null_are_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    opened = [os.open(path, os.O_RDONLY) for path in (tmp_path / "file", "/dev/null")]
    opened += [*os.pipe(), *pty.openpty()]
    assert [find_trouble(number) for number in opened] == [""] * len(opened)
    for number in opened:
        os.close(number)


@pytest.mark.parametrize(("end", "mode"), [(0, 0o604), (1, 0o602)])
def test_a_pipe_is_opened_to_others_in_its_own_direction_alone(end: int, mode: int) -> None:
    pipe = os.pipe()
    with standard_input(pipe[end]):
        open_pipes(os.getuid())
        assert os.fstat(0).st_mode & 0o777 == 0o600
        open_pipes(os.getuid() + 1)
        assert os.fstat(0).st_mode & 0o777 == mode
    for number in pipe:
        os.close(number)


def test_what_has_a_name_stays_as_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "file").touch(0o600)
    for name in ("fifo", "file"):
        number = os.open(tmp_path / name, os.O_RDWR)
        with standard_input(number):
            open_pipes(os.getuid() + 1)
        os.close(number)
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_closed_stream_is_no_trouble() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    assert find_trouble(writer) == ""


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_connected_unix_socket_is_no_trouble(kind: socket.SocketKind) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    with ours:
        assert trouble_of(theirs) == ""


def test_unconnected_unix_socket_is_trouble() -> None:
    assert trouble_of(socket.socket(socket.AF_UNIX)) == "a socket that is not connected"


def test_datagram_socket_is_trouble_even_when_it_is_connected() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours:
        assert trouble_of(theirs) == "a datagram socket"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK])
def test_socket_of_the_network_is_trouble(family: socket.AddressFamily) -> None:
    assert trouble_of(socket.socket(family, socket.SOCK_DGRAM)) == "a socket of the host's network"


def test_directory_is_trouble(tmp_path: Path) -> None:
    number = os.open(tmp_path, os.O_RDONLY)
    assert find_trouble(number) == "a directory"
    os.close(number)


def test_what_is_nothing_of_all_that_is_trouble() -> None:
    number = select.epoll()
    assert find_trouble(number.fileno()) == "neither a pipe nor a file nor a terminal"
    number.close()


def test_refusal_names_the_stream_and_the_cure() -> None:
    with (
        socket.socket() as sock,
        standard_input(sock.fileno()),
        pytest.raises(
            SandboxError, match=r"standard input is a socket of the host's network, .*: give it a pipe"
        ),
    ):
        check_streams()


def test_usual_streams_pass() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    with standard_input(null):
        check_streams()
    os.close(null)
