"""`host.internal` in real runs: one loopback service of this machine is reached, its neighbour is not."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from tests.runs.launch import Place, write_policy

pytestmark = pytest.mark.sandbox

ASK = """
import socket, sys
for target in sys.argv[1:]:
    host, port = target.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), 5) as sock:
            sock.sendall(b"question")
            sock.shutdown(socket.SHUT_WR)
            print(sock.makefile("rb").read().decode() or "nothing")
    except OSError as error:
        print(type(error).__name__)
"""


class Service:
    """A loopback service that answers each connection with what it was sent, and counts them."""

    def __init__(self, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.create_server((address, 0), family=family)
        self.port = self.listener.getsockname()[1]
        self.heard: list[bytes] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                with sock:
                    self.heard.append(sock.makefile("rb").read())
                    sock.sendall(b"answer")


@contextlib.contextmanager
def serving(address: str = "127.0.0.1") -> Iterator[Service]:
    service = Service(address)
    try:
        yield service
    finally:
        service.listener.shutdown(socket.SHUT_RDWR)
        service.listener.close()


def ask(place: Place, policy: str, *targets: str) -> tuple[list[str], list[tuple[str, str]]]:
    """What the agent got of each target; and what the receipts of allowed connections say was dialled."""
    ended = place.run(policy, "python3", "-c", ASK, *targets)
    assert ended.code == 0
    assert ended.verify() == 0
    dialled = [(r.target, r.facts.get("dialled", "")) for r in ended.outcomes if r.transport != "dns"]
    return ended.text.split(), dialled


def test_one_port_of_the_host_is_reached_and_no_other(place: Place) -> None:
    with serving() as meant, serving() as other:
        policy = write_policy(f"host.internal:{meant.port}", "*.internal", f"*.internal:{other.port}")
        targets = [
            f"host.internal:{meant.port}",
            f"HOST.internal.:{meant.port}",
            f"host.internal:{other.port}",
        ]
        got, dialled = ask(place, policy, *targets, f"127.0.0.1:{meant.port}", f"[::1]:{meant.port}")
        assert got[:2] == ["answer", "answer"]
        assert "answer" not in got[2:]
        assert meant.heard == [b"question"] * 2
        assert other.heard == []
    assert dialled == [(f"tcp://host.internal:{meant.port}", f"127.0.0.1:{meant.port}")] * 2


def test_a_service_that_listens_on_ipv6_alone_is_reached(place: Place) -> None:
    with serving("::1") as service:
        got, dialled = ask(
            place, write_policy(f"host.internal:{service.port}"), f"host.internal:{service.port}"
        )
    assert got == ["answer"]
    assert dialled == [(f"tcp://host.internal:{service.port}", f"[::1]:{service.port}")]


def test_the_name_is_unknown_without_a_rule_of_its_own(place: Place) -> None:
    with serving() as service:
        policy = write_policy("*.internal", f"*.internal:{service.port}", "127.0.0.1")
        got, dialled = ask(place, policy, f"host.internal:{service.port}")
        assert service.heard == []
    assert (got, dialled) == (["gaierror"], [])


def test_a_rule_without_a_port_never_runs(place: Place) -> None:
    ended = place.run(write_policy("a.example", "host.internal"), "touch", "ran")
    assert ended.code == 125
    assert "policy-0.toml:6:15: error: host.internal is the loopback of this machine" in ended.err
    assert not (place.work / "ran").exists()
