"""A socket at a path: made where nobody listens, and only there."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from trio_egress.errors import UsageError
from trio_egress.kernel.endpoint import open_endpoint, take_passed
from trio_egress.kernel.peers import is_unmapped, read_peer


def test_it_is_there_for_the_body_and_says_who_may_connect(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with open_endpoint(path, 0o660, os.getegid()) as listener:
        found = os.lstat(path)
        assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, os.getegid())
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(path)
            accepted, _ = listener.accept()
            with accepted:
                peer = read_peer(accepted)
        assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.geteuid(), os.getegid())
        assert peer.groups == {os.getegid(), *os.getgroups()}
    assert not os.path.lexists(path)


def test_one_that_nobody_listens_at_any_more_is_replaced_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as dead:
        dead.bind(str(path))
    with open_endpoint(str(path), 0o600, None):
        with (
            pytest.raises(UsageError, match="somebody listens there already"),
            open_endpoint(str(path), 0o600, None),
        ):
            pass
        assert path.is_socket(), "the one that lives stays"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(UsageError, match="somebody listens"), open_endpoint(str(path), 0o600, None):
            pass


def test_what_is_no_socket_stays(tmp_path: Path) -> None:
    path, target = tmp_path / "file", tmp_path / "target"
    path.write_text("mine")
    link = tmp_path / "link"
    link.symlink_to(target)
    for place in (path, link):
        with (
            pytest.raises(UsageError, match="something else is there"),
            open_endpoint(str(place), 0o600, None),
        ):
            pass
    assert path.read_text() == "mine"
    assert link.is_symlink()
    assert not target.exists()
    with (
        pytest.raises(UsageError, match="No such file"),
        open_endpoint(str(tmp_path / "no" / "s"), 0o600, None),
    ):
        pass


def test_another_that_has_taken_the_path_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with open_endpoint(str(path), 0o600, None):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


PASSED = """
import os, socket, sys
from trio_egress.errors import UsageError
from trio_egress.kernel.endpoint import take_passed
kind = getattr(socket, sys.argv[1])
sock = socket.socket(socket.AF_UNIX, kind)
sock.bind(sys.argv[2])
sock.listen()
os.dup2(sock.fileno(), 3)
try: print(take_passed({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": sys.argv[3]}).getsockname())
except UsageError as error: print(error)
"""


@pytest.mark.parametrize(
    ("kind", "count", "told"),
    [
        ("SOCK_SEQPACKET", "1", "{}"),
        ("SOCK_STREAM", "1", "LISTEN_FDS: not"),
        ("SOCK_SEQPACKET", "2", "LISTEN_FDS is '2'"),
    ],
)
def test_the_socket_that_systemd_passes_on_is_taken(tmp_path: Path, kind: str, count: str, told: str) -> None:
    path = str(tmp_path / "socket")
    done = subprocess.run(
        [sys.executable, "-c", PASSED, kind, path, count], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(told.format(path))


def test_what_is_meant_for_another_process_is_not_taken() -> None:
    assert take_passed({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) is None
    assert take_passed({}) is None


def test_nobody_is_unmapped_where_all_ids_are_known() -> None:
    assert not is_unmapped(0)
