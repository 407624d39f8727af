"""Canaries on the host, and the ports that they must not have."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import socket, sys
from pathlib import Path
from trio_egress.runtime.measure import open_canaries

Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("40000 40015")
inside = set(range(40000, 40016)) - {int(sys.argv[1])}
with open_canaries(inside if sys.argv[2] == "apart" else ()) as canaries:
    print(canaries.tcp.getsockname()[1], canaries.touched())
    socket.create_connection(canaries.tcp.getsockname()).close()
    print(canaries.touched())
"""


def open_in_namespace(port: int, how: str) -> list[str]:
    """What the program says in a network namespace that has sixteen ports to give."""
    command = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    done = subprocess.run(
        [*command, sys.executable, "-c", PROGRAM, str(port), how], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.sandbox
@pytest.mark.parametrize("port", [40000, 40007, 40015])
def test_a_canary_is_where_nobody_inside_listens(port: int) -> None:
    """Else one run in some thousands would find that it reached the host, and have reached its own proxy."""
    assert open_in_namespace(port, "apart") == [str(port), "False", "True"]


@pytest.mark.sandbox
def test_the_control_takes_any_port() -> None:
    assert {open_in_namespace(40000, "anywhere")[0] for _ in range(12)} != {"40000"}
