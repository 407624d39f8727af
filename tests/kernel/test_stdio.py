"""What may be inherited, what may not, and why: the control shows the way out."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import trio_egress
from trio_egress.errors import SandboxError
from trio_egress.kernel.stdio import check_stdio


@contextmanager
def nothing() -> Iterator[int]:
    with open(os.devnull, "rb") as file:
        yield file.fileno()


def check(descriptor: int) -> None:
    with nothing() as null:
        check_stdio((descriptor, null, null))


def test_files_pipes_and_terminals_are_fine(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (tmp_path / "file").open() as file:
        check(file.fileno())
    for pair in (os.pipe(), os.openpty()):
        for descriptor in pair:
            check(descriptor)
            os.close(descriptor)


def test_closed_descriptor_is_fine() -> None:
    with socket.socket() as sock:
        closed = sock.fileno()
    check(closed)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_connected_unix_socket_is_fine(kind: int) -> None:
    """As systemd's journal and some test runners give it; it cannot be connected again."""
    left, right = socket.socketpair(socket.AF_UNIX, kind)
    with left, right, socket.socket(socket.AF_UNIX, kind) as listener:
        listener.bind("")  # a free abstract name
        listener.listen()
        check(left.fileno())
        right.close()
        with pytest.raises(OSError, match=r"connected|Invalid argument"):
            left.connect(listener.getsockname())


def test_connected_tcp_socket_is_refused() -> None:
    refused = pytest.raises(SandboxError, match="standard input is a network socket")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        refused,
    ):
        check(client.fileno())


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        (socket.AF_INET, socket.SOCK_STREAM),
        (socket.AF_INET6, socket.SOCK_DGRAM),
        (socket.AF_NETLINK, socket.SOCK_RAW),
    ],
)
def test_network_socket_is_refused(family: int, kind: int) -> None:
    with socket.socket(family, kind) as sock, pytest.raises(SandboxError, match="network socket"):
        check(sock.fileno())


def test_unix_socket_that_can_be_connected_is_refused() -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))]
        sockets += [stack.enter_context(s) for s in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)]
        for sock in sockets:
            with pytest.raises(SandboxError, match="can still be connected"):
                check(sock.fileno())


def test_directory_is_refused(tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(SandboxError, match="a directory"):
        check(directory)
    os.close(directory)


def test_anything_else_is_refused() -> None:
    # an epoll descriptor has no type at all
    import select

    with select.epoll() as poll, pytest.raises(SandboxError, match="neither file"):
        check(poll.fileno())


@pytest.mark.parametrize("place", [0, 1, 2])
def test_message_names_the_stream(place: int, tmp_path: Path) -> None:
    directory = os.open(tmp_path, os.O_RDONLY)
    name = ("standard input", "standard output", "standard error")[place]
    with nothing() as null, pytest.raises(SandboxError, match=f"^{name} is"):
        check_stdio((*[null] * place, directory, *[null] * (2 - place)))  # type: ignore[arg-type]
    os.close(directory)


@pytest.mark.sandbox
def test_control_inherited_tcp_socket_is_a_way_out_of_the_namespace() -> None:
    """No right, no_new_privs, a namespace of its own: and the host's loopback answers."""
    code = """
import ctypes, socket, sys
sys.path.append(sys.argv[1])
from trio_egress.kernel import syscalls
syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNET)
syscalls.set_no_new_privs()
syscalls.drop_capabilities()
ctypes.CDLL(None).connect(0, bytes(16), 16)  # AF_UNSPEC
socket.socket(fileno=0).connect(("127.0.0.1", int(sys.argv[2])))
"""
    source = str(Path(trio_egress.__file__).parent.parent)
    with ExitStack() as stack:
        first, second = (stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2))
        client = stack.enter_context(socket.create_connection(first.getsockname()))
        command = [sys.executable, "-I", "-S", "-c", code, source, str(second.getsockname()[1])]
        done = subprocess.run(command, stdin=client.fileno(), capture_output=True, text=True, check=False)
        if "unshare(" in done.stderr:
            pytest.skip("no user namespaces for this user here; see trio-egress doctor")
        assert done.returncode == 0, done.stderr
        second.settimeout(5)
        second.accept()[0].close()
