"""What the doctor says of a program's sandboxes; of the machine it says what tests/kernel/test_probe.py has."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from trio_egress.cli.backend import find_backend
from trio_egress.runtime.backends import SOCKET_VARIABLE


def test_it_says_whose_sandbox_auto_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SOCKET_VARIABLE, raising=False)
    own = "root" if os.geteuid() == 0 else "userns"
    assert find_backend().found.startswith(f"{own}: ")
    path = tmp_path / "socket"
    monkeypatch.setenv(SOCKET_VARIABLE, str(path))
    missing = find_backend()
    assert (missing.status, "no socket is there" in missing.found) == ("fail", True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.bind(str(path))
        there = find_backend()
    assert (there.status, there.found.startswith("helper: ")) == ("ok", True)
