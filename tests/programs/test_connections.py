"""Connections as peers really make and break them: many at once, in pieces, silent, reset at each stage.

Whatever a peer does ends its connection; the run goes on, and its packet is whole.
"""

from __future__ import annotations

import re
import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest
from tests.programs.servers import Web
from tests.runs.launch import DENIAL_SECONDS, PROXY, Ended, Place, write_policy

pytestmark = [pytest.mark.sandbox, pytest.mark.programs]

PYTHON = [sys.executable, "-I", "-S", "-c"]
NAME = "api.example.com"
HELLO = f"hello http {NAME} GET\n"


def assert_still_works(ended: Ended) -> None:
    """The agent ended by itself, its last request was answered, and everything before it is recorded."""
    assert (ended.code, ended.status["end"]) == (0, "agent_exited")
    assert ended.text.endswith(f"then {HELLO}")
    assert 200 in [outcome.facts.get("status") for outcome in ended.outcomes]
    assert ended.verify() == 0


def then_works(script: str) -> str:
    """`script`, and after it a request that must be answered like any other."""
    return f"{PREPARED}\n{script}\n{LAST}"


PREPARED = """
import functools, json, os, socket, ssl, struct, sys, threading

def connect(host, port, elsewhere=""):
    return socket.create_connection((elsewhere or host, port), 10)

def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()

def read_all(sock):
    raw = b""
    try:
        while piece := sock.recv(65536):
            raw += piece
    except OSError as error:
        return raw.decode("latin-1") + type(error).__name__
    return raw.decode("latin-1")

def render(line, host, *fields):
    return "\\r\\n".join([line, f"Host: {host}", *fields, "", ""]).encode()
"""

LAST = """
with connect("api.example.com", 80) as sock:
    sock.sendall(render("GET /hello HTTP/1.1", "api.example.com", "Connection: close"))
    sys.stdout.write("then " + read_all(sock).rpartition("\\r\\n\\r\\n")[2])
"""


@pytest.fixture
def policy(web: Web) -> str:
    return write_policy(NAME, pins=web.pins(NAME))


# many


MANY = """
import concurrent.futures, socket, ssl, sys, threading
count, port, authority = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
together = threading.Barrier(count)
request = b"GET /hello HTTP/1.1\\r\\nHost: api.example.com\\r\\nConnection: close\\r\\n\\r\\n"
context = ssl.create_default_context(cafile=authority)

def ask(number):
    with socket.create_connection(("api.example.com", port), 30) as sock:
        together.wait(30)  # all of them are connected now
        if port == 443:
            sock = context.wrap_socket(sock, server_hostname="api.example.com")
        sock.sendall(request)
        raw = b""
        while piece := sock.recv(65536):
            raw += piece
        together.wait(30)  # and none of them is closed before all are answered
        return raw.startswith(b"HTTP/1.1 200") and raw.endswith(b"GET\\n")

with concurrent.futures.ThreadPoolExecutor(count) as pool:
    print(sum(pool.map(ask, range(count))))
"""


@pytest.mark.parametrize("port", [80, 443])
def test_two_hundred_connections_at_once(place: Place, web: Web, policy: str, port: int) -> None:
    ended = place.run(policy, *PYTHON, MANY, "200", str(port), web.authority)
    assert (ended.code, ended.text) == (0, "200\n")
    outcomes = ended.outcomes
    assert len(outcomes) == 200
    assert all(outcome.down > len(HELLO) for outcome in outcomes)
    assert len(web.take_requests()) == 200
    assert ended.counters["redirected"] == 200
    assert ended.verify() == 0
    assert ended.verify_foreign() == 0


def test_two_hundred_denials_at_once(place: Place) -> None:
    script = """
import concurrent.futures, socket, sys
def ask(number):
    with socket.create_connection(("203.0.113.7", 80), 30) as sock:
        sock.sendall(b"GET /%d HTTP/1.1\\r\\nHost: evil.example\\r\\nConnection: close\\r\\n\\r\\n" % number)
        return sock.makefile("rb").read().startswith(b"HTTP/1.1 403")
with concurrent.futures.ThreadPoolExecutor(200) as pool:
    print(sum(pool.map(ask, range(200))))
"""
    ended = place.run(write_policy(NAME), *PYTHON, script)
    assert ended.text == "200\n"
    assert {block.target.rpartition("/")[2] for block in ended.blocks} == {str(n) for n in range(200)}
    assert ended.verify() == 0


def test_two_hundred_names_looked_up_at_once(place: Place) -> None:
    script = """
import concurrent.futures, socket, threading
together = threading.Barrier(200)
def look_up(number):
    together.wait(30)
    return len(socket.getaddrinfo(f"{number}.wild.example", 80, type=socket.SOCK_STREAM))
with concurrent.futures.ThreadPoolExecutor(200) as pool:
    print(sum(pool.map(look_up, range(200))))
"""
    ended = place.run(write_policy("*.wild.example"), *PYTHON, script)
    assert ended.text == "400\n"
    assert sum(query.facts["count"] for query in ended.queries) == ended.counters["dns_udp"] >= 400
    assert ended.verify() == 0


# in pieces


def test_a_client_hello_in_pieces_of_one_byte(place: Place, web: Web, policy: str) -> None:
    script = """
context = ssl.create_default_context(cafile=sys.argv[1])
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(incoming, outgoing, server_hostname="api.example.com")
with connect("api.example.com", 443) as sock:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pieces = 0
    def step(action):
        global pieces
        while True:
            try:
                return action()
            except ssl.SSLWantReadError:
                pass
            finally:
                while raw := outgoing.read(1):
                    sock.sendall(raw)
                    pieces += 1
            incoming.write(sock.recv(65536))
    step(tls.do_handshake)
    step(lambda: tls.write(b"GET /hello HTTP/1.0\\r\\nHost: api.example.com\\r\\n\\r\\n"))
    print(step(lambda: tls.read(65536)).split(b"\\r\\n")[0].decode(), pieces > 300)
"""
    ended = place.run(policy, *PYTHON, then_works(script), web.authority)
    assert ended.text.startswith("HTTP/1.1 200 OK True\n")
    assert ended.outcomes[0].facts["sni"] == NAME
    assert_still_works(ended)


def test_a_request_in_pieces_of_one_byte(place: Place, policy: str) -> None:
    script = """
with connect("api.example.com", 80) as sock:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in b"GET /hello HTTP/1.1\\r\\nHost: api.example.com\\r\\nConnection: close\\r\\n\\r\\n":
        sock.sendall(bytes([byte]))
    print(read_all(sock).split("\\r\\n")[0])
"""
    ended = place.run(policy, *PYTHON, then_works(script))
    assert ended.text.startswith("HTTP/1.1 200 OK\n")
    assert_still_works(ended)


# clients that are silent, or that reset

CLIENTS = {
    "connects and says nothing": "connect(80)",
    "connects to a denied address and says nothing": "connect(80, ADDRESS)",
    "closes without a byte": "connect(80).close()",
    "closes a TLS port without a byte": "connect(443).close()",
    "resets without a byte": "reset(connect(80))",
    "resets inside a ClientHello": 's = connect(443); s.sendall(bytes.fromhex("160301020001")); reset(s)',
    "says half a ClientHello and no more": 's = connect(443); s.sendall(bytes.fromhex("160301020001"))',
    "resets inside a request head": 's = connect(80); s.sendall(b"GET /he"); reset(s)',
    "says half a request head and no more": 's = connect(80); s.sendall(b"GET /he")',
    "half-closes inside a request head": 's = connect(80); s.sendall(b"GET /he"); s.shutdown(1); print(read_all(s))',
    "resets after its request": "s = connect(80); s.sendall(REQUEST); reset(s)",
    "resets inside its upload": 's = connect(80); s.sendall(UPLOAD + b"x" * 1000); reset(s)',
    "closes inside its upload": 's = connect(80); s.sendall(UPLOAD + b"x" * 1000); s.close()',
    "resets inside the answer": "s = connect(80); s.sendall(MEDIUM); s.recv(100); reset(s)",
    "resets after the answer": "s = connect(80); s.sendall(REQUEST); s.recv(9999); reset(s)",
    "resets at its refusal": "s = connect(80, ADDRESS); s.sendall(REQUEST); reset(s)",
    "resets a CONNECT": 's = connect(8888, "127.0.0.1"); s.sendall(CONNECT); reset(s)',
    "resets after a CONNECT": 's = connect(8888, "127.0.0.1"); s.sendall(CONNECT); s.recv(999); reset(s)',
    "says nothing after a CONNECT": 's = connect(8888, "127.0.0.1"); s.sendall(CONNECT); s.recv(999)',
    "resets its DNS query": 's = connect(53, "9.9.9.9"); s.sendall(b"\\x00"); reset(s)',
}
EACH = """
kept = []
for _ in range(int(sys.argv[1])):
    for number, code in enumerate(sys.argv[2:]):
        host = f"client-{number}.example.com"
        names = {
            **globals(),
            "ADDRESS": f"203.0.113.{number}",
            "connect": functools.partial(connect, host),
            "REQUEST": render("GET /hello HTTP/1.1", host),
            "MEDIUM": render("GET /medium HTTP/1.1", host),
            "UPLOAD": render("POST /take HTTP/1.1", host, "Content-Length: 1000000"),
            "CONNECT": render(f"CONNECT {host}:443 HTTP/1.1", f"{host}:443"),
        }
        try:
            exec(code, names)
        except ConnectionError:
            pass
        kept.append(names)  # with its sockets, so that they stay as they were left
"""


@pytest.fixture(scope="module")
def medium(one_web: Web) -> Iterator[None]:
    """A file that no socket's buffers hold."""
    path = one_web.root / "medium"
    with path.open("xb") as file:
        file.truncate(64 << 20)
    yield
    path.unlink()


@pytest.mark.usefixtures("medium")
@pytest.mark.parametrize("times", [1, 20])
def test_a_client_may_do_anything_at_any_stage_and_leaves_its_receipt(
    place: Place, web: Web, times: int
) -> None:
    """All of it in one run, so that what one of them spoilt the others would find."""
    hosts = {f"client-{number}.example.com": f"203.0.113.{number}" for number in range(len(CLIENTS))}
    policy = write_policy(NAME, *hosts, pins=web.pins(NAME, *hosts))
    ended = place.run(policy, *PYTHON, then_works(EACH), str(times), *CLIENTS.values())
    assert_still_works(ended)
    assert ended.verify_foreign() == 0
    told = Counter(receipt.facts["host"] for receipt in (*ended.outcomes, *ended.blocks))
    left = {
        client: told[host] + told[address]
        for client, (host, address) in zip(CLIENTS, hosts.items(), strict=True)
    }
    assert left == {client: 0 if "DNS" in client else times for client in CLIENTS}
    assert any("the agent reset the connection" in outcome.reason for outcome in ended.outcomes)


# upstreams that reset at each stage


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@contextmanager
def upstream(act: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accepts, and does `act` to each connection."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                act(sock)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def said(sock: socket.socket, raw: bytes) -> socket.socket:
    """After its first bytes have come, `raw` has gone."""
    sock.recv(65536)
    sock.sendall(raw)
    return sock


BROKEN = "broken.example.com"
STAGES: dict[str, tuple[Callable[[socket.socket], None], int, str]] = {
    "resets when it accepts": (reset, 502, "reset"),
    "closes when it accepts": (lambda sock: None, 502, "the upstream"),
    "resets after the request": (
        lambda sock: reset(said(sock, b"")),
        502,
        "the upstream reset the connection",
    ),
    "closes after the request": (lambda sock: said(sock, b"").close(), 502, "the upstream"),
    "resets inside the head": (
        lambda sock: reset(said(sock, HEAD[:20])),
        502,
        "the upstream reset the connection",
    ),
    "closes inside the head": (lambda sock: said(sock, HEAD[:20]).close(), 502, "the upstream"),
    "talks nonsense": (lambda sock: said(sock, b"nonsense\r\n\r\n").close(), 502, "the upstream's answer"),
    "resets inside the body": (lambda sock: reset(said(sock, HEAD + b"x" * 1000)), 200, "the upstream reset"),
    "closes inside the body": (
        lambda sock: said(sock, HEAD + b"x" * 1000).close(),
        200,
        "the upstream ended",
    ),
}
THEN = 'curl -sS -m 10 -o got -w "%{http_code}" "$@"; echo " code $?"; printf "then "; exec curl -sS http://api.example.com/hello'


ALL = """
for url in "${@:2}"; do
  curl -sS -m 10 $1 -o got -w "%{http_code}" "$url" 2>>faults
  echo " code $? $(grep -c '"origin": "upstream"' got)"
  rm -f got
done
printf "then "
exec curl -sS http://api.example.com/hello
"""
"""Asks each upstream for its answer, and then one that is well."""


@contextmanager
def broken_upstreams(web: Web, stages: Sequence[str], port: int) -> Iterator[tuple[str, list[str]]]:
    """A policy that allows, and pins, one host for each stage; and the hosts."""
    with ExitStack() as stack:
        ports = [stack.enter_context(upstream(STAGES[stage][0])) for stage in stages]
        hosts = [f"broken-{number}.example.com" for number in range(len(stages))]
        pins = {f"{host}:{port}": f"127.0.0.1:{real}" for host, real in zip(hosts, ports, strict=True)}
        yield write_policy(NAME, *hosts, pins={**web.pins(NAME), **pins}), hosts


def test_an_upstream_may_break_off_at_any_stage_of_http(place: Place, web: Web) -> None:
    with broken_upstreams(web, list(STAGES), 80) as (policy, hosts):
        ended = place.run(policy, "bash", "-c", ALL, "sh", "", *[f"http://{host}/" for host in hosts])
    lines = ended.text.splitlines()[: len(hosts)]
    for line, host, (stage, (_, status, reason)) in zip(lines, hosts, STAGES.items(), strict=True):
        told, code, explained = re.fullmatch(r"(\d+) code (\d+) (\d)", line).groups()  # type: ignore[union-attr]
        assert (stage, int(told), int(explained)) == (stage, status, int(status == 502))
        assert (int(code) == 0) == (status == 502)  # half an answer never passes for a whole one
        (outcome,) = (outcome for outcome in ended.outcomes if outcome.facts["host"] == host)
        assert (stage, reason in outcome.reason) == (stage, True)
    assert_still_works(ended)


@pytest.mark.parametrize("door", ["", f"-x {PROXY}"])
def test_an_upstream_may_break_off_at_any_stage_of_tls(place: Place, web: Web, door: str) -> None:
    stages = [
        "resets when it accepts",
        "closes when it accepts",
        "resets after the request",
        "talks nonsense",
    ]
    with broken_upstreams(web, stages, 443) as (policy, hosts):
        ended = place.run_timed(
            policy, "bash", "-c", ALL, "sh", door, *[f"https://{host}/" for host in hosts]
        )
    assert ended.text.count("code 35") == len(stages)
    assert ended.took < DENIAL_SECONDS
    assert {outcome.facts.get("sni") for outcome in ended.outcomes} == {*hosts, None}
    assert_still_works(ended)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_upstream_that_is_not_there_is_told_apart_from_a_denial(
    place: Place, web: Web, scheme: str
) -> None:
    with upstream(reset) as port:
        pass  # and now nobody listens there
    pins = {**web.pins(NAME), f"{BROKEN}:80": f"127.0.0.1:{port}", f"{BROKEN}:443": f"127.0.0.1:{port}"}
    ended = place.run_timed(
        write_policy(NAME, BROKEN, pins=pins), "bash", "-c", THEN, "sh", f"{scheme}://{BROKEN}/"
    )
    assert ended.text.startswith({"http": "502 code 0", "https": "000 code 35"}[scheme])
    assert "connection refused" in ended.outcomes[0].reason
    assert ended.outcomes[0].verdict == "allow"
    assert ended.status["denied"] == 0
    assert ended.took < DENIAL_SECONDS
    assert_still_works(ended)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_that_leads_inside_is_never_dialled(place: Place, scheme: str) -> None:
    """`localhost` resolves on every machine, and never to an outside address."""
    ended = place.run_timed(
        write_policy("localhost"),
        "curl",
        "-sS",
        "-x",
        PROXY,
        f"{scheme}://localhost/",
        options=["--fail-on", "deny"],
    )
    outcome = ended.outcome
    assert (outcome.verdict, outcome.layer) == ("block", "address")
    assert "loopback" in outcome.reason
    assert "dialled" not in outcome.facts
    assert ended.took < DENIAL_SECONDS
    assert ended.verify() == 0


def test_a_silent_upstream_is_the_clients_to_give_up(place: Place, web: Web) -> None:
    def stay_silent(sock: socket.socket) -> None:
        while sock.recv(65536):
            pass

    with upstream(stay_silent) as port:
        policy = write_policy(NAME, BROKEN, pins={**web.pins(NAME), f"{BROKEN}:80": f"127.0.0.1:{port}"})
        ended = place.run(policy, "bash", "-c", THEN, "sh", "-m", "5", f"http://{BROKEN}/")
    assert "code 28" in ended.text
    (outcome,) = (outcome for outcome in ended.outcomes if outcome.facts["host"] == BROKEN)
    assert ("status" in outcome.facts, outcome.down) == (False, 0)
    assert_still_works(ended)
