"""Unix sockets of the host: which have a path, and which are anybody's."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from trio_egress.kernel.listeners import find_sockets, is_bound


def test_sockets_are_read_from_the_kernels_table() -> None:
    table = (
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 123 /run/dbus/system bus socket\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 124 @abstract\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 125\n"
    )
    assert find_sockets(table) == ("/run/dbus/system bus socket",)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
@pytest.mark.parametrize("name", ["s", "x" * 200])
def test_a_socket_is_somebodys_for_as_long_as_it_is_open(
    kind: socket.SocketKind, name: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.bind(str(tmp_path / "b"))
        (tmp_path / "b").rename(path)
        assert is_bound(str(path))
    assert not is_bound(str(path))


def test_its_owner_does_not_hear_of_the_question(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        sock.listen()
        sock.setblocking(False)
        assert is_bound(str(tmp_path / "s"))
        with pytest.raises(BlockingIOError):
            sock.accept()


def test_what_is_no_socket_is_nobodys(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not is_bound(str(tmp_path / "pipe"))
    assert not is_bound(str(tmp_path / "missing"))
